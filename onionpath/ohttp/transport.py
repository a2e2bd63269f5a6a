"""``httpx.AsyncClient(transport=ObliviousTransport(...))``: requests that are sealed before any transport sees them.

The inner transport, any of httpx's or ``onionpath.OnionTransport``, carries a POST to the gateway and learns sizes and
times. There is no way around the seal: what cannot be sealed is an error. Source: RFC 9458 §5 and §6.1;
docs/specs/ohttp.md §7.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

import httpx

from onionpath.crypto.oblivious import ResponseSecret
from onionpath.errors import BadLayerError, MalformedError, UsageError
from onionpath.injected import Entropy, UnixTime
from onionpath.ohttp.asking import ask, read_stream
from onionpath.ohttp.binary import check_message, decode_response, encode_request
from onionpath.ohttp.dates import encode_date
from onionpath.ohttp.encapsulation import REQUEST_TYPE, RESPONSE_OVERHEAD, RESPONSE_TYPE, seal_request
from onionpath.ohttp.fields import without_connection_fields
from onionpath.ohttp.keys import MAX_LIST_BYTES, MEDIA_TYPE, KeyConfiguration, decode_key_configurations
from onionpath.ohttp.messages import (
    REQUEST_LIMITS,
    RESPONSE_LIMITS,
    HttpRequest,
    HttpResponse,
    Limits,
    values_of,
)
from onionpath.ohttp.padding import pad, padded_size

Origin = tuple[str, str, int | None]


async def fetch_keys(
    inner: httpx.AsyncBaseTransport, gateway: str, *, deadline_s: float = 40.0
) -> tuple[KeyConfiguration, ...]:
    """What a gateway publishes of its keys now.

    Whoever answers decides who can read what is sealed to them, so the address must be https; and a gateway that
    gives everybody other keys can tell them apart, so ask over paths that say nothing of you.

    Raises:
        UsageError: the address is not https.
        httpx.TransportError: there is no answer, or it is no list of keys that we speak.
    """
    request = httpx.Request("GET", _gateway_url(gateway))
    body, _ = await ask(
        inner, request, media_type=MEDIA_TYPE, max_bytes=MAX_LIST_BYTES, deadline_s=deadline_s
    )
    try:
        return decode_key_configurations(body)
    except MalformedError as error:
        raise httpx.RemoteProtocolError(str(error), request=request) from error


class ObliviousTransport(httpx.AsyncBaseTransport):
    """A transport for ``httpx.AsyncClient`` whose every request is sealed to a gateway.

    Each request is sealed anew and sent once. Give it as ``transport=``, never through ``mounts``. Closing it closes
    the inner transport.

    Args:
        inner: carries the sealed requests; any asynchronous transport of httpx.
        gateway: the address that takes them, https; a relay of RFC 9458 or the gateway itself.
        keys: from ``fetch_keys``, or from a file by ``decode_key_configurations``; the first is used.
        targets: the origins that may be asked, such as ``https://example.org``; the gateway's own if there are none.
        sends_date: add a Date, which gateways may need against replays and which shows our clock, to the second.
        deadline_s: for a whole answer.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        *,
        gateway: str,
        keys: tuple[KeyConfiguration, ...],
        targets: Iterable[str] = (),
        sends_date: bool = True,
        deadline_s: float = 60.0,
        request_limits: Limits = REQUEST_LIMITS,
        response_limits: Limits = RESPONSE_LIMITS,
        now: Callable[[], float] = time.time,
        entropy: Entropy = os.urandom,
    ) -> None:
        if not keys:
            raise UsageError("without a key of the gateway nothing can be sealed")
        if isinstance(targets, str):
            raise UsageError("targets are several: give a list")
        self._inner = inner
        self._gateway = _gateway_url(gateway)
        self._key = keys[0]
        self._targets = {_origin(httpx.URL(target)) for target in targets} or {_origin(self._gateway)}
        self._sends_date = sends_date
        self._deadline_s = deadline_s
        self._request_limits = request_limits
        self._response_limits = response_limits
        self._now = now
        self._entropy = entropy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Seal one request, have it carried, open its answer; httpx calls this.

        Raises:
            UsageError: the request is for another origin, above a limit, or none that a sealed message can be;
                nothing was sent.
            httpx.TransportError: as ``asking.ask`` says, or the answer does not open.
        """
        message = await self._message(request)
        sealed, secret = seal_request(pad(encode_request(message)), self._key, entropy=self._entropy)
        timeout = {name: value for name, value in request.extensions.items() if name == "timeout"}
        outer = httpx.Request(
            "POST", self._gateway, headers={"content-type": REQUEST_TYPE}, content=sealed, extensions=timeout
        )
        max_bytes = padded_size(self._response_limits.message_bytes) + RESPONSE_OVERHEAD
        body, extensions = await ask(
            self._inner, outer, media_type=RESPONSE_TYPE, max_bytes=max_bytes, deadline_s=self._deadline_s
        )
        return _as_httpx(self._open(body, secret, request), extensions)

    async def _message(self, request: httpx.Request) -> HttpRequest:
        if _origin(request.url) not in self._targets:
            raise UsageError("this transport seals requests for other origins; it sends no other")
        fields = tuple((name.lower(), value) for name, value in request.headers.raw)
        if request.method == "CONNECT" or values_of(fields, b"expect") or values_of(fields, b"upgrade"):
            raise UsageError("a sealed request is no tunnel, changes no protocol and expects no 100")
        message = HttpRequest(
            method=request.method.encode("ascii"),
            scheme=request.url.raw_scheme,
            authority=request.url.netloc,
            path=request.url.raw_path,
            fields=self._with_date(_without_lengths(without_connection_fields(fields))),
            body=await self._body(request),
        )
        try:
            check_message(message, self._request_limits)
        except MalformedError as error:
            raise UsageError(str(error)) from error
        return message

    async def _body(self, request: httpx.Request) -> bytes:
        if not isinstance(request.stream, httpx.AsyncByteStream):
            raise UsageError("ObliviousTransport is for httpx.AsyncClient")
        body = await read_stream(request.stream, self._request_limits.body_bytes)
        if body is None:
            raise UsageError("the request's body is above its limit")
        return body

    def _with_date(self, fields: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
        if not self._sends_date or values_of(fields, b"date"):
            return fields
        return (*fields, (b"date", encode_date(UnixTime(self._now()))))

    def _open(self, body: bytes, secret: ResponseSecret, request: httpx.Request) -> HttpResponse:
        try:
            return decode_response(secret.open(body), self._response_limits)
        except (BadLayerError, MalformedError) as error:
            raise httpx.RemoteProtocolError(str(error), request=request) from error

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()

    async def __aenter__(self) -> ObliviousTransport:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(exc_type, exc_value, traceback)


def _as_httpx(response: HttpResponse, extensions: Mapping[str, Any]) -> httpx.Response:
    # Of the carrying exchange only the way is worth knowing; its status and headers are not the answer's.
    ways = {name: value for name, value in extensions.items() if name == "onionpath"}
    return httpx.Response(
        response.status,
        headers=list(response.fields),
        stream=httpx.ByteStream(response.body),
        extensions=ways,
    )


def _without_lengths(fields: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
    # The authority and the body's own length say the same, and two words for one thing can differ.
    return tuple(field for field in fields if field[0] not in (b"host", b"content-length"))


def _gateway_url(gateway: str) -> httpx.URL:
    url = httpx.URL(gateway)
    if url.scheme != "https" or not url.host or url.userinfo or url.fragment:
        raise UsageError("a gateway's address is https, with a host and without a user or a fragment")
    return url


def _origin(url: httpx.URL) -> Origin:
    # Only https: the app must not learn from us that its website may be asked in the clear.
    if url.scheme != "https" or not url.host:
        raise UsageError("a sealed request is for an https origin")
    return url.scheme, url.host, url.port
