"""Through a proxy, and never round it."""

from __future__ import annotations

import anyio
import pytest

from onionpath.client.client import Client
from onionpath.client.dial import ProxyDial
from onionpath.errors import UnreachableError, UsageError
from onionpath.service.calls import ServiceId
from tests.client.socks import answering, socks_server
from tests.client.worlds import World


def ports_of(world: World) -> set[int]:
    return {relay.port for relay in world.network.relays} | {world.network.authority.port}


@pytest.mark.parametrize("password", [None, b"secret"])
async def test_every_connection_goes_through_the_proxy(
    world: World, password: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled: list[int] = []
    connect = anyio.connect_tcp

    async def watched(remote_host: str, remote_port: int, **more: object) -> object:
        dialled.append(remote_port)
        return await connect(remote_host, remote_port, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(anyio, "connect_tcp", watched)
    async with socks_server(password=password) as socks:
        user = "" if password is None else f"user:{password.decode()}@"
        async with Client(world.root, proxy=f"socks5://{user}127.0.0.1:{socks.port}") as client:
            assert b"x" == (await client.call(ServiceId.ECHO, b"x")).body

    through = [port for _, port in socks.destinations]
    # The proxy's own connections, which it makes in this process, are all that there are to the network.
    assert through
    assert sorted(through) == sorted(port for port in dialled if port in ports_of(world))


@pytest.mark.parametrize("scheme", ["socks5", "http"])
async def test_a_proxy_that_is_down_is_named_and_nothing_is_connected_directly(
    world: World, closed_port: int, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled: list[int] = []

    async def refuse(remote_host: str, remote_port: int, **more: object) -> None:
        dialled.append(remote_port)
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(anyio, "connect_tcp", refuse)
    with pytest.raises(UnreachableError, match=f"the proxy 127.0.0.1:{closed_port} could not be reached"):
        async with Client(world.root, proxy=f"{scheme}://127.0.0.1:{closed_port}"):
            raise AssertionError("entered")

    assert {closed_port} == set(dialled)


async def test_a_wrong_password_is_named_and_shown_nowhere(world: World) -> None:
    async with socks_server(password=b"right") as socks:
        with pytest.raises(UnreachableError, match="refused") as caught:
            async with Client(world.root, proxy=f"socks5://user:wrong@127.0.0.1:{socks.port}"):
                raise AssertionError("entered")

    assert "wrong" not in str(caught.value)


NOT_UTF_8 = b"\x05\x00\x00\x03\x03\xff\xff\xffaa"


@pytest.mark.parametrize(
    ("scheme", "answers"),
    [
        ("socks5", (b"\x05\x00", NOT_UTF_8)),
        ("socks5", (b"\x05\x00", b"\x05\x00")),
        ("socks5", (b"\x05",)),
        ("socks5", ()),
        ("http", (b"nonsense",)),
        ("http", ()),
    ],
)
async def test_a_proxy_that_breaks_off_or_talks_nonsense_accuses_no_relay(
    scheme: str, answers: tuple[bytes, ...]
) -> None:
    """A guard that is marked as down for what the proxy did would move the client off it."""
    async with answering(answers) as port:
        dial = ProxyDial(f"{scheme}://127.0.0.1:{port}")
        with pytest.raises(UnreachableError, match="the proxy 127") as caught:
            await dial("192.0.2.1", 443)

    assert (None, False) == (caught.value.edge, caught.value.sent)


@pytest.mark.parametrize(
    "url", ["socks4://127.0.0.1:1", "127.0.0.1:1", "socks5://secret@host", "http://host:port", "ftp://a:1"]
)
def test_what_is_no_address_of_a_proxy_is_refused_at_once_and_not_repeated(world: World, url: str) -> None:
    with pytest.raises(UsageError, match="a proxy is given as") as caught:
        Client(world.root, proxy=url)

    assert "secret" not in str(caught.value)
