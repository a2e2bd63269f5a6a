"""A quorum: so many members of a swarm that are of use, each replaced by the next one when it was of none or is silent.

Whoever is silent is left its time: it may be slow, and is replaced, not given up. Machines that have lost their power
or their network are silent, too. Spec: docs/specs/storage.md §6.2, §6.3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import anyio
from anyio.abc import TaskGroup

from onionpath.crypto.identity import RelayId

# Far above three relays' round trips and a write on a busy swarm, and so short that a person waits for two of them.
PATIENCE_S = 4.0

Heard = Callable[[], None]
Ask = Callable[[RelayId, Heard], Awaitable[bool]]


class _Silence:
    """Of one member, while it is asked."""

    def __init__(self) -> None:
        self._word = anyio.Event()
        self._has_ended = False

    def interrupt(self) -> None:
        """It has said something, and may go on."""
        self._word.set()

    def end(self) -> None:
        """It has said everything."""
        self._has_ended = True
        self._word.set()

    async def wait_for_end(self, patience_s: float) -> None:
        """Until it has said everything, or nothing for so long."""
        while not self._has_ended:
            with anyio.move_on_after(patience_s) as patience:
                await self._word.wait()
            if patience.cancelled_caught:
                return
            if not self._has_ended:
                self._word = anyio.Event()


class Quorum:
    """Asks members of a swarm until enough of them were of use.

    Args:
        members: in the order in which they are asked.
        ask: says whether the member was of use, and calls what it is given whenever it has heard something; raises
            nothing of ours.
        needed: how many must be of use; as many are asked at the same time.
    """

    def __init__(self, members: Iterable[RelayId], ask: Ask, *, needed: int) -> None:
        self._left = iter(members)
        self._ask = ask
        self._needed = needed
        self._useful: set[RelayId] = set()

    async def gather(self) -> None:
        """Ask until enough were of use, or all that were asked have answered and nobody is left."""
        async with anyio.create_task_group() as tasks:
            for _ in range(self._needed):
                tasks.start_soon(self._find_one, tasks)

    async def _find_one(self, tasks: TaskGroup) -> None:
        """Ask one member after the other until one was of use."""
        for member in self._left:
            silence = _Silence()
            tasks.start_soon(self._ask_one, member, silence, tasks)
            await silence.wait_for_end(PATIENCE_S)
            if member in self._useful:
                return

    async def _ask_one(self, member: RelayId, silence: _Silence, tasks: TaskGroup) -> None:
        if await self._ask(member, silence.interrupt):
            self._useful.add(member)
        silence.end()
        if len(self._useful) >= self._needed:
            tasks.cancel_scope.cancel()
