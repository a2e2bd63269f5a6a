"""The door over real TLS: what it answers, and what it takes from whom."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from onionpath.onion.session_http import MAX_BODY_SIZE
from onionpath.onion.session_messages import encode_post
from onionpath.onion.session_packets import SessionReply
from relay.listener import GateLimits
from relay.session.budget import BudgetLimits
from relay.session.connection import Patience
from relay.session.places import PlaceLimits
from relay.session.requests import Requests
from tests.onion.session_paths import ONION, hop_key, wrap
from tests.session.doors import Answer, CertificateFiles, ask, open_door, talking, until
from tests.session.relays import World

VECTORS = Path(__file__).parents[1] / "vectors" / "session"
SERVER = "Oxen Storage Server/2.8.0"
HASTY = Patience(handshake_s=0.1, head_s=0.1, part_s=0.1, body_s=0.2)


def head(*lines: str, first: str = "POST /onion_req/v2 HTTP/1.1") -> bytes:
    return "\r\n".join([first, "Host: relay", *lines, "", ""]).encode("latin-1")


async def test_an_onion_is_answered_as_by_the_original(certificate: CertificateFiles) -> None:
    world, wrapped = World(), wrap()
    async with open_door(world, certificate) as door:
        answer = await ask(door.port, "/onion_req/v2", encode_post(wrapped.packet))

    reply = ONION.open_reply(wrapped.opener, answer.body)
    assert isinstance(reply, SessionReply)
    assert (200, 200) == (answer.status, reply.status)
    assert {"server", "content-type", "date", "content-length"} == answer.headers.keys()
    assert (SERVER, "text/plain") == (answer.headers["server"], answer.headers["content-type"])


async def test_many_requests_share_a_connection(certificate: CertificateFiles) -> None:
    world = World()
    async with open_door(world, certificate) as door, talking(door.port) as talk:
        statuses = [
            (await talk.ask("/onion_req/v2", encode_post(wrap(seed=seed).packet))).status for seed in range(5)
        ]

    assert [200] * 5 == statuses


async def test_a_request_that_comes_behind_another_is_answered_after_it(
    certificate: CertificateFiles,
) -> None:
    """Nothing is read of it meanwhile."""
    ping = head("Content-Length: 0", first="POST /ping_test/v1 HTTP/1.1")
    async with open_door(World(), certificate) as door, talking(door.port) as talk:
        await talk.say(ping + head(first="GET /get_stats/v1 HTTP/1.1"))
        both = bytearray()
        while b'"2.8.0"' not in both:
            both += await talk.stream.receive_some(65_536)

    assert 2 == both.count(b"HTTP/1.1 200 OK")


async def test_the_relay_tells_who_it_is_and_which_version_it_speaks(certificate: CertificateFiles) -> None:
    async with open_door(World(), certificate) as door:
        pong = await ask(door.port, "/ping_test/v1")
        statistics = await ask(door.port, "/get_stats/v1", method="GET")

    assert (200, b"") == (pong.status, pong.body)
    assert hop_key(0).relay_id == base64.b64decode(pong.headers["x-oxen-snode-pubkey"])
    assert (200, "application/json") == (statistics.status, statistics.headers["content-type"])
    assert {"version": "2.8.0"} == json.loads(statistics.body)


async def test_a_storage_call_may_come_without_an_onion(certificate: CertificateFiles) -> None:
    async with open_door(World(), certificate) as door:
        answer = await ask(door.port, "/storage_rpc/v1", b"{}")

    assert (200, b"asked: {}", "text/plain") == (answer.status, answer.body, answer.headers["content-type"])


# The table of errors of the original, and what a client of it meets here instead (docs/specs/session-onion.md §9).

LAYER = wrap().packet
GARBAGE = {
    "nothing": b"",
    "three bytes": b"abc",
    "a length that is too long": b"\xff\0\0\0\xaa\xbb",
    "bad JSON": b"\4\0\0\0blob{",
    "no ephemeral key": b"\4\0\0\0blob{}",
    "an unknown cipher": b'\4\0\0\0blob{"ephemeral_key":"' + b"11" * 32 + b'","enc_type":"foo"}',
    "another relay's layer": encode_post(LAYER._replace(layer=wrap(seed=5).packet.layer)),
    "a damaged layer": encode_post(LAYER._replace(layer=LAYER.layer[:-1] + b"\0")),
    "a negative depth": b'\4\0\0\0blob{"ephemeral_key":"' + b"11" * 32 + b'","hop_no":-5}',
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE.keys())
async def test_whatever_cannot_be_read_gets_one_answer(body: bytes, certificate: CertificateFiles) -> None:
    world = World()
    async with open_door(world, certificate) as door:
        answer = await ask(door.port, "/onion_req/v2", body)

    assert (400, b"Invalid ciphertext", "text/plain") == (
        answer.status,
        answer.body,
        answer.headers["content-type"],
    )
    assert [] == world.neighbours.asked


async def test_what_the_original_says_of_relays_that_nobody_knows_is_said_here(
    certificate: CertificateFiles,
) -> None:
    captured = captured_error("next node not found at guard")
    world = World(relays=1)
    async with open_door(world, certificate) as door:
        answer = await ask(door.port, "/onion_req/v2", encode_post(wrap().packet))

    unknown = "2" * 64
    assert (captured["http_status"], captured["content_type"]) == (
        answer.status,
        answer.headers["content-type"],
    )
    assert captured["body"].replace(unknown, hop_key(1).relay_id.hex()) == answer.body.decode()


async def test_too_long_a_path_is_refused_as_by_the_original(certificate: CertificateFiles) -> None:
    captured = captured_error("4 layers with guard hop_no=13")
    async with open_door(World(), certificate) as door:
        answer = await ask(door.port, "/onion_req/v2", encode_post(LAYER._replace(depth=13)))

    assert (captured["http_status"], captured["body"]) == (answer.status, answer.body.decode())


@pytest.mark.parametrize(
    ("method", "target"),
    [("POST", "/foo"), ("GET", "/onion_req/v2"), ("POST", "/onion_req/v2?"), ("POST", "/json_rpc")],
)
async def test_what_is_not_there_is_not_found(
    method: str, target: str, certificate: CertificateFiles
) -> None:
    async with open_door(World(), certificate) as door:
        answer = await ask(door.port, target, method=method)

    assert (404, f"{method.lower()} {target} Not Found") == (answer.status, answer.body.decode())
    assert captured_error("wrong url")["body"] == "post /foo Not Found"


async def test_a_question_for_a_head_alone_gets_no_body(certificate: CertificateFiles) -> None:
    async with open_door(World(), certificate) as door:
        answer = await ask(door.port, "/foo", method="HEAD")

    assert (404, b"") == (answer.status, answer.body)


def captured_error(description: str) -> dict[str, str]:
    captured = json.loads((VECTORS / "live_capture.json").read_text(encoding="utf-8"))["onion"]
    return next(each for each in captured if each.get("description") == description)


# Framing of HTTP.


async def said(certificate: CertificateFiles, data: bytes) -> Answer:
    async with open_door(World(), certificate) as door, talking(door.port) as talk:
        await talk.say(data)
        answer = await talk.hear()
        assert await talk.is_over()
        return answer


@pytest.mark.parametrize("length", [MAX_BODY_SIZE + 1, 10**12, 10**19])
async def test_a_longer_body_is_refused_before_it_is_sent(length: int, certificate: CertificateFiles) -> None:
    answer = await said(certificate, head(f"Content-Length: {length}", "Expect: 100-continue"))

    assert (413, b"Request body too large") == (answer.status, answer.body)


BAD_HTTP = {
    "no HTTP": b"\x16\x03\x01 hello\r\n\r\n",
    "a negative length": head("Content-Length: -1"),
    "no number as its length": head("Content-Length: ten"),
    "two lengths": head("Content-Length: 1", "Content-Length: 2"),
    "a length and chunks": head("Content-Length: 4", "Transfer-Encoding: chunked"),
    "a chunk of a huge size": head("Transfer-Encoding: chunked") + b"f" * 30 + b"\r\n",
    "a chunk without its end": head("Transfer-Encoding: chunked") + b"1\r\nabc\r\n",
    "garbage behind the last chunk": head("Transfer-Encoding: chunked") + b"0\r\ngarbage\0\r\n\r\n",
    "a head of 50,001 bytes": head("X: " + "x" * 49_900),
    "a hundred headers beside the usual ones": head(*["X: y"] * 100, "Content-Length: 0"),
    "headers behind the body": head("Transfer-Encoding: chunked") + b"0\r\nX: y\r\n\r\n",
    "ten thousand headers": head(*["X: y"] * 10_000),
    "a head without end": head("X: " + "x" * 17_000)[:-4],
    "chunks of one byte": head("Transfer-Encoding: chunked") + b"1\r\nx\r\n" * 2_000,
}


@pytest.mark.parametrize("data", BAD_HTTP.values(), ids=BAD_HTTP.keys())
async def test_what_is_no_http_gets_one_answer(data: bytes, certificate: CertificateFiles) -> None:
    answer = await said(certificate, data)

    assert (400, b"Bad Request") == (answer.status, answer.body)


async def test_a_client_that_asks_whether_it_may_send_is_told_to(certificate: CertificateFiles) -> None:
    """curl does so with bodies of a megabyte, and waits."""
    body = encode_post(wrap().packet)
    async with open_door(World(), certificate) as door, talking(door.port) as talk:
        await talk.say(head(f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == await talk.stream.receive_some(65_536)
        await talk.say(body)

        assert 200 == (await talk.hear()).status


async def test_a_body_in_chunks_is_counted_and_read(certificate: CertificateFiles) -> None:
    body = encode_post(wrap().packet)
    chunks = head("Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    async with open_door(World(), certificate) as door, talking(door.port) as talk:
        await talk.say(chunks)

        assert 200 == (await talk.hear()).status


# What a peer may cost.


async def test_too_many_openings_of_one_address_are_answered_as_busy(certificate: CertificateFiles) -> None:
    world = World(clients=BudgetLimits(source_per_second=1, source_burst=2, per_second=100, burst=100))
    async with open_door(world, certificate) as door, talking(door.port) as talk:
        answers = [await talk.ask("/onion_req/v2", b"garbage") for _ in range(3)]

    assert [400, 400, 503] == [answer.status for answer in answers]
    assert b"Server busy, try again later" == answers[-1].body


async def test_what_needs_no_key_is_counted_too_and_a_connection_beyond_its_part_ends(
    certificate: CertificateFiles,
) -> None:
    world = World(clients=BudgetLimits(source_per_second=1, source_burst=2, per_second=100, burst=100))
    async with open_door(world, certificate) as door, talking(door.port) as talk:
        answers = [
            await talk.ask("/get_stats/v1", method="GET"),
            await talk.ask("/ping_test/v1"),
            await talk.ask("/get_stats/v1", method="GET"),
        ]
        assert [200, 200, 503] == [answer.status for answer in answers]
        assert await talk.is_over()


async def test_bodies_are_held_only_where_there_is_room(certificate: CertificateFiles) -> None:
    limits = PlaceLimits(bytes_held=100_000, bytes_per_source=60_000)
    async with open_door(World(), certificate, limits=limits) as door:
        async with talking(door.port) as first, talking(door.port) as second:
            await first.say(head("Content-Length: 50000") + bytes(49_999))
            await until(lambda: door.places.bytes_held == 49_999)
            await second.say(head("Content-Length: 20000") + bytes(20_000))
            busy = await second.hear()
        await until(lambda: not door.places.bytes_held)

    assert (503, b"Server busy, try again later") == (busy.status, busy.body)


async def test_more_requests_at_once_than_there_are_places_are_answered_as_busy(
    certificate: CertificateFiles,
) -> None:
    async with open_door(World(), certificate, limits=PlaceLimits(requests_per_source=1)) as door:
        async with talking(door.port) as first, talking(door.port) as second:
            await first.say(head("Content-Length: 5"))
            await until(lambda: door.places.requests == 1)
            busy = await second.ask("/ping_test/v1")

    assert 503 == busy.status


@pytest.mark.parametrize(
    "data",
    [b"", b"POST /onion", head("Content-Length: 10") + b"12345", head("Transfer-Encoding: chunked")],
    ids=["nothing", "half a head", "half a body", "no chunk"],
)
async def test_who_is_too_slow_is_let_go(data: bytes, certificate: CertificateFiles) -> None:
    async with open_door(World(), certificate, patience=HASTY) as door, talking(door.port) as talk:
        await talk.say(data)

        assert await talk.is_over()


async def test_a_connection_that_never_speaks_tls_is_let_go(certificate: CertificateFiles) -> None:
    async with (
        open_door(World(), certificate, patience=HASTY) as door,
        await trio.open_tcp_stream("127.0.0.1", door.port) as stream,
    ):
        with trio.fail_after(5):
            assert b"" == await stream.receive_some(1)


async def test_a_bug_ends_one_connection_and_says_no_more_than_its_kind(
    certificate: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*args: object, **more: object) -> object:
        raise ZeroDivisionError("with what somebody asked")

    monkeypatch.setattr(Requests, "answer", fail)
    async with open_door(World(), certificate) as door:
        with capture_logs() as logs:
            async with talking(door.port) as talk:
                await talk.say(head("Content-Length: 0"))
                assert await talk.is_over()
        async with talking(door.port):
            pass

    assert 1 == door.door.counts()["bug"]
    assert [("session_connection_failed", "ZeroDivisionError")] == [
        (line["event"], line["kind"]) for line in logs
    ]


async def test_connections_of_one_address_are_bounded(certificate: CertificateFiles) -> None:
    async with open_door(World(), certificate, gate=GateLimits(per_source=1)) as door, talking(door.port):
        with pytest.raises(trio.BrokenResourceError):
            async with talking(door.port):
                pass


async def test_a_door_that_drains_finishes_what_is_under_way(certificate: CertificateFiles) -> None:
    body = encode_post(wrap().packet)
    async with open_door(World(), certificate) as door, talking(door.port) as talk:
        await talk.say(head(f"Content-Length: {len(body)}") + body[:-1])
        await until(lambda: not door.door.is_idle)
        door.door.drain()
        await talk.say(body[-1:])
        answer = await talk.hear()
        await until(lambda: door.door.is_idle)

    assert (200, "close") == (answer.status, answer.headers["connection"])
