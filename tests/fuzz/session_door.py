"""What strangers send to the door for Session's clients, and what other relays answer, as functions for ``targets``."""

from __future__ import annotations

from onionpath.errors import MalformedError
from onionpath.injected import UnixTime
from onionpath.onion.session_answers import HopAnswer, decode_hop_answer, encode_hop_answer
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_messages import encode_post
from onionpath.onion.session_refusals import Refuse, decide_post
from relay.session.http import Done, DoorHttp, Head, Left, Part, Refused, Response
from relay.session.routes import Route, route_of
from relay.session.server_exchange import ServerExchange
from tests.fuzz.session import KEY, ONION, PACKET

SERVER = LsrpcServer("example.org")
NOW = UnixTime(1_700_000_000.0)
Heard = tuple[Route | Response, bytes]


def door(data: bytes) -> None:
    """One connection's bytes; how they are cut must not matter, and only a layer that opens leads anywhere."""
    requests, end = _heard([data])
    if (requests, end) != _heard([data[at : at + 1] for at in range(len(data))]):
        raise AssertionError("it matters how a request is cut")
    posted = [body for route, body in requests if route is Route.ONION]
    is_found = all(isinstance(route, Route) for route, _ in requests)
    decisions = [decide_post(ONION, body, KEY) for body in posted]
    if (
        not requests
        or not is_found
        or end is not None
        or any(isinstance(decision, Refuse) for decision in decisions)
    ):
        raise MalformedError("something on this connection cannot be read")


def _heard(parts: list[bytes]) -> tuple[list[Heard], Response | None]:
    """Whole requests, each of which is answered, and the refusal that ends the connection, if one does."""
    http = DoorHttp()
    requests: list[Heard] = []
    route: Route | Response = Response(200)
    body = b""
    for part in filter(None, parts):
        http.receive(part)
        while (event := http.next_event()) is not None:
            match event:
                case Head():
                    route, body = route_of(event, is_seed=True), b""
                case Part(data):
                    body += data
                case Done():
                    requests.append((route, body))
                    if not _answered(http, route):
                        return requests, None
                case Refused(response):
                    return requests, response
                case Left():
                    return requests, None
    return requests, None


def _answered(http: DoorHttp, route: Route | Response) -> bool:
    http.go_ahead()
    response = route if isinstance(route, Response) else Response(200, b"answer")
    http.respond(response, now=NOW, is_last=isinstance(route, Response))
    return http.start_again()


def hop_answer(data: bytes) -> bytes:
    """What another relay answers."""
    return encode_hop_answer(decode_hop_answer(data))


def server_response(data: bytes) -> None:
    """What a server answers to an exit; how it is cut must not matter."""
    whole = _answer([data, b""])
    if whole != _answer([data[at : at + 1] for at in range(len(data))] + [b""]):
        raise AssertionError("it matters how a response is cut")


def _answer(parts: list[bytes]) -> HopAnswer:
    exchange = ServerExchange(SERVER, b"posted")
    for part in parts:
        answer = exchange.receive(part)
        if answer is not None:
            return answer
    raise MalformedError("the server says no more")


def inputs() -> dict[str, dict[str, bytes]]:
    """For the corpus."""
    onion = encode_post(PACKET)
    post = b"POST /onion_req/v2 HTTP/1.1\r\nHost: relay\r\n"
    whole = post + b"Content-Length: %d\r\n\r\n%b" % (len(onion), onion)
    in_chunks = post + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(onion), onion)
    statistics = b"GET /get_stats/v1 HTTP/1.1\r\nHost: relay\r\n\r\n"
    return {
        "session-door": {
            "good-onion": whole,
            "good-onion-in-chunks": in_chunks,
            "good-two-requests": statistics + whole,
            "good-expecting": whole.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n", 1),
            "bad-two-lengths": whole.replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\n\r\n", 1),
            "bad-length-and-chunks": in_chunks.replace(b"Transfer", b"Content-Length: 1\r\nTransfer", 1),
            "bad-length-too-long": post + b"Content-Length: 99999999999999\r\n\r\n",
            "bad-chunk-size": post + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n",
            "bad-onion-cut": post + b"Content-Length: 100\r\n\r\n" + onion[:100],
            "bad-upgrade": b"CONNECT relay:443 HTTP/1.1\r\nHost: relay\r\n\r\n\x16\x03\x01",
        },
        "session-server-response": {
            "good": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsealed",
            "good-in-chunks": b"HTTP/1.1 404 X\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsealed\r\n0\r\n\r\n",
            "good-until-the-end": b"HTTP/1.0 200 OK\r\n\r\nsealed",
            "good-announced": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            "bad-half": b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nsealed",
            "bad-status": b"HTTP/1.1 999 OK\r\nContent-Length: 6\r\n\r\nsealed",
            "bad-crumbs": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 400,
        },
        "session-hop-answer": {
            "good": encode_hop_answer(HopAnswer(200, b"sealed")),
            "good-refusal": encode_hop_answer(HopAnswer(502, b"Next node not found: " + b"1" * 64)),
            "bad-no-status": b"\0",
            "bad-status": (99).to_bytes(2, "big") + b"sealed",
        },
    }
