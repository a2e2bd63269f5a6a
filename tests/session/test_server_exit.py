"""Posting to servers: what they see, what comes back, and what is never reached."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
import trio

from onionpath.onion.session_answers import HopAnswer
from onionpath.onion.session_http import MAX_BODY_SIZE
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.service.exit_policy import ExitPolicy, IPAddress
from onionpath.service.hosts import DnsName
from relay.exit.dial import Dialer, connect
from relay.session.server_exit import ServerExit
from simulations.local.website_settings import HOST_NAME, make_certificates
from tests.exit.servers import local_dialer, no_names, server
from tests.session.doors import CertificateFiles

UNREACHABLE = HopAnswer(502, b"Server unreachable")
TIMED_OUT = HopAnswer(504, b"Server time out")
Handler = Callable[[trio.SocketStream], Awaitable[None]]


def verifying() -> ssl.SSLContext:
    return ssl.create_default_context()


async def heard(stream: trio.abc.ReceiveStream) -> bytes:
    """A request whose body is the word ``posted``."""
    data = bytearray()
    while not data.endswith(b"posted"):
        part = await stream.receive_some(65_536)
        assert part
        data += part
    return bytes(data)


def answering(response: bytes, *, requests: list[bytes] | None = None) -> Handler:
    async def handle(stream: trio.SocketStream) -> None:
        request = await heard(stream)
        if requests is not None:
            requests.append(request)
        await stream.send_all(response)
        await stream.send_eof()

    return handle


async def post(
    port: int,
    *,
    protocol: str = "http",
    dialer: Dialer | None = None,
    timeout_s: float = 10,
    at_once: int = 1,
) -> HopAnswer:
    exit_ = ServerExit(dialer or local_dialer(), verifying(), at_once=at_once, timeout_s=timeout_s)
    return await exit_.post(LsrpcServer("127.0.0.1", port, "/oxen/v4/lsrpc", protocol), b"posted")


async def test_a_server_sees_the_request_of_the_original_and_nothing_of_the_client() -> None:
    requests: list[bytes] = []
    async with server(
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", requests=requests)
    ) as port:
        assert HopAnswer(200, b"hi") == await post(port)

    lines = [
        "POST /oxen/v4/lsrpc HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Accept: */*",
        "Content-Type: application/octet-stream",
        "User-Agent: Oxen Storage Server/2.8.0",
        "Content-Length: 6",
    ]
    assert ["\r\n".join(lines).encode() + b"\r\n\r\nposted"] == requests


@pytest.mark.parametrize("status", [204, 207, 302, 404, 500])
async def test_status_and_body_come_back_as_they_are_and_no_redirect_is_followed(status: int) -> None:
    body = b"" if status == 204 else b"as it is"
    response = b"HTTP/1.1 %d X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: %d\r\n\r\n%b"
    async with server(answering(response % (status, len(body), body))) as port:
        assert HopAnswer(status, body) == await post(port)


BAD_RESPONSES = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
    "no status of HTTP": b"HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n",
    "chunks of one byte": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 5_000,
    "announcements without end": b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000,
    "a head of many lines": b"HTTP/1.1 200 OK\r\n" + b"a:\r\n" * 101 + b"\r\n",
    "a head of many bytes": b"HTTP/1.1 200 OK\r\na: " + b"a" * 17_000 + b"\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    "a body above the limit": b"HTTP/1.1 200 OK\r\n\r\n" + bytes(MAX_BODY_SIZE + 1),
}


@pytest.mark.parametrize("response", BAD_RESPONSES.values(), ids=BAD_RESPONSES.keys())
async def test_a_response_that_cannot_be_used_looks_like_a_server_that_is_not_there(response: bytes) -> None:
    async with server(answering(response)) as port:
        assert UNREACHABLE == await post(port)


async def test_a_server_that_refuses_and_one_that_the_policy_forbids_look_alike() -> None:
    """Otherwise an exit would scan ports, and networks of its operator, for whoever asks."""
    async with server(answering(b"")) as port:
        closed_port = port
        own = Dialer(ExitPolicy.parse(["accept *:*"]), own=tuple, resolver=no_names, connect=connect)
        shut = Dialer(ExitPolicy.parse(["reject *:*"]), own=tuple, resolver=no_names, connect=connect)
        assert UNREACHABLE == await post(port, dialer=own)
        assert UNREACHABLE == await post(port, dialer=shut)

    assert UNREACHABLE == await post(closed_port)


async def test_a_name_without_address_is_unreachable() -> None:
    exit_ = ServerExit(local_dialer(), verifying(), at_once=1)

    assert UNREACHABLE == await exit_.post(LsrpcServer("nobody.example"), b"posted")


async def test_a_name_that_is_looked_up_for_too_long_is_a_server_without_response() -> None:
    async def slow(name: DnsName, *, caller: int) -> Sequence[IPAddress]:
        raise TimeoutError

    policy = ExitPolicy.parse(["accept *:*"])
    exit_ = ServerExit(Dialer(policy, own=tuple, resolver=slow, connect=connect), verifying(), at_once=1)

    assert TIMED_OUT == await exit_.post(LsrpcServer("slow.example.org"), b"posted")


async def test_responses_that_never_end_are_held_only_as_far_as_there_is_room() -> None:
    async def endless(stream: trio.SocketStream) -> None:
        await heard(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(60_000))
        await stream.receive_some(1)

    exit_ = ServerExit(local_dialer(), verifying(), at_once=9, most_bytes=200_000, timeout_s=0.2)
    answers: list[HopAnswer] = []

    async def post_one(port: int) -> None:
        answers.append(await exit_.post(LsrpcServer("127.0.0.1", port, protocol="http"), b"posted"))

    async with server(endless) as port, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(post_one, port)

    assert [HopAnswer(503, b"Server busy, try again later")] * 2 + [TIMED_OUT] == answers
    async with server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n" + bytes(90_000))) as port:
        assert 200 == (await exit_.post(LsrpcServer("127.0.0.1", port, protocol="http"), b"posted")).status


async def test_a_silent_server_is_waited_for_so_long_and_no_longer() -> None:
    async def silent(stream: trio.SocketStream) -> None:
        await heard(stream)
        await stream.receive_some(1)

    async with server(silent) as port:
        assert TIMED_OUT == await post(port, timeout_s=0.1)


async def test_a_certificate_that_no_authority_signed_is_as_good_as_no_server(
    certificate: CertificateFiles,
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    requests: list[bytes] = []
    async with server(over_tls(context, requests)) as port:
        assert UNREACHABLE == await post(port, protocol="https")

    assert [] == requests


async def test_a_certificate_is_good_for_the_host_that_was_asked_for_and_no_other(tmp_path: Path) -> None:
    ca_file, certificate, wrong_certificate = make_certificates(tmp_path)
    trusting = ssl.create_default_context(cafile=str(ca_file))

    async def status_with(shown: Path, host: str = HOST_NAME) -> int:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(shown)
        async with server(over_tls(context, [])) as port:
            exit_ = ServerExit(local_dialer(), trusting, at_once=1)
            return (await exit_.post(LsrpcServer(host, port), b"posted")).status

    assert 200 == await status_with(certificate)
    assert 502 == await status_with(wrong_certificate)
    assert 502 == await status_with(certificate, "elsewhere.localhost")


def over_tls(context: ssl.SSLContext, requests: list[bytes]) -> Handler:
    async def handle(stream: trio.SocketStream) -> None:
        secured = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        requests.append(await heard(secured))
        await secured.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    return handle


async def test_more_requests_at_once_than_there_are_sockets_for_are_answered_as_busy() -> None:
    async with server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as port:
        exit_ = ServerExit(local_dialer(), verifying(), at_once=2)
        answers: list[int] = []

        async def one() -> None:
            answers.append(
                (await exit_.post(LsrpcServer("127.0.0.1", port, protocol="http"), b"posted")).status
            )

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(one)

    assert [200, 200, 503] == sorted(answers)
