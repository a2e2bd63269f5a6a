"""``httpx.AsyncClient(transport=OnionTransport(client))``: HTTP whose connections are onion streams.

TLS runs end to end between the program and the website; the exit sees ciphertext. Names are resolved at the exit.
httpcore does the HTTP, with our streams as its network; only public names of httpx and httpcore are used.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import anyio
import httpcore
import httpx
from anyio.abc import ByteStream
from anyio.streams.tls import TLSAttribute, TLSStream

from onionpath.client.client import Client
from onionpath.client.stream import StreamAttribute
from onionpath.errors import DeadlineError, OnionPathError, UsageError

DEFAULT_CONNECT_TIMEOUT_S = 40.0


class OnionTransport(httpx.AsyncBaseTransport):
    """A transport for ``httpx.AsyncClient`` whose every connection goes through the client's paths.

    A response tells its way in ``response.extensions["onionpath"]["path"]``: the relays' ids in hex, first hop first.
    Give it as ``transport=``, never through ``mounts``: with mounts, proxies from the environment may win.

    Args:
        client: an entered ``onionpath.Client``.
        verify: an SSL context for websites; None for httpx's default, certificates always verified.
        http2: offer HTTP/2 (needs the extra ``http2``).
        isolation: connections with different keys never share a path; None isolates each destination.
    """

    def __init__(
        self,
        client: Client,
        *,
        verify: ssl.SSLContext | None = None,
        http2: bool = False,
        isolation: str | None = None,
    ) -> None:
        context = verify if verify is not None else httpx.create_ssl_context(trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context, http2=http2, network_backend=_Backend(client, isolation)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request; httpx calls this."""
        if not isinstance(request.stream, httpx.AsyncByteStream):
            raise UsageError("OnionTransport is for httpx.AsyncClient")
        inner = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx_errors(request):
            response = await self._pool.handle_async_request(inner)
        network = response.extensions["network_stream"]
        path = [relay.hex() for relay in network.get_extra_info("onionpath") or ()]
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_ResponseStream(response.stream, request),
            extensions={**response.extensions, "onionpath": {"path": path}},
        )

    async def aclose(self) -> None:
        """Close the connections; the client stays open."""
        await self._pool.aclose()

    async def __aenter__(self) -> OnionTransport:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()


class _ResponseStream(httpx.AsyncByteStream):
    """A response's body, with httpcore's errors translated."""

    def __init__(self, stream: Any, request: httpx.Request) -> None:
        self._stream = stream
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx_errors(self._request):
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Backend(httpcore.AsyncNetworkBackend):
    """Opens onion streams where httpcore would open sockets."""

    def __init__(self, client: Client, isolation: str | None) -> None:
        self._client = client
        self._isolation = isolation

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        deadline_s = DEFAULT_CONNECT_TIMEOUT_S if timeout is None else timeout
        try:
            stream = await self._client.open_stream(
                host, port, isolation=self._isolation, deadline_s=deadline_s
            )
        except DeadlineError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OnionPathError as error:
            raise httpcore.ConnectError(str(error)) from error
        return _Stream(stream)

    async def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError("a local socket is not reached through the onion")

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    """An onion stream, or the TLS stream over it, as httpcore wants it."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            with _deadline(timeout, httpcore.ReadTimeout), _as_core_errors(httpcore.ReadError):
                return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer:
            with _deadline(timeout, httpcore.WriteTimeout), _as_core_errors(httpcore.WriteError):
                await self._stream.send(bytes(buffer))

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            with _deadline(timeout, httpcore.ConnectTimeout), _as_core_errors(httpcore.ConnectError):
                tls = await TLSStream.wrap(
                    self._stream,
                    ssl_context=ssl_context,
                    hostname=server_hostname,
                    standard_compatible=False,
                    server_side=False,
                )
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            raise
        return _Stream(tls)

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._stream.extra(TLSAttribute.ssl_object, None)
        if info == "onionpath":
            return self._stream.extra(StreamAttribute.path, ())
        return None


@contextmanager
def _deadline(timeout: float | None, error: type[Exception]) -> Iterator[None]:
    try:
        with anyio.fail_after(timeout):
            yield
    except TimeoutError as cause:
        raise error(f"nothing happened for {timeout} s") from cause


@contextmanager
def _as_core_errors(kind: type[Exception]) -> Iterator[None]:
    try:
        yield
    except (ssl.SSLError, OnionPathError, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
        # A broken stream carries its reason as the cause; it says more than the wrapper does.
        reason = error.__cause__ if isinstance(error.__cause__, OnionPathError) else error
        raise kind(str(reason) or type(reason).__name__) from reason


# httpcore's errors and their httpx twins; the order is from the special to the general.
_TWINS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore.ReadTimeout, httpx.ReadTimeout),
    (httpcore.WriteTimeout, httpx.WriteTimeout),
    (httpcore.PoolTimeout, httpx.PoolTimeout),
    (httpcore.ConnectError, httpx.ConnectError),
    (httpcore.ReadError, httpx.ReadError),
    (httpcore.WriteError, httpx.WriteError),
    (httpcore.NetworkError, httpx.NetworkError),
    (httpcore.RemoteProtocolError, httpx.RemoteProtocolError),
    (httpcore.LocalProtocolError, httpx.LocalProtocolError),
    (httpcore.ProtocolError, httpx.ProtocolError),
    (httpcore.UnsupportedProtocol, httpx.UnsupportedProtocol),
    (httpcore.ProxyError, httpx.ProxyError),
)


@contextmanager
def _as_httpx_errors(request: httpx.Request) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        twin = next((theirs for ours, theirs in _TWINS if isinstance(error, ours)), None)
        if twin is None:
            raise
        raise twin(str(error), request=request) from _reason(error)


def _reason(error: BaseException) -> BaseException:
    """What really happened: httpcore raises our errors on with ``from None``, which leaves them as context only."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, OnionPathError | ssl.SSLError):
        found = found.__cause__ or found.__context__
    return found or error
