"""The path under a stream: which one carries its calls now, and when it is left for another.

It waits for nothing but its carrier, so that it works on anyio's loops and in virtual time alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from onionpath.client.ready_path import ReadyPath
from onionpath.client.refusals import stream_refusal
from onionpath.crypto.identity import RelayId
from onionpath.errors import Edge, OnionPathError, UnreachableError
from onionpath.onion.packets import Answer, OnionCall
from onionpath.onion.statuses import ReplyStatus
from onionpath.service.stream import StreamReply
from onionpath.service.stream_client import ClientCall, StreamClient


class Carrier(Protocol):
    """What a stream needs of its client: paths to one exit, and calls over them."""

    async def path_to_exit(self) -> ReadyPath: ...

    def is_current(self, ready: ReadyPath) -> bool: ...

    def retire(self, ready: ReadyPath, edge: Edge | None) -> None: ...

    async def exchange(self, ready: ReadyPath, call: OnionCall, *, timeout_s: float) -> Answer: ...


class StreamPath:
    """Carries the calls of one stream.

    Args:
        end: decides whether a failure is the path's.
        changed: called when a failure may have ended the stream.
    """

    def __init__(self, carrier: Carrier, end: StreamClient, *, changed: Callable[[], None]) -> None:
        self._carrier = carrier
        self._end = end
        self._changed = changed
        self._ready: ReadyPath | None = None
        self.hold_ms: tuple[int, ...] = ()  # Of the newest answer, first hop first.

    @property
    def relays(self) -> tuple[RelayId, ...]:
        """The relays that carry the stream now, first hop first; none while it moves to others."""
        return self._ready.relays if self._ready else ()

    async def exchange(self, call: ClientCall) -> StreamReply:
        """Make one call over the path of the moment.

        Raises:
            RefusedError: the exit refused. UnreachableError: no reply. MalformedError: an impossible one.
        """
        ready = await self._path()
        try:
            answer = await self._carrier.exchange(ready, call.packet(), timeout_s=call.timeout_s)
        except UnreachableError as error:
            # One failure is enough for all calls that are under way on this path.
            if self._ready is ready and self._end.blames_path(call, error):
                self._leave(ready, error)
            raise
        self.hold_ms = answer.hold_ms
        if answer.head.status is not ReplyStatus.ANSWERED:
            raise stream_refusal(answer, self._end.host, self._end.port)
        return StreamReply.decode(answer.body)

    async def _path(self) -> ReadyPath:
        if self._ready is not None and not self._carrier.is_current(self._ready):
            self._ready = None  # a new epoch is nobody's failure, and costs no continuation
        if self._ready is None:
            try:
                # Calls that ask at the same time are given the same one.
                self._ready = await self._carrier.path_to_exit()
            except OnionPathError as error:
                self._end.no_path(error)
                self._changed()
                raise
        return self._ready

    def _leave(self, ready: ReadyPath, error: UnreachableError) -> None:
        self._ready = None
        self._carrier.retire(ready, error.edge)
        self._end.left_path(error)
        self._changed()
