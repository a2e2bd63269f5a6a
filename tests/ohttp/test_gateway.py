"""The middleware: what reaches the app, what comes back, and what whoever carries the request can learn."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import msgspec
import pytest

from onionpath.errors import UsageError
from onionpath.injected import SteadyClock
from onionpath.ohttp.dates import encode_date
from onionpath.ohttp.encapsulation import GatewayKeys
from onionpath.ohttp.gateway import WELL_KNOWN_PATH, GatewayLimits, ObliviousGateway
from onionpath.ohttp.keys import decode_key_configurations
from onionpath.ohttp.messages import Limits, values_of
from onionpath.ohttp.problems import DATE_PROBLEM, KEY_PROBLEM
from tests.ohttp.worlds import GATEWAY, NOW, EchoApp, ask, clock, gateway_for, gateway_key, post, sealed

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


SMALL = GatewayLimits(request=Limits(200), response=Limits(300), in_flight=1, read_s=0.05, answer_s=0.05)


async def test_the_app_answers_a_sealed_request() -> None:
    app = EchoApp()

    response = await ask(gateway_for(app), sealed(path=b"/a%20b/%C3%BC?c=d", fields=((b"x", b"y"),)))

    assert (200, b"echo ") == (response.status, response.body)
    (scope,) = app.scopes
    assert ("http", "GET", "https", "/a b/ü") == tuple(
        scope[name] for name in ("type", "method", "scheme", "path")
    )
    assert (b"/a%20b/%C3%BC", b"c=d") == (scope["raw_path"], scope["query_string"])
    assert [[b"host", b"example.org"], [b"x", b"y"]] == scope["headers"]


async def test_nothing_of_whoever_carries_it_reaches_the_app() -> None:
    app = EchoApp()

    await post(gateway_for(app), sealed().body, **{"x-forwarded-for": "192.0.2.9", "cookie": "a=b"})

    (scope,) = app.scopes
    assert (None, None) == (scope["client"], scope["server"])
    assert {"onionpath.ohttp": {}} == scope["extensions"]
    assert "192.0.2" not in repr(scope)
    assert "cookie" not in repr(scope)


async def test_the_servers_own_settings_reach_the_app() -> None:
    app, scope, sent = EchoApp(), outer_scope(), list[Any]()
    scope |= {"root_path": "/prefix", "path": "/prefix" + WELL_KNOWN_PATH, "state": {"pool": 1}}

    await gateway_for(app)(scope, receiving(sealed().body), sending(sent))

    assert ("/", "/prefix", {"pool": 1}) == tuple(
        app.scopes[0][name] for name in ("path", "root_path", "state")
    )
    assert 200 == sent[0]["status"]


def outer_scope() -> dict[str, Any]:
    headers = [(b"content-type", b"message/ohttp-req")]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "method": "POST",
        "path": WELL_KNOWN_PATH,
        "headers": headers,
        "extensions": {"tls": {"client_cert_name": "CN=alice"}},
        "client": ("192.0.2.7", 1),
    }


def receiving(*parts: bytes) -> Any:
    """A server that has these parts of a body, and then a client who has gone."""
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


async def test_the_keys_are_served_at_the_well_known_path() -> None:
    gateway = ObliviousGateway(
        EchoApp(), GatewayKeys([gateway_key(2)], retired=[gateway_key(1)]), authorities=["example.org"]
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway)) as http:
        got, head, put = await http.get(GATEWAY), await http.head(GATEWAY), await http.put(GATEWAY)

    assert (200, "application/ohttp-keys") == (got.status_code, got.headers["content-type"])
    assert [2] == [each.key_id for each in decode_key_configurations(got.content)]
    assert (b"", got.headers) == (head.content, head.headers)
    assert (405, "GET, HEAD, POST") == (put.status_code, put.headers["allow"])


async def test_keys_are_exchanged_while_it_runs() -> None:
    gateway = gateway_for(EchoApp())

    gateway.keys = GatewayKeys([gateway_key(2)])

    assert 422 == (await post(gateway, sealed().body)).status_code
    assert 200 == (await ask(gateway, sealed(key=gateway_key(2)))).status


async def test_everything_that_does_not_open_is_answered_alike() -> None:
    """Otherwise whoever stands between could learn by trying which part of a request he has hit."""
    app, good = EchoApp(), sealed().body
    broken = [
        b"",
        good[:-1],
        good[:40],
        b"\x63" + good[1:],
        good[:2] + b"\x21" + good[3:],
        good[:6] + b"\x02" + good[7:],
        good[:7] + bytes(32) + good[39:],
        good[:-1] + bytes([good[-1] ^ 1]),
        sealed(key=gateway_key(2)).body,
    ]

    answers = [await post(gateway_for(app), body) for body in broken]

    assert {(422, KEY_PROBLEM)} == {(each.status_code, each.json()["type"]) for each in answers}
    assert 1 == len({(each.content, tuple(each.headers.items())) for each in answers})
    assert [] == app.scopes


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"message": b"\x04"}, 400),
        ({"message": b"\0\x03GET"}, 400),
        ({"method": b"CONNECT"}, 400),
        ({"fields": ((b"upgrade", b"websocket"),)}, 400),
        ({"fields": ((b"expect", b"100-continue"),)}, 417),
        ({"path": b"*"}, 400),
        ({"authority": b"example.com"}, 421),
        ({"authority": b"example.org:444"}, 421),
        ({"scheme": b"http"}, 421),
        ({"authority": b""}, 400),
        ({"fields": ((b"host", b"example.com"),)}, 400),
        ({"fields": ((b"host", b"example.org"), (b"host", b"example.org"))}, 400),
        ({"fields": ((b"content-length", b"1"),)}, 400),
        ({"fields": ((b"content-length", b"0"), (b"content-length", b"00"))}, 400),
    ],
)
async def test_what_the_app_must_not_see_is_refused_inside_the_seal(
    changes: dict[str, Any], status: int
) -> None:
    app = EchoApp()

    assert status == (await ask(gateway_for(app), sealed(**changes))).status
    assert [] == app.scopes


@pytest.mark.parametrize(
    "changes",
    [
        {"authority": b"EXAMPLE.org:443"},
        {"authority": b"", "fields": ((b"host", b"example.org"),)},
        {"fields": ((b"content-length", b"0"),)},
    ],
)
async def test_other_spellings_of_the_same_are_taken(changes: dict[str, Any]) -> None:
    app = EchoApp()

    assert 200 == (await ask(gateway_for(app), sealed(**changes))).status
    assert [b"host", b"example.org"] == app.scopes[0]["headers"][0]


async def test_fields_of_a_connection_go_neither_way() -> None:
    hops = (
        (b"connection", b"close, X-Hop"),
        (b"x-hop", b"1"),
        (b"transfer-encoding", b"chunked"),
        (b"te", b"a"),
    )
    seen = list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])
        await send({"type": "http.response.start", "status": 200, "headers": [*hops, (b"X-Kept", b"1")]})
        await send({"type": "http.response.body"})

    response = await ask(gateway_for(app), sealed(fields=hops))

    assert [[b"host", b"example.org"]] == seen
    assert ((b"x-kept", b"1"),) == response.fields


async def test_sizes_say_only_which_bucket_a_response_is_in() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        size = int(scope["query_string"])
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": bytes(size)})

    gateway = gateway_for(app)
    sizes = [
        len((await post(gateway, sealed(path=b"/?%d" % size).body)).content) for size in (0, 900, 1100, 99999)
    ]

    # 16 bytes of nonce and 16 of tag stand around the message.
    assert [1024 + 32, 1024 + 32, 2048 + 32, 128 * 1024 + 32] == sizes


@pytest.mark.parametrize(("status", "method"), [(200, b"HEAD"), (204, b"GET"), (304, b"GET")])
async def test_responses_without_content_carry_none(status: int, method: bytes) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body", "body": b"content"})

    response = await ask(gateway_for(app), sealed(method=method))

    assert (status, b"") == (response.status, response.body)


async def test_a_response_above_the_cap_becomes_an_error_and_ends_the_app() -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200})
        while True:
            await send({"type": "http.response.body", "body": bytes(100), "more_body": True})
            sent += 1

    assert 502 == (await ask(gateway_for(app, limits=SMALL), sealed())).status
    assert 3 == sent


async def test_headers_that_no_client_would_read_become_an_error() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\nc: d")]})
        await send({"type": "http.response.body"})

    assert 502 == (await ask(gateway_for(app), sealed())).status


async def test_an_app_that_does_not_answer_in_time_is_cancelled() -> None:
    ended = list[str]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    assert 504 == (await ask(gateway_for(app, limits=SMALL), sealed())).status
    assert ["cancelled"] == ended


async def test_an_app_that_fails_or_says_nothing_is_an_error_inside_the_seal() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("secret")

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    for app in (failing, silent):
        response = await ask(gateway_for(app), sealed())
        assert 500 == response.status
        assert b"secret" not in response.body


@pytest.mark.parametrize("is_answered", [False, True])
async def test_an_apps_failure_is_logged_and_kept_from_the_server(
    is_answered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A server would close the connection, and whoever carried the request would know how it ended."""
    sent = list[Any]()

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        if is_answered:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body"})
        raise LookupError("told")

    await gateway_for(failing)(outer_scope(), receiving(sealed().body), sending(sent))

    assert [200] == [event["status"] for event in sent if "status" in event]
    assert ["onionpath.ohttp"] == [record.name for record in caplog.records]
    assert "LookupError: told" in caplog.text


async def test_an_answer_leaves_before_the_app_returns() -> None:
    """Frameworks run their background work in the same call, without a deadline."""
    sent, seen = list[Any](), list[int]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})
        seen.append(len(sent))
        await anyio.sleep(2 * SMALL.answer_s)
        seen.append(len(sent))

    await gateway_for(app, limits=SMALL)(outer_scope(), receiving(sealed().body), sending(sent))

    assert [2, 2] == seen


async def test_the_app_hears_that_its_client_has_gone() -> None:
    events = list[str]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        events.extend([(await receive())["type"], (await receive())["type"]])

    await gateway_for(app)(outer_scope(), receiving(sealed().body), sending([]))

    assert ["http.request", "http.disconnect"] == events


async def test_a_request_above_the_cap_is_refused_before_it_is_read_whole() -> None:
    sent, parts = list[Any](), [bytes(10_000)] * 100
    receive = receiving(*parts)

    await gateway_for(EchoApp(), limits=SMALL)(outer_scope(), receive, sending(sent))

    assert 413 == sent[0]["status"]
    assert "http.request" == (await receive())["type"]


async def test_a_sealed_body_above_the_limit_is_refused_inside() -> None:
    message = b"\0\x04POST\x05https\x0bexample.org\x01/\0\x40\xc9" + bytes(201)

    assert 400 == (await ask(gateway_for(EchoApp(), limits=SMALL), sealed(message))).status


async def test_a_request_that_does_not_arrive_in_time_is_refused() -> None:
    sent = list[Any]()

    async def receive() -> Any:
        await anyio.sleep_forever()

    await gateway_for(EchoApp(), limits=SMALL)(outer_scope(), receive, sending(sent))

    assert 408 == sent[0]["status"]


async def test_a_client_that_leaves_early_is_answered_nothing() -> None:
    sent = list[Any]()

    await gateway_for(EchoApp())(outer_scope(), receiving(), sending(sent))

    assert [] == sent


async def test_more_requests_at_once_than_it_holds_are_refused() -> None:
    begun, go_on = anyio.Event(), anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await go_on.wait()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    gateway = gateway_for(app, limits=GatewayLimits(in_flight=1))
    statuses = list[int]()

    async def first() -> None:
        statuses.append((await post(gateway, sealed().body)).status_code)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await begun.wait()
        statuses.append((await post(gateway, sealed().body)).status_code)
        go_on.set()

    assert [503, 200] == statuses
    assert 200 == (await post(gateway, sealed().body)).status_code


async def test_an_answered_request_is_counted_no_more_though_its_app_works_on() -> None:
    answered, go_on = anyio.Event(), anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})
        answered.set()
        await go_on.wait()

    gateway, sent = gateway_for(app, limits=GatewayLimits(in_flight=1)), list[Any]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gateway, outer_scope(), receiving(sealed().body), sending(sent))
        await answered.wait()
        tasks.start_soon(gateway, outer_scope(), receiving(sealed().body), sending(sent))
        await anyio.wait_all_tasks_blocked()
        go_on.set()

    assert [200, 200] == [event["status"] for event in sent if "status" in event]


async def test_a_refused_request_is_counted_no_more() -> None:
    gateway, sent = gateway_for(EchoApp(), limits=SMALL), list[Any]()

    for body in (b"?", bytes(999_999), b"?"):
        await gateway(outer_scope(), receiving(body), sending(sent))

    assert [422, 413, 422] == [event["status"] for event in sent if "status" in event]


async def test_an_app_that_waits_for_its_clients_end_after_the_answer_hears_it_at_once() -> None:
    """The server hears of it only once the app has returned, so that both would wait for each other."""
    events = list[str]()

    async def receive() -> Any:
        if events:
            await anyio.sleep_forever()
        return {"type": "http.request", "body": sealed().body}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})
        events.append("answered")
        events.append((await receive())["type"])

    with anyio.fail_after(1):
        await gateway_for(app)(outer_scope(), receive, sending([]))

    assert ["answered", "http.disconnect"] == events


async def test_only_the_media_type_of_sealed_requests_is_taken() -> None:
    for media_type in ("application/json", "message/bhttp", "message/ohttp-req; a=b"):
        answer = await post(gateway_for(EchoApp()), sealed().body, **{"content-type": media_type})
        assert 415 == answer.status_code


@pytest.mark.parametrize(("serves_plain", "status", "seen"), [(True, 200, ["/plain"]), (False, 404, [])])
async def test_plain_requests_reach_the_app_unless_that_is_refused(
    serves_plain: bool, status: int, seen: list[str]
) -> None:
    app, sent = EchoApp(), list[Any]()
    scope = {**outer_scope(), "path": "/plain"}

    await gateway_for(app, serves_plain=serves_plain)(scope, receiving(b""), sending(sent))

    assert (status, seen) == (sent[0]["status"], [scope["path"] for scope in app.scopes])


async def test_only_sealed_requests_means_no_websockets_and_still_a_lifespan() -> None:
    kinds, sent = list[str](), list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kinds.append(scope["type"])

    gateway = gateway_for(app, serves_plain=False)
    await gateway({"type": "websocket", "path": WELL_KNOWN_PATH}, receiving(), sending(sent))
    await gateway({"type": "lifespan"}, receiving(), sending(sent))

    assert (["lifespan"], [{"type": "websocket.close"}]) == (kinds, sent)


async def test_a_sealed_request_for_the_gateways_own_path_goes_to_the_app() -> None:
    """A gateway that opened what it has just opened could be sent round in circles."""
    app = EchoApp()

    await ask(gateway_for(app), sealed(path=WELL_KNOWN_PATH.encode()))

    assert [WELL_KNOWN_PATH] == [scope["path"] for scope in app.scopes]


def dated(offset_s: float = 1.0) -> Any:
    return sealed(fields=((b"date", encode_date(NOW + offset_s)),))


async def test_a_replayed_request_is_not_carried_out_again() -> None:
    app = EchoApp()
    gateway = gateway_for(app, replay_tolerance_s=60)

    assert [200, 400] == [(await ask(gateway, dated())).status for _ in range(2)]
    assert 200 == (await ask(gateway, dated(2))).status
    assert 2 == len(app.scopes)


async def test_without_a_window_replays_are_left_to_the_app() -> None:
    gateway = gateway_for(EchoApp())

    assert [200, 200] == [(await ask(gateway, sealed())).status for _ in range(2)]


@pytest.mark.parametrize("raw", [sealed(), dated(-1), dated(62), sealed(fields=((b"date", b"today"),))])
async def test_a_date_outside_of_the_window_is_told_with_ours(raw: Any) -> None:
    gateway = gateway_for(EchoApp(), replay_tolerance_s=60, clock=SteadyClock(clock(), clock(0)))

    response = await ask(gateway, raw)

    assert (400, DATE_PROBLEM) == (response.status, msgspec.json.decode(response.body, type=dict)["type"])
    assert [encode_date(NOW)] == values_of(response.fields, b"date")


async def test_a_replay_is_answered_under_another_key() -> None:
    """The same seal twice over two different answers would give both away."""
    gateway = gateway_for(EchoApp())
    raw = sealed()

    first, second = (await post(gateway, raw.body)).content, (await post(gateway, raw.body)).content

    assert first[:16] != second[:16]
    assert raw.secret.open(first) == raw.secret.open(second)


def test_a_text_in_the_place_of_a_list_is_refused() -> None:
    with pytest.raises(UsageError):
        gateway_for(EchoApp(), authorities="example.org")
