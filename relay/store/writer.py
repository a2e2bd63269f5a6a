"""The thread that alone writes: while one commit waits for the disk, whoever comes waits for the next, together.

So a busy store syncs once for many callers, and an idle one at once for each; nobody waits for a timer.

| a caller                     | finds                                                                        |
|------------------------------|------------------------------------------------------------------------------|
| waits, and is given up       | its batch is withdrawn, or, if it has been begun, carried out all the same   |
| comes when too much waits    | BUSY at once                                                                 |
| comes after ``close``        | DAMAGED at once; what came before is carried out first                       |

Of what is large (``portions``) each commit carries out one portion, and the rest of it waits in a second line, beside
which whoever comes goes on. A note is never carried out before anything that came earlier, and waits in that line, too.
Spec: docs/specs/store.md §5.2.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Condition, Thread

import trio

from onionpath.swarm.operations import NotDone
from relay.store.batches import Answer, Batch, Outcome
from relay.store.engine import Engine
from relay.store.portions import Course, rows_at_once

# A thousand rows take some 30 ms, and whoever comes meanwhile waits for them.
GROUP_ROWS, GROUP_SIZE = 1_024, 8 * 1024 * 1024
WAITING_ORDERS, WAITING_SIZE = 16_384, 64 * 1024 * 1024


@dataclass(slots=True, eq=False)
class _Waiting:
    batch: Batch
    done: trio.Event | None
    size: int = field(init=False)
    rows: int = field(init=False)  # in the next commit
    course: Course | None = None  # of what is divisible, once it has been begun
    outcome: Outcome | None = None

    def __post_init__(self) -> None:
        self.size = self.batch.size
        self.rows = rows_at_once(self.batch)

    @property
    def next(self) -> Batch:
        """What the next commit carries out of it."""
        return self.course.portion if self.course else self.batch

    def record(self, outcome: Outcome) -> None:
        """That commit has returned."""
        if self.course is None:
            self.outcome = outcome
        else:
            self.course.record(outcome)
            self.outcome = self.course.outcome


class Writer:
    """Owns an engine and its thread. ``commit`` is for tasks of one trio loop, the one that made it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue: deque[_Waiting] = deque()
        self._long: deque[_Waiting] = deque()  # begun, in the order in which they came
        self._queued_orders = self._queued_size = 0
        self._condition = Condition()
        self._is_closing = False
        self._token = trio.lowlevel.current_trio_token()
        self._thread = Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def commit(self, batch: Batch) -> list[Answer]:
        """Carry out a batch durably. The caller brings the deadline.

        Raises:
            Exception: whatever one of its operations raised; then none of them was carried out, but for the portions
                that came before it if the batch is divisible.
        """
        waiting = _Waiting(batch, trio.Event())
        if (refusal := self._enqueue(waiting)) is not None:
            return batch.answers(refusal)
        assert waiting.done is not None  # noqa: S101 - it was just made
        try:
            await waiting.done.wait()
        except trio.Cancelled:
            self._withdraw(waiting)
            raise
        outcome = waiting.outcome
        if isinstance(outcome, list):
            return outcome
        raise outcome or RuntimeError("a commit ended without outcome")

    def hand_in(self, batch: Batch) -> None:
        """Carry out a batch some time, if there is room; nobody waits for it. For any thread."""
        self._enqueue(_Waiting(batch, None))

    def close(self) -> None:
        """Carry out what waits, and end the thread. Blocks; for a thread that may."""
        with self._condition:
            self._is_closing = True
            self._condition.notify()
        self._thread.join()

    def _enqueue(self, waiting: _Waiting) -> NotDone | None:
        orders = len(waiting.batch.orders)
        with self._condition:
            if self._is_closing:
                return NotDone.DAMAGED
            if (self._queue or self._long) and (
                self._queued_orders + orders > WAITING_ORDERS
                or self._queued_size + waiting.size > WAITING_SIZE
            ):
                return NotDone.BUSY
            self._book(waiting, 1)
            self._queue.append(waiting)
            self._condition.notify()
        return None

    def _book(self, waiting: _Waiting, sign: int) -> None:
        self._queued_orders += sign * len(waiting.batch.orders)
        self._queued_size += sign * waiting.size

    def _withdraw(self, waiting: _Waiting) -> None:
        with self._condition:
            # Not there any more: it is being committed, and nothing can stop that half-way.
            if waiting in self._queue:
                self._queue.remove(waiting)
                self._book(waiting, -1)

    def _run(self) -> None:
        while group := self._next_group():
            self._carry_out(group)
            try:
                self._token.run_sync_soon(_wake, group)
            except trio.RunFinishedError:
                continue
        self._engine.close()

    def _carry_out(self, group: Sequence[_Waiting]) -> None:
        for waiting in group:
            if waiting.course is None:
                waiting.course = self._engine.course(waiting.batch)
        outcomes = self._engine.commit([waiting.next for waiting in group])
        for waiting, outcome in zip(group, outcomes, strict=True):
            waiting.record(outcome)
        with self._condition:
            self._line_up(group)

    def _line_up(self, group: Sequence[_Waiting]) -> None:
        """Let the first of the long line go if it is finished; what was begun beside it and is not waits at the end."""
        fresh = group[1:] if self._long else group
        if self._long and self._long[0].outcome is not None:
            self._book(self._long.popleft(), -1)
        for waiting in fresh:
            if waiting.outcome is None:
                self._book(waiting, 1)
                self._long.append(waiting)

    def _next_group(self) -> list[_Waiting]:
        """A portion of the first that is long, and all else that waits, up to one group's size; empty once this is
        closed and nothing waits."""
        with self._condition:
            while not (self._queue or self._long or self._is_closing):
                self._condition.wait()
            group = [self._long[0]] if self._long else []
            self._fill(group)
            return group

    def _fill(self, group: list[_Waiting]) -> None:
        rows = size = 0
        while self._queue:
            first = self._queue[0]
            if first.batch.is_note and group:
                if len(group) > 1 or not self._long:
                    return  # something that came before it in this group may turn out to be long
                self._long.append(self._queue.popleft())
                continue
            rows, size = rows + first.rows, size + first.size
            if group and (rows > GROUP_ROWS or size > GROUP_SIZE):
                return
            group.append(self._queue.popleft())
            self._book(first, -1)


def _wake(group: Sequence[_Waiting]) -> None:
    for waiting in group:
        if waiting.done is not None and waiting.outcome is not None:
            waiting.done.set()
