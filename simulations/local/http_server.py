"""The smallest HTTP server for an ASGI app: HTTP/1.1 by h11, on asyncio or trio, for experiments on this machine.

A connection carries one request at a time. A server in the world is uvicorn or hypercorn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anyio
import h11
from anyio.abc import ByteStream, SocketAttribute

from onionpath.ohttp.asgi import App, Event, Scope

MAX_CONNECTIONS = 256
MAX_HEAD_BYTES = 32 * 1024
READ_BYTES = 256 * 1024
# For one request, its answer, and the time before it in which nobody asks anything.
REQUEST_S = 120.0


class HttpServer:
    """Serves connections for one app: at an address by ``listen``, or those of somebody's listener by ``serve``.

    Args:
        request_s: after which a request, or a connection that says nothing, is given up.
    """

    def __init__(self, app: App, *, request_s: float = REQUEST_S) -> None:
        self._app = app
        self._request_s = request_s
        self._connections = 0

    async def listen(self, host: str, port: int, ready: Callable[[int], None]) -> None:
        """Serve at this address until cancelled; ``ready`` is told the port once connections can be made to it.

        Args:
            port: 0 for one that is free.

        Raises:
            OSError: it is in use.
        """
        async with await anyio.create_tcp_listener(local_host=host, local_port=port) as listener:
            ready(listener.extra(SocketAttribute.local_port))  # noqa: S610 - anyio's, not Django's
            await listener.serve(self.serve)

    async def serve(self, stream: ByteStream) -> None:
        """Serve one connection until either side ends it; above 256 of them it is closed at once."""
        self._connections += 1
        try:
            async with stream:
                if self._connections <= MAX_CONNECTIONS:
                    await self._serve_requests(stream)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, h11.ProtocolError):
            pass  # whoever asked has left, or spoke no HTTP
        finally:
            self._connections -= 1

    async def _serve_requests(self, stream: ByteStream) -> None:
        goes_on = True
        while goes_on:
            goes_on = False
            with anyio.move_on_after(self._request_s):
                exchange = _Exchange(stream)
                goes_on = await exchange.run(self._app)


class _Exchange:
    """One request and its response, on a connection whose earlier ones are complete."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._method = b""

    async def run(self, app: App) -> bool:
        """Serve it; True if another may follow on the connection.

        Raises:
            h11.ProtocolError: what came is no HTTP; anyio.BrokenResourceError: the connection is gone.
        """
        request = await self._next_event()
        if not isinstance(request, h11.Request):
            return False
        self._method = bytes(request.method)
        try:
            await app(self._scope(request), self._receive, self._send)
        except Exception as error:
            logging.getLogger("simulations.http").error("the app failed", exc_info=error)
            return False
        # Whoever sends more before he has read the answer would need a buffer between requests.
        is_alone = not self._http.trailing_data[0]
        return is_alone and self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    def _scope(self, request: h11.Request) -> Scope:
        path, _, query = bytes(request.target).partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self._method.decode("ascii"),
            "scheme": "http",
            "path": path.decode("ascii"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": [(bytes(name), bytes(value)) for name, value in request.headers],
            "client": None,
            "server": None,
        }

    async def _receive(self) -> Event:
        if self._http.their_state is not h11.SEND_BODY:
            # The request is complete, so that nothing but the end can come before the answer.
            await self._stream.receive()
            return {"type": "http.disconnect"}
        event = await self._next_event()
        if isinstance(event, h11.Data):
            return {"type": "http.request", "body": bytes(event.data), "more_body": True}
        is_whole = isinstance(event, h11.EndOfMessage)
        return {"type": "http.request", "more_body": False} if is_whole else {"type": "http.disconnect"}

    async def _send(self, event: Event) -> None:
        if event["type"] == "http.response.start":
            headers = [(bytes(name), bytes(value)) for name, value in event.get("headers", ())]
            await self._write(h11.Response(status_code=event["status"], headers=headers))
            return
        if event.get("body") and self._method != b"HEAD":
            await self._write(h11.Data(data=event["body"]))
        if not event.get("more_body", False):
            await self._write(h11.EndOfMessage())

    async def _write(self, event: Any) -> None:
        await self._stream.send(self._http.send(event) or b"")

    async def _next_event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            try:
                self._http.receive_data(await self._stream.receive(READ_BYTES))
            except anyio.EndOfStream:
                self._http.receive_data(b"")
        return event
