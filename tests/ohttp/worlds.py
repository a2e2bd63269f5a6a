"""A small app behind a gateway, and what is needed to speak to it sealed or raw."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx

from onionpath.crypto.oblivious import ObliviousPrivateKey, ResponseSecret
from onionpath.injected import SteadyClock
from onionpath.ohttp.asgi import App
from onionpath.ohttp.binary import decode_response, encode_request
from onionpath.ohttp.encapsulation import REQUEST_TYPE, GatewayKey, GatewayKeys, seal_request
from onionpath.ohttp.gateway import WELL_KNOWN_PATH, ObliviousGateway
from onionpath.ohttp.messages import RESPONSE_LIMITS, Fields, HttpRequest, HttpResponse
from onionpath.ohttp.padding import pad

SITE = "https://example.org"
GATEWAY = SITE + WELL_KNOWN_PATH
NOW = 1_750_000_000.0


class Drawn:
    """Bytes that look random and are the same in every run; no two draws are alike."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._drawn = 0

    def __call__(self, size: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_256(f"{self._seed} {self._drawn}".encode()).digest(size)


def gateway_key(key_id: int = 1) -> GatewayKey:
    return GatewayKey(key_id, ObliviousPrivateKey(hashlib.sha256(b"gateway %d" % key_id).digest()))


def clock(start: float = NOW) -> Callable[[], float]:
    return lambda: start


class EchoApp:
    """Tells what it was asked, and keeps the scopes that it has seen."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        event = await receive()
        self.bodies.append(event["body"])
        headers = [(b"content-type", b"text/plain"), (b"x-path", scope["path"].encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"echo ", "more_body": True})
        await send({"type": "http.response.body", "body": event["body"]})


def gateway_for(app: App, **settings: Any) -> ObliviousGateway:
    settings = {"authorities": ["example.org"], "clock": SteadyClock(clock(), clock(0)), **settings}
    return ObliviousGateway(app, GatewayKeys([gateway_key()]), **settings)


class Raw(NamedTuple):
    """A request as somebody else's client may seal it, and what opens its answer."""

    body: bytes
    secret: ResponseSecret


def sealed(
    message: bytes | None = None, *, fields: Fields = (), key: GatewayKey | None = None, **changes: Any
) -> Raw:
    """A sealed GET of the site; ``changes`` go to its control data, ``message`` replaces it as a whole."""
    control = {"method": b"GET", "scheme": b"https", "authority": b"example.org", "path": b"/", **changes}
    plain = encode_request(HttpRequest(**control, fields=fields)) if message is None else message
    entropy = Drawn(f"{plain!r}")
    return Raw(*seal_request(pad(plain), (key or gateway_key()).configuration, entropy=entropy))


async def post(app: App, body: bytes, **headers: str) -> httpx.Response:
    """Carry a body to the gateway, as whoever stands between would."""
    named = {"content-type": REQUEST_TYPE, **headers}
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 1234))
    async with httpx.AsyncClient(transport=transport) as http:
        return await http.post(GATEWAY, content=body, headers=named)


async def ask(app: App, raw: Raw) -> HttpResponse:
    """The opened answer to a raw request."""
    response = await post(app, raw.body)
    assert (200, "message/ohttp-res") == (response.status_code, response.headers["content-type"])
    return decode_response(raw.secret.open(response.content), RESPONSE_LIMITS)
