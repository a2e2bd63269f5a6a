"""A store without a thread, which answers when it is called: for virtual time, and to hold the real one against.

It is the same engine over the same SQL. In memory, or on whatever file system SQLite is given: a simulated disk can
lose, tear and refuse what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType

from onionpath.swarm.operations import Operation
from onionpath.swarm.reconciliation import Upkeep
from relay.store.batches import Answer, Batch, Outcome
from relay.store.engine import Engine, EngineStatistics
from relay.store.opening import open_sound
from relay.store.room import Limits
from relay.store.schema import CHECKPOINT_PAGES, connect

UNLIMITED_SIZE = 2**60


class InlineStore:
    """See above.

    Args:
        path: the default keeps everything in memory; two such stores share nothing.
        vfs: the name under which SQLite knows the file system.
        checkpoint_pages: once so many are in the log, they are moved into the file.
        set_aside: removes a damaged file.
        disk_free_size: asks how many bytes may still be written.
    """

    def __init__(
        self,
        path: str = ":memory:",
        *,
        vfs: str | None = None,
        limits: Limits | None = None,
        checkpoint_pages: int = CHECKPOINT_PAGES,
        set_aside: Callable[[], object] = lambda: None,
        disk_free_size: Callable[[], int] = lambda: UNLIMITED_SIZE,
    ) -> None:
        opened = open_sound(
            lambda: connect(path, vfs=vfs, is_exclusive=True, checkpoint_pages=checkpoint_pages),
            set_aside=set_aside,
            is_quick=True,
        )
        self.was_damaged = opened.was_damaged
        self._engine = Engine(opened.connection, limits=limits or Limits(), disk_free_size=disk_free_size)

    def apply(self, operations: Sequence[Operation | Upkeep], *, now_ms: int) -> list[Answer]:
        """Carry out operations in order, each seeing the ones before; one answer each, and all of it is durable."""
        outcome = self._carry_out(Batch(tuple(operations), now_ms))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _carry_out(self, batch: Batch) -> Outcome:
        course = self._engine.course(batch)
        if course is None:
            return self._engine.commit([batch])[0]
        while (outcome := course.outcome) is None:
            course.record(self._engine.commit([course.portion])[0])
        return outcome

    @property
    def is_broken(self) -> bool:
        """Whether it must be opened again before it does anything more."""
        return self._engine.is_broken

    def statistics(self) -> EngineStatistics:
        """Counts since the start."""
        return self._engine.statistics()

    def close(self) -> None:
        """Let go of the file."""
        self._engine.close()

    def __enter__(self) -> InlineStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()
