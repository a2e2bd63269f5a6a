"""What a client says of itself: values, and a way to follow their changes."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from enum import Enum

import anyio

from onionpath.injected import UnixTime

# An open stream asks its exit a few times in this time; who has heard nothing for so long cannot know.
RECENT_S = 60.0


class State(Enum):
    """How far a client is."""

    STARTING = "starting"  # no directory yet
    WAITING = "waiting"  # a directory, and nothing has gone through lately, or at all
    READY = "ready"  # the last call that ended went through, end to end, and not long ago
    FAILING = "failing"  # the last call that ended did not
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Status:
    """A snapshot.

    Args:
        state: see ``State``.
        last_success_at: when a reply was last opened, or None.
        last_failure: one line about the last call that failed, or None.
        document: number of the directory's document, or None.
        relays: how many relays it lists.
        paths: ready paths.
        streams: open byte streams.
        state_problem: what was wrong with the file of guards, or None.
        warning: in what this network is weaker than one of the native format, or None.
    """

    state: State
    last_success_at: UnixTime | None = None
    last_failure: str | None = None
    document: int | None = None
    relays: int = 0
    paths: int = 0
    streams: int = 0
    state_problem: str | None = None
    warning: str | None = None


def status_at(status: Status, *, now: UnixTime) -> Status:
    """What is left of it by now: a success does not prove for ever that calls go through."""
    success = status.last_success_at
    if status.state is State.READY and (success is None or now - success >= RECENT_S):
        return replace(status, state=State.WAITING)
    return status


class StatusBoard:
    """Holds the newest status and wakes whoever follows it.

    Args:
        clock: of ``last_success_at``.
    """

    def __init__(self, clock: Callable[[], UnixTime]) -> None:
        self._clock = clock
        self._status = Status(State.STARTING)
        self._changed: anyio.Event | None = None

    @property
    def status(self) -> Status:
        """The newest."""
        return status_at(self._status, now=self._clock())

    def show(self, status: Status) -> None:
        """Replace it; nothing happens when it is the same."""
        if status != self._status:
            self._status = status
            if self._changed is not None:
                self._changed.set()

    def follow(self) -> AsyncIterator[Status]:
        """The status now, and each newer one that the reader has time for; ends when closed."""
        return _Changes(self)

    async def wait_for_other(self, shown: Status | None) -> Status:
        """The status, as soon as it is another than this."""
        while (status := self.status) == shown:
            if self._changed is None or self._changed.is_set():
                self._changed = anyio.Event()
            with anyio.move_on_after(self._holds_for_s()):
                await self._changed.wait()
        return status

    def _holds_for_s(self) -> float:
        success = self._status.last_success_at
        age_s = 0.0 if success is None else self._clock() - success
        return max(0.0, RECENT_S - age_s) if self.status.state is State.READY else math.inf


class _Changes:
    """No generator, so that whoever stops in the middle has nothing to close."""

    def __init__(self, board: StatusBoard) -> None:
        self._board = board
        self._shown: Status | None = None

    def __aiter__(self) -> _Changes:
        return self

    async def __anext__(self) -> Status:
        if self._shown is not None and self._shown.state is State.CLOSED:
            raise StopAsyncIteration
        self._shown = await self._board.wait_for_other(self._shown)
        return self._shown
