"""An ASGI middleware that opens sealed requests and passes them to the app behind it.

At one path (RFC 9540's well-known one by default) it serves its keys and takes sealed requests; everything else goes
to the app as it came, or nowhere. Source: RFC 9458 §5; docs/specs/ohttp.md §5.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from onionpath.crypto.oblivious import ResponseSecret
from onionpath.errors import BadLayerError, MalformedError, RefusedError, UsageError
from onionpath.injected import Entropy, SteadyClock
from onionpath.ohttp.app_run import AppRun
from onionpath.ohttp.arrivals import Arrivals, CrowdedError
from onionpath.ohttp.asgi import (
    App,
    BodyTooLongError,
    DisconnectedError,
    Receive,
    Scope,
    Send,
    header,
    send_whole,
)
from onionpath.ohttp.binary import decode_request, encode_response
from onionpath.ohttp.dates import decode_date
from onionpath.ohttp.encapsulation import (
    REQUEST_OVERHEAD,
    REQUEST_TYPE,
    RESPONSE_TYPE,
    GatewayKeys,
    OpenedRequest,
)
from onionpath.ohttp.in_flight import InFlight
from onionpath.ohttp.judgement import JudgedError, judge
from onionpath.ohttp.keys import MEDIA_TYPE
from onionpath.ohttp.messages import (
    REQUEST_LIMITS,
    RESPONSE_LIMITS,
    HttpRequest,
    HttpResponse,
    Limits,
    values_of,
)
from onionpath.ohttp.padding import pad, padded_size
from onionpath.ohttp.problems import DOES_NOT_OPEN, PROBLEM_TYPE, date_problem, inner_problem
from onionpath.ohttp.replay import ReplayWindow

WELL_KNOWN_PATH = "/.well-known/ohttp-gateway"
_TOO_MANY = "too many requests at once"
_NO_STORE = {"cache-control": "private, no-store"}


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """What a gateway spends on its callers.

    Args:
        in_flight: requests that are being answered; more get 503. Each may hold about one message in memory.
        arriving_bytes: of all bodies together that are not complete; beyond, the largest of them gets 503.
        read_s: for the body of a sealed request to arrive.
        answer_s: for the app to answer.
    """

    request: Limits = REQUEST_LIMITS
    response: Limits = RESPONSE_LIMITS
    in_flight: int = 64
    arriving_bytes: int = 64 * 1024 * 1024
    read_s: float = 20.0
    answer_s: float = 60.0


class ObliviousGateway:
    """``app = ObliviousGateway(app, keys, authorities=["example.org"])``.

    Assign ``keys`` to rotate them while it runs.

    Args:
        authorities: the hosts, with a port other than 443, that the app answers for; sealed requests for others get
            421, so that nobody uses the gateway to reach what only it can.
        replay_tolerance_s: refuse what was answered before, and Dates further than this from our clock; None leaves
            replays to the app. The memory belongs to this process.
        serves_plain: whether requests that are not sealed reach the app too.
    """

    def __init__(
        self,
        app: App,
        keys: GatewayKeys,
        *,
        authorities: Iterable[str],
        replay_tolerance_s: float | None = None,
        serves_plain: bool = True,
        path: str = WELL_KNOWN_PATH,
        limits: GatewayLimits | None = None,
        clock: SteadyClock | None = None,
        entropy: Entropy = os.urandom,
    ) -> None:
        if isinstance(authorities, str):
            raise UsageError("authorities are several: give a list")
        self.keys = keys
        self._app = app
        self._authorities = frozenset(
            name.lower().removesuffix(":443").encode("ascii") for name in authorities
        )
        self._serves_plain = serves_plain
        self._path = path
        self._limits = limits or GatewayLimits()
        self._clock = clock or SteadyClock(time.time, time.monotonic)
        self._entropy = entropy
        self._replays = None
        if replay_tolerance_s is not None:
            self._replays = ReplayWindow(started_at=self._clock.now(), tolerance_s=replay_tolerance_s)
        self._arrivals = Arrivals(most_bytes=self._limits.arriving_bytes)
        self._in_flight = InFlight(self._limits.in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope; an ASGI server calls this."""
        if scope["type"] == "http" and self._is_ours(scope):
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan" or self._serves_plain:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await send_whole(send, 404, media_type="text/plain", body=b"not found\n")
        else:
            await send({"type": "websocket.close"})

    def _is_ours(self, scope: Scope) -> bool:
        return bool(scope["path"].removeprefix(scope.get("root_path", "")) == self._path)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method in ("GET", "HEAD"):
            body = self.keys.encoded if method == "GET" else b""
            # Clients that see different keys can be told apart, so a cache between may well keep them for all.
            headers = {"cache-control": "public, max-age=3600", "content-length": str(len(self.keys.encoded))}
            await send_whole(send, 200, media_type=MEDIA_TYPE, body=body, headers=headers)
        elif method != "POST":
            headers = {"allow": "GET, HEAD, POST"}
            await send_whole(send, 405, media_type="text/plain", body=b"", headers=headers)
        elif header(scope, b"content-type") != REQUEST_TYPE.encode("ascii"):
            await _refuse(send, 415, "a sealed request is message/ohttp-req")
        elif (sealed := await self._read(receive, send)) is None:
            pass
        elif self._in_flight.is_full:
            await _refuse(send, 503, _TOO_MANY)
        else:
            with self._in_flight.place() as leave:
                await self._answer(sealed, scope, receive, send, leave)

    async def _answer(
        self, sealed: bytes, scope: Scope, receive: Receive, send: Send, leave: Callable[[], None]
    ) -> None:
        try:
            opened = self.keys.open(sealed)
        except BadLayerError:
            await send_whole(send, 422, media_type=PROBLEM_TYPE, body=DOES_NOT_OPEN, headers=_NO_STORE)
            return
        answer = _Answer(opened.secret, send, self._entropy, leave)
        request = self._admit(opened)
        if isinstance(request, HttpResponse):
            await answer(request)
            return
        run = AppRun(request, outer=scope, receive=receive, answer=answer, limits=self._limits.response)
        await run.until_it_returns(self._app, deadline_s=self._limits.answer_s)

    async def _read(self, receive: Receive, send: Send) -> bytes | None:
        """The sealed request, or None if there is none and the client knows."""
        max_bytes = padded_size(self._limits.request.message_bytes) + REQUEST_OVERHEAD
        try:
            return await self._arrivals.read(receive, max_bytes=max_bytes, timeout_s=self._limits.read_s)
        except BodyTooLongError:
            await _refuse(send, 413, "the sealed request is too large")
        except TimeoutError:
            await _refuse(send, 408, "the sealed request did not arrive in time")
        except CrowdedError:
            await _refuse(send, 503, _TOO_MANY)
        except DisconnectedError:
            pass
        return None

    def _admit(self, opened: OpenedRequest) -> HttpRequest | HttpResponse:
        """The request for the app, or the answer that it gets instead."""
        try:
            request = decode_request(opened.message, self._limits.request)
            judged = judge(request, authorities=self._authorities)
        except MalformedError as error:
            return inner_problem(400, str(error))
        except JudgedError as error:
            return inner_problem(error.status, str(error))
        return self._replayed(opened, judged) or judged

    def _replayed(self, opened: OpenedRequest, request: HttpRequest) -> HttpResponse | None:
        if self._replays is None:
            return None
        now = self._clock.now()
        try:
            (value,) = values_of(request.fields, b"date")
            self._replays.admit(opened.enc, decode_date(value), now=now)
        except (ValueError, MalformedError):
            return date_problem(now)
        except RefusedError as error:
            if error.reason == "date":
                return date_problem(now)
            return inner_problem(503 if error.reason == "full" else 400, str(error))
        return None


@dataclass(frozen=True, slots=True)
class _Answer:
    """Seals a response, padded, and sends it; from then on the app may work without being counted."""

    secret: ResponseSecret
    send: Send
    entropy: Entropy
    leave: Callable[[], None]

    async def __call__(self, response: HttpResponse) -> None:
        sealed = self.secret.seal(pad(encode_response(response)), entropy=self.entropy)
        await send_whole(self.send, 200, media_type=RESPONSE_TYPE, body=sealed, headers=_NO_STORE)
        self.leave()


async def _refuse(send: Send, status: int, title: str) -> None:
    await send_whole(
        send, status, media_type="text/plain", body=title.encode("ascii") + b"\n", headers=_NO_STORE
    )
