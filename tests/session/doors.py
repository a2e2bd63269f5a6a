"""The door on loopback, and clients that say to it whatever a test wants."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import h11
import trio

from onionpath.crypto.certificates import make_link_certificate
from relay.listener import Gate, GateLimits, bind
from relay.session.connection import Patience
from relay.session.door import HttpsDoor, door_context
from relay.session.places import PlaceLimits, Places
from tests.session.relays import World

FAST = GateLimits(per_second=10_000, burst=10_000)


class CertificateFiles(NamedTuple):
    """What the door shows, on disk."""

    certificate: Path
    key: Path


def make_certificate_files(folder: Path) -> CertificateFiles:
    made = make_link_certificate()
    files = CertificateFiles(folder / "door.pem", folder / "door.key")
    files.certificate.write_bytes(made.certificate_pem)
    files.key.write_bytes(made.key_pem)
    return files


class Answer(NamedTuple):
    """What the door said."""

    status: int
    headers: dict[str, str]
    body: bytes


class Door(NamedTuple):
    """A door that serves."""

    port: int
    door: HttpsDoor
    places: Places


@asynccontextmanager
async def open_door(
    world: World,
    certificate: CertificateFiles,
    *,
    limits: PlaceLimits | None = None,
    gate: GateLimits = FAST,
    patience: Patience | None = None,
    is_seed: bool = False,
) -> AsyncIterator[Door]:
    """Relay 0 of a world, behind a real socket."""
    listener, places = bind("127.0.0.1", 0), Places(limits or PlaceLimits())
    door = HttpsDoor(
        [listener],
        door_context(*certificate),
        world.guard.requests,
        gate=Gate(gate),
        places=places,
        is_seed=is_seed,
        clock=world.clock,
        patience=patience,
    )
    with listener:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(door.run)
            yield Door(listener.getsockname()[1], door, places)
            nursery.cancel_scope.cancel()


class Talk:
    """One TLS connection to the door."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self.stream = stream
        self._http = h11.Connection(h11.CLIENT)

    async def say(self, data: bytes) -> None:
        """Send bytes as they are."""
        await self.stream.send_all(data)

    async def ask(self, target: str, body: bytes = b"", method: str = "POST") -> Answer:
        """A proper request, and its answer."""
        headers = [("Host", "relay"), ("Content-Length", str(len(body)))]
        events = (
            h11.Request(method=method, target=target, headers=headers),
            h11.Data(body),
            h11.EndOfMessage(),
        )
        await self.say(b"".join(self._http.send(event) or b"" for event in events))
        answer = await self._read(self._http)
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return answer

    async def hear(self, method: str = "POST") -> Answer:
        """The answer to whatever was said."""
        http = h11.Connection(h11.CLIENT)
        http.send(h11.Request(method=method, target="/", headers=[("Host", "relay")]))
        http.send(h11.EndOfMessage())
        return await self._read(http)

    async def is_over(self) -> bool:
        """Whether the door has closed; waits until it says anything."""
        try:
            return not await self.stream.receive_some(1)
        except trio.BrokenResourceError:
            return True

    async def _read(self, http: h11.Connection) -> Answer:
        status, headers, body = 0, dict[str, str](), bytearray()
        while True:
            match event := http.next_event():
                case h11.Response():
                    status = event.status_code
                    headers = {name.decode(): value.decode() for name, value in event.headers}
                case h11.Data():
                    body += event.data
                case h11.EndOfMessage():
                    return Answer(status, headers, bytes(body))
                case h11.NEED_DATA:
                    http.receive_data(bytes(await self.stream.receive_some(65_536)))


@asynccontextmanager
async def talking(port: int) -> AsyncIterator[Talk]:
    """A client that, as Session's do, verifies nothing."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with trio.fail_after(10):
        stream = trio.SSLStream(await trio.open_tcp_stream("127.0.0.1", port), context, https_compatible=True)
        try:
            await stream.do_handshake()
            yield Talk(stream)
        finally:
            await trio.aclose_forcefully(stream)


async def ask(port: int, target: str, body: bytes = b"", method: str = "POST") -> Answer:
    """One request on a connection of its own."""
    async with talking(port) as talk:
        return await talk.ask(target, body, method)


async def until(holds: Callable[[], bool]) -> None:
    """Let the others run until it holds."""
    with trio.fail_after(10):
        while not holds():
            await trio.lowlevel.checkpoint()
