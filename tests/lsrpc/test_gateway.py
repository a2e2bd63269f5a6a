"""The middleware: what reaches the app, what the client reads, and what the exit that posts can learn."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import httpx
import pytest

from onionpath.crypto.session_channels import Cipher, SessionPrivateKey
from onionpath.lsrpc.gateway import SessionLimits
from onionpath.ohttp.messages import Limits
from onionpath.onion.session_framing import encode_framing
from onionpath.onion.session_v4 import V4Request, V4Response
from tests.lsrpc.worlds import LOKI, TARGET, EchoApp, ask, asked, gateway_for, post

pytestmark = pytest.mark.anyio

SMALL = SessionLimits(
    response=Limits(300), in_flight=1, posted_bytes=600, read_s=0.05, answer_s=0.05, replay_entries=16
)
INVALID = V4Response(400, {"content-type": "text/plain"}, b"Invalid v4 onion request")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("cipher", Cipher)
async def test_the_app_answers_what_came_by_an_onion(cipher: Cipher) -> None:
    app = EchoApp()
    request = V4Request("POST", "/a%20b/%C3%BC?c=d", {"X-Room": " y "}, b"hello")

    response = await ask(gateway_for(app), asked(request, cipher=cipher))

    assert V4Response(200, {"content-type": "text/plain"}, b"echo hello") == response
    (scope,) = app.scopes
    assert ("http", "POST", "https", "/a b/ü") == tuple(
        scope[name] for name in ("type", "method", "scheme", "path")
    )
    assert (b"/a%20b/%C3%BC", b"c=d") == (scope["raw_path"], scope["query_string"])
    headers = [[b"host", b"example.org"], [b"x-room", b"y"], [b"content-length", b"5"]]
    assert headers == scope["headers"]


async def test_the_older_path_is_answered_alike() -> None:
    assert 200 == (await post(gateway_for(EchoApp()), asked().posted, path=LOKI)).status_code


async def test_nothing_of_whoever_carries_it_reaches_the_app() -> None:
    app = EchoApp()

    await post(gateway_for(app), asked().posted, **{"x-forwarded-for": "192.0.2.9", "cookie": "a=b"})

    (scope,) = app.scopes
    assert (None, None, {"onionpath.lsrpc": {}}) == (scope["client"], scope["server"], scope["extensions"])
    assert "192.0.2" not in repr(scope)
    assert "cookie" not in repr(scope)


async def test_a_response_goes_back_raw_and_says_nothing_outside() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"set-cookie", b"secret")]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": b"secret"})

    each = asked()
    response = await post(gateway_for(app), each.posted)

    assert (200, "application/octet-stream") == (response.status_code, response.headers["content-type"])
    assert "set-cookie" not in response.headers
    assert b"secret" not in response.content
    assert b'l46:{"code":404,"headers":{"set-cookie":"secret"}}6:secrete' == each.secret.open(
        response.content
    )


async def test_everything_that_does_not_open_is_answered_alike() -> None:
    """Otherwise an exit could learn by trying which part of a request it has hit."""
    app, good = EchoApp(), asked().posted
    broken = [
        b"",
        good[:-1],
        good[:40],
        good[:10] + bytes(2) + good[12:],
        good.replace(b'"ephemeral_key":"', b'"ephemeral_key":"0'),
        good.replace(b"xchacha20", b"aes-cbc"),
        good.replace(b"/oxen/v4/", b"/oxen/../"),
        asked(key=SessionPrivateKey(bytes(31) + b"\1")).posted,
        encode_framing(b"call", {"headers": ""}),
    ]

    answers = [await post(gateway_for(app), body) for body in broken]

    assert {(400, b"Invalid ciphertext")} == {(each.status_code, each.content) for each in answers}
    assert 1 == len({tuple(each.headers.items()) for each in answers})
    assert [] == app.scopes


async def test_a_replay_is_answered_like_damage_and_the_app_sees_one_request() -> None:
    app, body = EchoApp(), asked(V4Request("POST", "/pay", {}, b"")).posted
    gateway = gateway_for(app)

    first, again, damaged = [await post(gateway, each) for each in (body, body, body[:-1])]

    assert (200, 1) == (first.status_code, len(app.scopes))
    assert (400, b"Invalid ciphertext") == (again.status_code, again.content)
    assert damaged.headers == again.headers


async def test_a_replay_that_is_still_being_answered_is_refused_too() -> None:
    begun, go_on, body = anyio.Event(), anyio.Event(), asked().posted

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await go_on.wait()
        await EchoApp()(scope, receive, send)

    gateway, statuses = gateway_for(app), list[int]()

    async def first() -> None:
        statuses.append((await post(gateway, body)).status_code)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await begun.wait()
        statuses.append((await post(gateway, body)).status_code)
        go_on.set()

    assert [400, 200] == statuses


BAD_PLAINTEXTS: dict[str, bytes | V4Request] = {
    "nothing": b"",
    "no list": b"GET /",
    "no head": b"le",
    "three items": b'l31:{"method":"GET","endpoint":"/"}0:0:e',
    "v3": b'{"endpoint":"/","method":"GET","body":"","headers":{}}',
    "a tunnel": V4Request("CONNECT", "/"),
    "another protocol": V4Request("GET", "/", {"Upgrade": "websocket"}),
    "a header twice": V4Request("GET", "/", {"a": "1", "A": "2"}),
    "a header that HTTP cannot carry": V4Request("GET", "/", {"a": "\u20ac"}),
    "a fragment": V4Request("GET", "/#a"),
}


@pytest.mark.parametrize("bad", BAD_PLAINTEXTS.values(), ids=BAD_PLAINTEXTS.keys())
async def test_what_is_no_request_is_refused_under_the_seal(bad: bytes | V4Request) -> None:
    app = EchoApp()

    assert INVALID == await ask(gateway_for(app), asked(bad))
    assert [] == app.scopes


async def test_another_method_than_post_is_told_so() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway_for(EchoApp()))) as http:
        response = await http.get(f"https://example.org{TARGET}")

    assert (405, "POST") == (response.status_code, response.headers["allow"])


async def test_a_body_above_the_limit_is_refused_before_it_is_read_whole() -> None:
    sent, receive = list[Any](), receiving(*[bytes(200)] * 9)

    await gateway_for(EchoApp(), limits=SMALL)(outer_scope(), receive, sending(sent))

    assert (413, b"Request body too large") == (sent[0]["status"], sent[1]["body"])
    assert "http.request" == (await receive())["type"]


async def test_a_body_that_does_not_arrive_in_time_is_refused() -> None:
    sent = list[Any]()

    async def receive() -> Any:
        await anyio.sleep_forever()

    await gateway_for(EchoApp(), limits=SMALL)(outer_scope(), receive, sending(sent))

    assert 408 == sent[0]["status"]


async def test_an_exit_that_leaves_early_is_answered_nothing() -> None:
    sent = list[Any]()

    await gateway_for(EchoApp())(outer_scope(), receiving(), sending(sent))

    assert [] == sent


async def test_more_requests_at_once_than_it_holds_are_refused_and_places_become_free() -> None:
    begun, go_on = anyio.Event(), anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await go_on.wait()
        await EchoApp()(scope, receive, send)

    gateway = gateway_for(app, limits=SessionLimits(in_flight=1, replay_entries=64))
    answers = list[tuple[int, bytes]]()

    async def first() -> None:
        answers.append(((await post(gateway, asked().posted)).status_code, b""))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await begun.wait()
        refused = await post(gateway, asked(seed=1).posted)
        answers.append((refused.status_code, refused.content))
        go_on.set()

    assert [(503, b"Server busy, try again later"), (200, b"")] == answers
    assert 200 == (await post(gateway, asked(seed=1).posted)).status_code


async def test_a_refused_request_is_counted_no_more() -> None:
    gateway, sent = gateway_for(EchoApp(), limits=SMALL), list[Any]()

    for body in (b"?", bytes(999), b"?"):
        await gateway(outer_scope(), receiving(body), sending(sent))

    assert [400, 413, 400] == [event["status"] for event in sent if "status" in event]


async def test_the_servers_own_settings_reach_the_app() -> None:
    app, scope, sent = EchoApp(), outer_scope(), list[Any]()
    scope |= {"root_path": "/prefix", "path": "/prefix" + TARGET, "state": {"pool": 1}}

    await gateway_for(app)(scope, receiving(asked().posted), sending(sent))

    told = tuple(app.scopes[0][name] for name in ("path", "root_path", "state"))
    assert ("/", "/prefix", {"pool": 1}) == told


async def test_a_full_memory_refuses_what_is_new_and_what_is_old() -> None:
    gateway = gateway_for(EchoApp(), limits=SessionLimits(replay_entries=8))

    statuses = [(await post(gateway, asked(seed=seed).posted)).status_code for seed in [*range(7), 0]]

    assert [200] * 6 + [503, 400] == statuses


async def test_a_response_above_the_cap_becomes_an_error_and_ends_the_app() -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200})
        while True:
            await send({"type": "http.response.body", "body": bytes(100), "more_body": True})
            sent += 1

    assert 502 == (await ask(gateway_for(app, limits=SMALL), asked())).status
    assert 3 == sent


@pytest.mark.parametrize(
    "headers",
    [[(b"a", b"b\nc: d")], [(b"h%d" % each, b"") for each in range(65)], [(b"a", b"\x01" * 4000)]],
    ids=["a line's end", "too many", "too long as JSON"],
)
async def test_headers_that_no_client_would_read_become_an_error(headers: list[tuple[bytes, bytes]]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    assert 502 == (await ask(gateway_for(app), asked())).status


async def test_an_app_that_does_not_answer_in_time_is_cancelled() -> None:
    ended = list[str]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    assert 504 == (await ask(gateway_for(app, limits=SMALL), asked())).status
    assert ["cancelled"] == ended


async def test_an_apps_failure_is_logged_and_kept_from_server_and_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("told")

    response = await ask(gateway_for(failing), asked())

    assert 500 == response.status
    assert b"told" not in response.body
    assert [("onionpath.lsrpc", logging.ERROR)] == [(each.name, each.levelno) for each in caplog.records]


async def test_an_answered_request_is_counted_no_more_though_its_app_works_on() -> None:
    go_on, statuses = anyio.Event(), list[int]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await EchoApp()(scope, receive, send)
        await go_on.wait()

    gateway, sent = gateway_for(app, limits=SMALL), list[Any]()
    async with anyio.create_task_group() as tasks:
        for seed in range(2):
            tasks.start_soon(gateway, outer_scope(), receiving(asked(seed=seed).posted), sending(sent))
            await anyio.wait_all_tasks_blocked()
        statuses = [event["status"] for event in sent if "status" in event]
        go_on.set()

    assert [200, 200] == statuses


@pytest.mark.parametrize(("serves_plain", "status", "seen"), [(True, 200, ["/plain"]), (False, 404, [])])
async def test_requests_that_came_by_no_onion_go_to_the_app_or_nowhere(
    serves_plain: bool, status: int, seen: list[str]
) -> None:
    app, scope, sent = EchoApp(), {**outer_scope(), "path": "/plain"}, list[Any]()

    await gateway_for(app, serves_plain=serves_plain)(scope, receiving(b""), sending(sent))

    assert (status, seen) == (sent[0]["status"], [scope["path"] for scope in app.scopes])


async def test_only_onions_means_no_websockets_and_still_a_lifespan() -> None:
    kinds, sent = list[str](), list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kinds.append(scope["type"])

    gateway = gateway_for(app, serves_plain=False)
    await gateway({"type": "websocket", "path": TARGET}, receiving(), sending(sent))
    await gateway({"type": "lifespan"}, receiving(), sending(sent))

    assert (["lifespan"], [{"type": "websocket.close"}]) == (kinds, sent)


def outer_scope() -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "method": "POST",
        "path": TARGET,
        "headers": [],
        "client": ("192.0.2.7", 1),
    }


def receiving(*parts: bytes) -> Any:
    """A server that has these parts of a body, and then an exit that has gone."""
    events = [
        {"type": "http.request", "body": part, "more_body": at < len(parts) - 1}
        for at, part in enumerate(parts)
    ]

    async def receive() -> Any:
        return events.pop(0) if events else {"type": "http.disconnect"}

    return receive


def sending(sent: list[Any]) -> Any:
    async def send(event: Any) -> None:
        sent.append(event)

    return send
