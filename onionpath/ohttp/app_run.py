"""One run of the app, for one opened request: what the app is told of it, and what becomes of its answer.

| state | the app may send | a request's end |
|---|---|---|
| WAITING | a start | none: 500, 504 after the deadline |
| STARTED | bodies | the same |
| ANSWERED | nothing that counts | the app may go on working |

The answer leaves when it is complete, not when the app returns. The scope is made from the opened request alone; of
the outer one only what the server's operator has set goes along.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import unquote_to_bytes

import anyio
import anyio.lowlevel

from onionpath.errors import MalformedError, UsageError
from onionpath.ohttp.asgi import App, Event, Receive, Scope
from onionpath.ohttp.binary import check_message
from onionpath.ohttp.fields import without_connection_fields
from onionpath.ohttp.messages import HttpRequest, HttpResponse, Limits
from onionpath.ohttp.problems import inner_problem

# These responses have no content (RFC 9110 §6.4.1), whatever the app sends.
EMPTY_STATUSES = frozenset({204, 205, 304})


class _State(enum.Enum):
    WAITING = enum.auto()
    STARTED = enum.auto()
    ANSWERED = enum.auto()


def inner_scope(request: HttpRequest, outer: Scope, *, marker: str) -> Scope:
    """The app's scope: no address, no header and no extension of whoever carried the request.

    ``asgi``, ``root_path`` and the lifespan's ``state`` are the server's own. The extension ``marker`` tells the app
    how the request came.
    """
    path, _, query = request.path.partition(b"?")
    scope: Scope = {
        "type": "http",
        "asgi": dict(outer["asgi"]),
        "http_version": "1.1",
        "method": request.method.decode("ascii").upper(),
        "scheme": request.scheme.decode("ascii"),
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path,
        "query_string": query,
        "root_path": outer.get("root_path", ""),
        "headers": [list(field) for field in request.fields],
        "client": None,
        "server": None,
        "extensions": {marker: {}},
    }
    if "state" in outer:
        scope["state"] = dict(outer["state"])
    return scope


class AppRun:
    """Runs the app for one request and hands exactly one response to ``answer``.

    Args:
        answer: seals a response and sends it.
        limits: of the response; above them it becomes a 502, and the app is cancelled.
        marker: says how the request came: the scope's extension and the logger for the app's failures have this name.
    """

    def __init__(
        self,
        request: HttpRequest,
        *,
        outer: Scope,
        receive: Receive,
        answer: Callable[[HttpResponse], Awaitable[None]],
        limits: Limits,
        marker: str = "onionpath.ohttp",
    ) -> None:
        self._request = request
        self._marker = marker
        self._scope = inner_scope(request, outer, marker=marker)
        self._outer_receive = receive
        self._answer = answer
        self._limits = limits
        self._state = _State.WAITING
        self._is_received = False
        self._status = 0
        self._fields: tuple[tuple[bytes, bytes], ...] = ()
        self._body = bytearray()
        self._patience = anyio.CancelScope()

    async def until_it_returns(self, app: App, *, deadline_s: float) -> None:
        """Run the app until it returns; it has ``deadline_s`` to answer.

        What it raises goes to the logger named ``marker`` and no further: a server closes the connection of an
        app that fails, and the carrier, who may not know how a request ended, would see that.
        """
        self._patience.deadline = anyio.current_time() + deadline_s
        try:
            with self._patience:
                await app(self._scope, self._receive, self._send)
        except Exception as error:
            logging.getLogger(self._marker).error("the app failed", exc_info=error)
            await self._settle(inner_problem(500, "the app failed"))
        if self._patience.cancelled_caught:
            await self._settle(inner_problem(504, "the app did not answer in time"))
        await self._settle(inner_problem(500, "the app returned without an answer"))

    async def _settle(self, response: HttpResponse) -> None:
        """Answer, unless that was done."""
        if self._state is _State.ANSWERED:
            return
        self._state = _State.ANSWERED
        # Who has answered may go on for as long as the server lets him.
        self._patience.deadline = float("inf")
        await self._answer(response)

    async def _receive(self) -> Event:
        if not self._is_received:
            self._is_received = True
            return {"type": "http.request", "body": self._request.body, "more_body": False}
        if self._state is not _State.ANSWERED:
            while (await self._outer_receive())["type"] != "http.disconnect":
                pass
        return {"type": "http.disconnect"}

    async def _send(self, event: Event) -> None:
        match event["type"], self._state:
            case _, _State.ANSWERED:
                pass
            case "http.response.start", _State.WAITING:
                self._start(event)
            case "http.response.body", _State.STARTED:
                await self._take(event)
            case kind, state:
                raise UsageError(f"the app sent {kind} while its response was {state.name}")

    def _start(self, event: Event) -> None:
        self._status = int(event["status"])
        fields = tuple((bytes(name).lower(), bytes(value)) for name, value in event.get("headers", ()))
        self._fields = without_connection_fields(fields)
        self._state = _State.STARTED

    async def _take(self, event: Event) -> None:
        if self._request.method != b"HEAD" and self._status not in EMPTY_STATUSES:
            self._body += event.get("body", b"")
        if len(self._body) > self._limits.body_bytes:
            await self._refuse()
        elif not event.get("more_body", False):
            await self._complete()

    async def _complete(self) -> None:
        response = HttpResponse(self._status, self._fields, bytes(self._body))
        try:
            check_message(response, self._limits)
        except MalformedError:
            await self._refuse()
        else:
            await self._settle(response)

    async def _refuse(self) -> None:
        self._body.clear()
        await self._settle(inner_problem(502, "the app's response is too large or not well formed"))
        # Nobody reads what the app would still send.
        self._patience.cancel()
        await anyio.lowlevel.checkpoint()
