"""Where httpcore and httpcore2 would open sockets, onion streams: their network backend, and its streams.

Neither checks the classes of a backend, only its methods; so one implementation serves both, and the exceptions that
it raises come from the module that it was made for.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSAttribute, TLSStream

from onionpath.client.attempts import DEFAULT_DEADLINE_S
from onionpath.client.client import Client
from onionpath.client.stream import StreamAttribute
from onionpath.transports.failures import as_core_errors, deadline


class OnionNetwork:
    """Opens streams.

    Args:
        core: httpcore or httpcore2.
        isolation: see ``Client.open_stream``.
    """

    def __init__(self, core: Any, client: Client, isolation: str | None) -> None:
        self._core, self._client, self._isolation = core, client, isolation

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, **sockets_only: object
    ) -> OnionSocket:
        """A connection from an exit; ``timeout`` None stands for the client's own deadline."""
        deadline_s = DEFAULT_DEADLINE_S if timeout is None else timeout
        with as_core_errors(self._core.ConnectError, self._core.ConnectTimeout):
            stream = await self._client.open_stream(
                host, port, isolation=self._isolation, deadline_s=deadline_s
            )
        return OnionSocket(self._core, stream)

    async def connect_unix_socket(self, path: str, *args: object, **more: object) -> OnionSocket:
        """Refused: nothing goes anywhere but through the onion."""
        raise self._core.ConnectError("a local socket is not reached through the onion")

    async def sleep(self, seconds: float) -> None:
        """For httpcore's retries, which we do not ask for."""
        await anyio.sleep(seconds)


class OnionSocket:
    """An onion stream, or the TLS over it, as httpcore wants a socket."""

    def __init__(self, core: Any, stream: ByteStream) -> None:
        self._core, self._stream = core, stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next bytes; none at the end."""
        core = self._core
        with deadline(timeout, core.ReadTimeout), as_core_errors(core.ReadError, core.ReadTimeout):
            try:
                return await self._stream.receive(max_bytes)
            except anyio.EndOfStream:
                return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of these bytes."""
        core = self._core
        if buffer:
            with deadline(timeout, core.WriteTimeout), as_core_errors(core.WriteError, core.WriteTimeout):
                await self._stream.send(bytes(buffer))

    async def aclose(self) -> None:
        """Forget the connection, here and at the exit."""
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> OnionSocket:
        """TLS between the program and the website; the relays carry its records and cannot read them."""
        core = self._core
        try:
            with deadline(timeout, core.ConnectTimeout):
                with as_core_errors(core.ConnectError, core.ConnectTimeout):
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
        return OnionSocket(core, tls)

    def get_extra_info(self, info: str) -> Any:
        """``ssl_object``, ``is_readable`` (then an idle connection is over), ``onionpath`` (see ``_journey``)."""
        if info == "ssl_object":
            return self._stream.extra(TLSAttribute.ssl_object, None)
        if info == "is_readable":
            return self._stream.extra(StreamAttribute.is_readable, True)
        if info == "onionpath":
            return self._journey()
        return None

    def _journey(self) -> Mapping[str, object]:
        """What a program is told of the way that a response came."""
        extra = self._stream.extra
        return {
            "path": [relay.hex() for relay in extra(StreamAttribute.path, ())],
            "attempts": extra(StreamAttribute.attempts, 1),
            "hold_ms": list(extra(StreamAttribute.hold_ms, ())),
        }
