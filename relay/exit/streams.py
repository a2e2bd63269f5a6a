"""The stream service on trio: asks the table which stream a call means, and has the stream's carriage answer it.

Spec: docs/specs/stream.md.
"""

from __future__ import annotations

import trio

from onionpath.onion.statuses import Reason
from onionpath.service.calls import Call, Limits, Reply
from onionpath.service.stream import StreamReply
from relay.exit.carriage import Carriage
from relay.exit.dial import Dialer
from relay.exit.limits import StreamLimits
from relay.exit.stream import ExitStream
from relay.exit.table import Asked, StreamStatistics, StreamTable

# Every stream keeps a call waiting, and a busy one up to 32.
DEFAULT_LIMITS = Limits(concurrent=4096, has_effects=False)


class StreamService:
    """TCP connections for the callers of one exit.

    Args:
        dialer: connects, or says why not.
        nursery: the streams' tasks live in it; ``close`` or its cancellation ends them.
        limits: what the registry enforces for each call.
        stream_limits: what streams may take.
    """

    def __init__(
        self,
        dialer: Dialer,
        nursery: trio.Nursery,
        *,
        limits: Limits = DEFAULT_LIMITS,
        stream_limits: StreamLimits | None = None,
    ) -> None:
        self._dialer = dialer
        self._nursery = nursery
        self._limits = limits
        self._stream_limits = stream_limits or StreamLimits()
        self._table = StreamTable(self._stream_limits)
        self._running: dict[ExitStream, Carriage] = {}

    @property
    def limits(self) -> Limits:
        """What the registry enforces."""
        return self._limits

    async def answer(self, call: Call) -> Reply:
        """Answer one call of a stream."""
        asked = self._table.ask(call, now=trio.current_time())
        return self._table.reply(await self._answer(asked) if isinstance(asked, Asked) else asked)

    async def _answer(self, asked: Asked) -> StreamReply | Reason:
        if asked.is_new:
            self._start(asked.stream)
        carriage = self._running.get(asked.stream)
        if carriage is None:
            return asked.stream.refusal
        with self._table.answering(asked.link):
            return await carriage.answer(asked.request, capacity=asked.capacity)

    def _start(self, stream: ExitStream) -> None:
        carriage = Carriage(stream, write_timeout_s=self._stream_limits.write_timeout_s)
        self._running[stream] = carriage
        self._nursery.start_soon(self._run, stream, carriage)

    async def _run(self, stream: ExitStream, carriage: Carriage) -> None:
        bug: Exception | None = None
        try:
            await carriage.run(self._dialer.dial)
        except Exception as error:  # A bug in one stream must not end the others.
            bug = error
        finally:
            del self._running[stream]
            self._table.left(stream, now=trio.current_time(), bug=bug)

    def close(self) -> None:
        """Close every connection and open none any more."""
        self._table.close()

    def statistics(self) -> StreamStatistics:
        """What happened so far and what is held now."""
        return self._table.statistics()
