"""Counts what a proxy's programs send and receive, in bytes of their own, without what onions add."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from anyio.abc import ByteStream

if TYPE_CHECKING:
    from onionpath.proxy.server import OpenStream


class Traffic:
    """The counters of one process."""

    def __init__(self) -> None:
        self.sent = self.received = self.opened = 0

    def counted(self, open_stream: OpenStream) -> OpenStream:
        """The same, with everything counted that its streams carry."""

        async def open_counted(
            host: str, port: int, *, isolation: str | None = None, deadline_s: float = 40.0
        ) -> ByteStream:
            stream = await open_stream(host, port, isolation=isolation, deadline_s=deadline_s)
            self.opened += 1
            return _CountedStream(stream, self)

        return open_counted


class _CountedStream(ByteStream):
    def __init__(self, stream: ByteStream, traffic: Traffic) -> None:
        self._stream, self._traffic = stream, traffic

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        data = await self._stream.receive(max_bytes)
        self._traffic.received += len(data)
        return data

    async def send(self, item: bytes) -> None:
        await self._stream.send(item)
        self._traffic.sent += len(item)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._stream.extra_attributes
