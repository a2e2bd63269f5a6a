"""One bounded HTTP exchange over an inner transport, whose only good end is a 200 of the expected type.

Nothing is followed, retried or decompressed: whatever is not exactly what was asked for is an error of httpx.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import anyio
import httpx

from onionpath.errors import RefusedError, UsageError
from onionpath.ohttp.problems import KEY_PROBLEM, PROBLEM_TYPE

MAX_PROBLEM_BYTES = 4 * 1024


async def ask(
    inner: httpx.AsyncBaseTransport,
    request: httpx.Request,
    *,
    media_type: str,
    max_bytes: int,
    deadline_s: float,
) -> tuple[bytes, Mapping[str, Any]]:
    """The body of the answer, and the extensions that the inner transport gave with it.

    Raises:
        httpx.ProxyError: the other side answered with another status; its cause is a ``RefusedError`` whose reason
            is ``ohttp-key`` if the keys are no longer good, and otherwise the status.
        httpx.RemoteProtocolError: the answer has another type, or is too long.
        httpx.ReadTimeout: the deadline passed.
        httpx.TransportError: whatever the inner transport raises.
    """
    try:
        with anyio.fail_after(deadline_s):
            response = await inner.handle_async_request(request)
            try:
                return await _read_expected(response, request, media_type, max_bytes), response.extensions
            finally:
                with anyio.CancelScope(shield=True):
                    await response.aclose()
    except TimeoutError as error:
        raise httpx.ReadTimeout(f"no whole answer within {deadline_s} s", request=request) from error


async def _read_expected(
    response: httpx.Response, request: httpx.Request, media_type: str, max_bytes: int
) -> bytes:
    if response.status_code != 200:
        raise await _refusal(response, request)
    if response.headers.get("content-type", "").strip().lower() != media_type:
        raise httpx.RemoteProtocolError(f"the answer is not {media_type}", request=request)
    body = await _read(response, max_bytes)
    if body is None:
        raise httpx.RemoteProtocolError("the answer is too long", request=request)
    return body


async def read_stream(stream: httpx.AsyncByteStream, max_bytes: int) -> bytes | None:
    """All bytes of a stream, or None if there are more than that; then the rest is left unread."""
    body = bytearray()
    parts = aiter(stream)
    try:
        async for part in parts:
            body += part
            if len(body) > max_bytes:
                return None
    finally:
        # A generator that is dropped half read would be closed by the event loop, some time later.
        if isinstance(parts, AsyncGenerator):
            await parts.aclose()
    return bytes(body)


async def _read(response: httpx.Response, max_bytes: int) -> bytes | None:
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise UsageError("the inner transport is not an asynchronous one")
    return await read_stream(response.stream, max_bytes)


async def _refusal(response: httpx.Response, request: httpx.Request) -> httpx.ProxyError:
    status, reason = response.status_code, str(response.status_code)
    if response.headers.get("content-type") == PROBLEM_TYPE:
        body = await _read(response, MAX_PROBLEM_BYTES)
        if body is not None and KEY_PROBLEM.encode("ascii") in body:
            reason = "ohttp-key"
    error = httpx.ProxyError(f"the gateway, or who carries to it, answered {status}", request=request)
    error.__cause__ = RefusedError(str(error), reason=reason)
    return error
