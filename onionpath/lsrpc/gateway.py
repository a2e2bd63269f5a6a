"""An ASGI middleware that opens the onion requests of Session's clients and passes them to the app behind it.

At two paths it takes v4 requests; everything else goes to the app as it came, or nowhere.
Spec: docs/specs/session-server.md.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from onionpath.crypto.session_channels import SessionPrivateKey
from onionpath.errors import MalformedError
from onionpath.injected import Entropy, SteadyClock
from onionpath.lsrpc.posted_layers import REPLAY_ENTRIES, PostedLayers
from onionpath.lsrpc.translation import INVALID_REQUEST, from_http, to_http
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
from onionpath.ohttp.in_flight import InFlight
from onionpath.ohttp.messages import HttpRequest, HttpResponse, Limits
from onionpath.ohttp.problems import inner_problem
from onionpath.onion.session import SessionOnion
from onionpath.onion.session_framing import MAX_FRAMING_SIZE
from onionpath.onion.session_packets import SessionReplyKey
from onionpath.onion.session_refusals import Refusal, Refuse, refuse
from onionpath.onion.session_v4 import V4Response, decode_v4_request

PATHS = frozenset({"/oxen/v4/lsrpc", "/loki/v4/lsrpc"})
MARKER = "onionpath.lsrpc"
# What an exit takes of a response is what a relay takes of a packet; 32 KiB are left to the head and the seal.
RESPONSE_LIMITS = Limits(body_bytes=MAX_FRAMING_SIZE - 32 * 1024)
_ONION = SessionOnion()
_NO_STORE = {"cache-control": "private, no-store"}


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What a gateway spends on its callers.

    Args:
        in_flight: requests that are being answered; more get 503. Each may hold some 30 MB in memory.
        arriving_bytes: of all posted bodies together that are not complete; beyond, the largest of them gets 503.
        posted_bytes: of a posted body.
        read_s: for a posted body to arrive.
        answer_s: for the app to answer; exits of the original wait for 25 s in all.
        replay_entries: of the memory of what was answered, see ``posted_layers.PostedLayers``.
    """

    response: Limits = RESPONSE_LIMITS
    in_flight: int = 32
    arriving_bytes: int = 64 * 1024 * 1024
    posted_bytes: int = MAX_FRAMING_SIZE
    read_s: float = 20.0
    answer_s: float = 20.0
    replay_entries: int = REPLAY_ENTRIES


class SessionGateway:
    """``app = SessionGateway(app, read_key(Path("server.key")))``.

    Args:
        serves_plain: whether requests that came by no onion reach the app too.
    """

    def __init__(
        self,
        app: App,
        key: SessionPrivateKey,
        *,
        serves_plain: bool = True,
        limits: SessionLimits | None = None,
        clock: SteadyClock | None = None,
        entropy: Entropy = os.urandom,
    ) -> None:
        self._app = app
        self._serves_plain = serves_plain
        self._limits = limits or SessionLimits()
        self._clock = clock or SteadyClock(time.time, time.monotonic)
        self._entropy = entropy
        self._layers = PostedLayers(
            key,
            entropy=entropy,
            replay_entries=self._limits.replay_entries,
        )
        self._arrivals = Arrivals(most_bytes=self._limits.arriving_bytes)
        self._in_flight = InFlight(self._limits.in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope; an ASGI server calls this."""
        if scope["type"] == "http" and _is_ours(scope):
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan" or self._serves_plain:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await send_whole(send, 404, media_type="text/plain", body=b"not found\n")
        else:
            await send({"type": "websocket.close"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await send_whole(send, 405, media_type="text/plain", body=b"", headers={"allow": "POST"})
        elif (posted := await self._read(receive)) is None:
            pass
        elif isinstance(posted, Refuse):
            await _refuse(send, posted)
        elif self._in_flight.is_full:
            await _refuse(send, refuse(Refusal.BUSY))
        else:
            with self._in_flight.place() as leave:
                await self._answer(posted, scope, receive, send, leave)

    async def _read(self, receive: Receive) -> bytes | Refuse | None:
        """What was posted, or why it is not read; None if nobody waits for an answer."""
        try:
            limits = self._limits
            return await self._arrivals.read(receive, max_bytes=limits.posted_bytes, timeout_s=limits.read_s)
        except BodyTooLongError:
            return refuse(Refusal.TOO_LARGE)
        except TimeoutError:
            return Refuse(408, b"the request did not arrive in time\n")
        except CrowdedError:
            return refuse(Refusal.BUSY)
        except DisconnectedError:
            return None

    async def _answer(
        self, posted: bytes, scope: Scope, receive: Receive, send: Send, leave: Callable[[], None]
    ) -> None:
        opened = self._layers.open(posted, now=self._clock.now())
        if isinstance(opened, Refuse):
            await _refuse(send, opened)
            return
        answer = _Answer(opened.reply_key, send, self._entropy, leave)
        try:
            request = _inner_request(opened.plaintext, scope)
        except MalformedError:
            await answer.send_sealed(INVALID_REQUEST)
            return
        run = AppRun(
            request,
            outer=scope,
            receive=receive,
            answer=answer,
            limits=self._limits.response,
            marker=MARKER,
        )
        await run.until_it_returns(self._app, deadline_s=self._limits.answer_s)


@dataclass(frozen=True, slots=True)
class _Answer:
    """Seals a response and sends it; from then on the app may work without being counted."""

    reply_key: SessionReplyKey
    send: Send
    entropy: Entropy
    leave: Callable[[], None]

    async def __call__(self, response: HttpResponse) -> None:
        try:
            translated = from_http(response)
        except MalformedError as error:
            translated = from_http(inner_problem(502, str(error)))
        await self.send_sealed(translated)

    async def send_sealed(self, response: V4Response) -> None:
        """The response as it is."""
        sealed = _ONION.seal_reply(self.reply_key, response, entropy=self.entropy)
        await send_whole(
            self.send, 200, media_type="application/octet-stream", body=sealed, headers=_NO_STORE
        )
        self.leave()


def _is_ours(scope: Scope) -> bool:
    return scope["path"].removeprefix(scope.get("root_path", "")) in PATHS


def _inner_request(plaintext: bytes, outer: Scope) -> HttpRequest:
    scheme = str(outer.get("scheme", "http")).encode("ascii")
    return to_http(decode_v4_request(plaintext), scheme=scheme, host=header(outer, b"host"))


async def _refuse(send: Send, refusal: Refuse) -> None:
    await send_whole(send, refusal.status, media_type="text/plain", body=refusal.body, headers=_NO_STORE)
