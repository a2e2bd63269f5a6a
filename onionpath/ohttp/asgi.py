"""The few words of ASGI that a gateway speaks with its server: read a body, send a whole response.

Source: the ASGI specification 3.0, HTTP message format.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyTooLongError(Exception):
    """The body is above its limit; nothing more of it was read."""


class DisconnectedError(Exception):
    """Whoever asked has gone."""


async def next_part(receive: Receive) -> tuple[bytes, bool]:
    """The next part of a request's body, and whether there is more.

    Raises:
        DisconnectedError: it ended early.
    """
    event = await receive()
    if event["type"] == "http.disconnect":
        raise DisconnectedError
    return event.get("body", b""), event.get("more_body", False)


async def read_body(receive: Receive, *, max_bytes: int) -> bytes:
    """The whole body of a request.

    Raises:
        BodyTooLongError: it has more than ``max_bytes``.
        DisconnectedError: it ended early.
    """
    body, more = bytearray(), True
    while more:
        part, more = await next_part(receive)
        body += part
        if len(body) > max_bytes:
            raise BodyTooLongError
    return bytes(body)


async def send_whole(
    send: Send, status: int, *, media_type: str, body: bytes, headers: dict[str, str] | None = None
) -> None:
    """A response in two events, with its length and no other headers than these."""
    named = {"content-type": media_type, "content-length": str(len(body)), **(headers or {})}
    encoded = [(name.encode("ascii"), value.encode("ascii")) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def header(scope: Scope, name: bytes) -> bytes:
    """The value of a header, lower case and without white space around it; empty if there is not exactly one."""
    values = [value for each, value in scope["headers"] if each.lower() == name]
    return bytes(values[0]).strip().lower() if len(values) == 1 else b""
