"""The transport: what is sealed, what is checked of the answer, and that there is no way around it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import anyio
import httpx
import pytest

from onionpath.errors import RefusedError, UsageError
from onionpath.ohttp.binary import decode_request
from onionpath.ohttp.encapsulation import GatewayKeys
from onionpath.ohttp.messages import REQUEST_LIMITS, Limits
from onionpath.ohttp.transport import ObliviousTransport, fetch_keys
from tests.ohttp.worlds import GATEWAY, NOW, SITE, Drawn, EchoApp, clock, gateway_for, gateway_key

pytestmark = pytest.mark.anyio

KEYS = (gateway_key().configuration,)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Carrier(httpx.AsyncBaseTransport):
    """Carries requests to an app, keeps what it saw of them, and may answer something else."""

    def __init__(self, app: Any, *, instead: Callable[[], httpx.Response] | None = None) -> None:
        self.seen: list[httpx.Request] = []
        self.closed = 0
        self._app = httpx.ASGITransport(app)
        self._instead = instead

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        return self._instead() if self._instead else await self._app.handle_async_request(request)

    async def aclose(self) -> None:
        self.closed += 1


def client(inner: httpx.AsyncBaseTransport, **settings: Any) -> httpx.AsyncClient:
    settings = {"gateway": GATEWAY, "keys": KEYS, "now": clock(), "entropy": Drawn("client"), **settings}
    return httpx.AsyncClient(transport=ObliviousTransport(inner, **settings), follow_redirects=True)


async def test_a_request_and_its_answer_arrive_whole() -> None:
    app = EchoApp()
    async with client(Carrier(gateway_for(app))) as http:
        response = await http.post(SITE + "/a?b=c", content=b"hello", headers={"x": "y"})

    assert (200, "echo hello", "/a") == (response.status_code, response.text, response.headers["x-path"])
    headers = dict(app.scopes[0]["headers"])
    assert (b"y", b"5") == (headers[b"x"], headers[b"content-length"])
    assert b"Sun, 15 Jun 2025 15:06:40 GMT" == headers[b"date"]


async def test_whoever_carries_it_sees_an_address_a_size_and_nothing_else() -> None:
    carrier = Carrier(gateway_for(EchoApp()))
    relay = "https://relay.example/.well-known/ohttp-gateway"
    async with client(carrier, targets=["https://example.org"], gateway=relay) as http:
        await http.post(SITE + "/", content=b"secret", headers={"cookie": "secret", "user-agent": "secret"})

    (request,) = carrier.seen
    assert ("POST", relay) == (request.method, str(request.url))
    assert {"host", "content-type", "content-length"} == set(request.headers)
    assert "message/ohttp-req" == request.headers["content-type"]
    assert 1024 + 55 == len(request.content)
    assert b"secret" not in request.content


async def test_two_equal_requests_have_nothing_in_common() -> None:
    carrier = Carrier(gateway_for(EchoApp()))
    async with client(carrier) as http:
        await http.get(SITE)
        await http.get(SITE)

    first, second = (each.content for each in carrier.seen)
    assert first[:7] == second[:7]
    assert first[7:39] != second[7:39]
    assert first[39:] != second[39:]


async def test_what_speaks_of_a_connection_is_not_sealed() -> None:
    carrier = Carrier(gateway_for(EchoApp()))
    async with client(carrier, sends_date=False) as http:
        http.headers.clear()
        await http.post(
            SITE, content=b"a", headers={"connection": "x-hop", "x-hop": "1", "te": "a", "X-Kept": "1"}
        )

    message = GatewayKeys([gateway_key()]).open(carrier.seen[0].content).message
    assert ((b"x-kept", b"1"),) == decode_request(message, REQUEST_LIMITS).fields


@pytest.mark.parametrize("status", [200, 500])
async def test_every_answer_is_closed(status: int) -> None:
    """Otherwise its connection would never carry another request."""
    closed = list[bool]()

    class Body(httpx.ByteStream):
        async def aclose(self) -> None:
            closed.append(True)

    carrier = Carrier(None, instead=lambda: httpx.Response(status, stream=Body(b"")))
    async with client(carrier) as http:
        with pytest.raises(httpx.TransportError):
            await http.get(SITE)

    assert [True] == closed


async def test_a_date_of_ones_own_is_left_alone_and_none_is_added_on_wish() -> None:
    app = EchoApp()
    async with client(Carrier(gateway_for(app)), sends_date=False) as http:
        await http.get(SITE)
    async with client(Carrier(gateway_for(app))) as http:
        await http.get(SITE, headers={"date": "mine"})

    without, with_own = (dict(scope["headers"]) for scope in app.scopes)
    assert b"date" not in without
    assert b"mine" == with_own[b"date"]


@pytest.mark.parametrize(
    "url",
    ["http://example.org/", "https://example.com/", "https://example.org:444/", "https://a.example.org/"],
)
async def test_a_request_for_another_origin_is_never_sent(url: str) -> None:
    carrier = Carrier(gateway_for(EchoApp()))
    async with client(carrier) as http:
        with pytest.raises(UsageError):
            await http.get(url)

    assert [] == carrier.seen


async def test_a_redirect_to_another_origin_is_never_followed() -> None:
    """httpx follows it through the same transport, which refuses."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"location", b"http://example.org/plain")]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body"})

    carrier = Carrier(gateway_for(app))
    async with client(carrier) as http:
        with pytest.raises(UsageError):
            await http.get(SITE)

    assert 1 == len(carrier.seen)


@pytest.mark.parametrize(
    ("method", "headers", "content"),
    [
        ("CONNECT", {}, b""),
        ("GET", {"upgrade": "websocket"}, b""),
        ("GET", {"expect": "100-continue"}, b""),
        ("POST", {}, bytes(201)),
        ("GET", {"x": "y" * 20_000}, b""),
        ("GET", {f"x-{number}": "y" for number in range(65)}, b""),
    ],
)
async def test_what_cannot_be_sealed_is_not_sent(
    method: str, headers: dict[str, str], content: bytes
) -> None:
    carrier = Carrier(gateway_for(EchoApp()))
    async with client(carrier, request_limits=Limits(200)) as http:
        with pytest.raises(UsageError):
            await http.request(method, SITE, headers=headers, content=content)

    assert [] == carrier.seen


async def test_a_streamed_body_is_read_to_its_limit_and_not_beyond() -> None:
    read = 0

    async def endless() -> AsyncGenerator[bytes, None]:
        nonlocal read
        while True:
            read += 1
            yield bytes(100)

    carrier = Carrier(gateway_for(EchoApp()))
    async with client(carrier, request_limits=Limits(200)) as http, aclosing(endless()) as body:
        with pytest.raises(UsageError):
            await http.post(SITE, content=body)

    assert 3 == read


def answering(status: int = 200, media_type: str = "message/ohttp-res", body: bytes = b"") -> Carrier:
    headers = {"content-type": media_type, "location": "https://example.org/elsewhere"}
    return Carrier(
        None, instead=lambda: httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))
    )


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ({"status": 302}, httpx.ProxyError, "answered 302"),
        ({"status": 204}, httpx.ProxyError, "answered 204"),
        ({"status": 500}, httpx.ProxyError, "answered 500"),
        ({"media_type": "text/html"}, httpx.RemoteProtocolError, "is not message/ohttp-res"),
        ({"body": b""}, httpx.RemoteProtocolError, "shorter"),
        ({"body": bytes(1056)}, httpx.RemoteProtocolError, "did not open"),
        ({"body": bytes(100_000)}, httpx.RemoteProtocolError, "too long"),
    ],
)
async def test_an_answer_that_is_not_sealed_is_an_error_and_nothing_is_tried_again(
    answer: dict[str, Any], error: type[Exception], words: str
) -> None:
    carrier = answering(**answer)
    async with client(carrier, response_limits=Limits(1000)) as http:
        with pytest.raises(error, match=words):
            await http.get(SITE)

    assert 1 == len(carrier.seen)


async def test_keys_that_are_no_longer_good_have_a_reason_of_their_own() -> None:
    gateway = gateway_for(EchoApp())
    gateway.keys = GatewayKeys([gateway_key(2)])
    async with client(Carrier(gateway)) as http:
        with pytest.raises(httpx.ProxyError) as raised:
            await http.get(SITE)

    assert isinstance(raised.value.__cause__, RefusedError)
    assert "ohttp-key" == raised.value.__cause__.reason


async def test_an_answer_to_another_request_is_not_taken() -> None:
    kept = list[bytes]()

    async def swapping(scope: Any, receive: Any, send: Any) -> None:
        async def held(event: Any) -> None:
            if event["type"] == "http.response.body":
                kept.append(event["body"])
                event = {**event, "body": kept[0]}
            await send(event)

        await gateway_for(EchoApp(), entropy=Drawn("gateway"))(scope, receive, held)

    async with client(Carrier(swapping)) as http:
        await http.get(SITE + "/first")
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(SITE + "/second")


async def test_a_carrier_that_never_answers_is_left_at_the_deadline() -> None:
    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await anyio.sleep_forever()
            raise AssertionError

    async with client(Silent(), deadline_s=0.01) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.get(SITE)


async def test_timeouts_and_nothing_else_reach_the_carrier() -> None:
    carrier = Carrier(gateway_for(EchoApp()))
    async with client(carrier) as http:
        await http.get(SITE, timeout=7, extensions={"sni_hostname": "secret.example"})

    assert {"timeout"} == set(carrier.seen[0].extensions)
    assert 7 == carrier.seen[0].extensions["timeout"]["read"]


async def test_keys_are_fetched_and_used() -> None:
    carrier = Carrier(gateway_for(EchoApp()))

    keys = await fetch_keys(carrier, GATEWAY)

    assert KEYS == keys
    assert ["GET"] == [request.method for request in carrier.seen]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ((301, "application/ohttp-keys"), httpx.ProxyError, "answered 301"),
        ((200, "text/plain"), httpx.RemoteProtocolError, "is not application/ohttp-keys"),
        ((200, "application/ohttp-keys", b"\0\x01"), httpx.RemoteProtocolError, "cut off"),
        ((200, "application/ohttp-keys", bytes(20_000)), httpx.RemoteProtocolError, "too long"),
    ],
)
async def test_what_is_no_list_of_keys_is_refused(
    answer: tuple[Any, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await fetch_keys(answering(*answer), GATEWAY)


@pytest.mark.parametrize(
    "gateway", ["http://example.org/", "https://a@example.org/", "example.org", "https:///x"]
)
async def test_a_gateway_has_an_https_address(gateway: str) -> None:
    with pytest.raises(UsageError):
        await fetch_keys(answering(), gateway)
    with pytest.raises(UsageError):
        client(answering(), gateway=gateway)


@pytest.mark.parametrize("settings", [{"keys": ()}, {"targets": SITE}, {"targets": ["http://example.org"]}])
def test_settings_that_cannot_work_are_refused_at_once(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        client(answering(), **settings)


async def test_closing_it_closes_the_inner_transport() -> None:
    carrier = Carrier(gateway_for(EchoApp()))
    async with client(carrier) as http:
        await http.get(SITE)

    assert carrier.closed


async def test_the_tests_clock_is_the_gateways() -> None:
    """The Date of the client above is what a gateway with a window expects."""
    gateway = gateway_for(EchoApp(), replay_tolerance_s=60)
    async with client(Carrier(gateway), now=clock(NOW + 1)) as http:
        assert 200 == (await http.get(SITE)).status_code
