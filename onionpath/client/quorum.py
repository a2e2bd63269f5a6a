"""A quorum: so many members of a swarm that are of use, each replaced by the next one when it was of none or is silent.

Whoever is silent is left its time: it may be slow, and is replaced, not given up. Machines that have lost their power
or their network are silent, too. Whoever was not reached is replaced likewise, and asked once more meanwhile: what
failed may be a relay of the path to it. Spec: docs/specs/storage.md §6.2, §6.3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import anyio
from anyio.abc import TaskGroup

from onionpath.crypto.identity import RelayId
from onionpath.errors import UnreachableError

# Far above three relays' round trips and a write on a busy swarm, and so short that a person waits for two of them.
PATIENCE_S = 4.0

# One for each of the three attempts of a call; another path is of more use than to wait longer for the same ones.
FIRST_TURN_S = 3 * PATIENCE_S


class Turn:
    """One member's, to be asked.

    Args:
        is_last: it will not be asked again.
    """

    def __init__(self) -> None:
        self.is_last = False
        self._word = anyio.Event()
        self._has_ended = False

    def timeout_s(self, left_s: float) -> float:
        """How long it is asked for one thing, when the caller waits so long."""
        return left_s if self.is_last else min(left_s, FIRST_TURN_S)

    def heard(self) -> None:
        """It has said something, and may go on."""
        self._word.set()

    def end(self) -> None:
        """It has said everything, or was not reached."""
        self._has_ended = True
        self._word.set()

    async def wait_for_end(self, patience_s: float) -> None:
        """Until ``end``, or until it has said nothing for so long."""
        while not self._has_ended:
            with anyio.move_on_after(patience_s) as patience:
                await self._word.wait()
            if patience.cancelled_caught:
                return
            if not self._has_ended:
                self._word = anyio.Event()


Ask = Callable[[RelayId, Turn], Awaitable[bool]]


class Quorum:
    """Asks members of a swarm until enough of them were of use.

    Args:
        members: in the order in which they are asked.
        ask: says whether the member was of use, and calls ``Turn.heard`` whenever it has heard something; raises
            ``UnreachableError`` if it has not reached it, and nothing else of ours.
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
            turn = Turn()
            tasks.start_soon(self._ask_one, member, turn, tasks)
            await turn.wait_for_end(PATIENCE_S)
            if member in self._useful:
                return

    async def _ask_one(self, member: RelayId, turn: Turn, tasks: TaskGroup) -> None:
        if await self._is_of_use(member, turn):
            self._useful.add(member)
        turn.end()
        if len(self._useful) >= self._needed:
            tasks.cancel_scope.cancel()

    async def _is_of_use(self, member: RelayId, turn: Turn) -> bool:
        """Ask a member, and once more if it was not reached."""
        try:
            return await self._ask(member, turn)
        except UnreachableError:
            turn.end()
        turn.is_last = True
        try:
            return await self._ask(member, turn)
        except UnreachableError:
            return False
