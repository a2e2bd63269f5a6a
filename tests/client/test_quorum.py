"""Who of a swarm is asked when: the next one after a failure or a silence, and nobody once enough were of use."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
from trio.testing import MockClock

from onionpath.client.quorum import FIRST_TURN_S, PATIENCE_S, Quorum, Turn
from onionpath.crypto.identity import RelayId
from onionpath.errors import UnreachableError

MEMBERS = [RelayId(bytes([number]) * 32) for number in range(5)]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """A clock that jumps to the next thing that is due, so that patience costs the tests nothing."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Members:
    """They answer at once, and are of use, unless they are named here."""

    def __init__(self, *, useless: Sequence[RelayId] = (), silent: Sequence[RelayId] = ()) -> None:
        self._useless = useless
        self._silent = silent
        self.asked: list[RelayId] = []

    async def ask(self, member: RelayId, turn: Turn) -> bool:
        self.asked.append(member)
        if member in self._silent:
            await anyio.sleep_forever()
        return member not in self._useless


async def test_no_more_are_asked_than_are_needed() -> None:
    members = Members()

    await Quorum(MEMBERS, members.ask, needed=3).gather()

    assert set(MEMBERS[:3]) == set(members.asked)


@pytest.mark.parametrize("needed", [1, 3])
async def test_the_next_one_is_asked_for_each_that_was_of_no_use(needed: int) -> None:
    members = Members(useless=MEMBERS[:2])

    await Quorum(MEMBERS, members.ask, needed=needed).gather()

    assert set(MEMBERS[: needed + 2]) == set(members.asked)


async def test_those_who_are_silent_are_replaced_and_do_not_hold_up_the_end() -> None:
    members = Members(silent=MEMBERS[:2])

    with anyio.fail_after(100 * PATIENCE_S):
        await Quorum(MEMBERS, members.ask, needed=3).gather()

    assert set(MEMBERS) == set(members.asked)


async def test_one_that_is_only_slow_counts_when_it_answers() -> None:
    others_have_failed = anyio.Event()

    async def ask(member: RelayId, _: Turn) -> bool:
        if member == MEMBERS[0]:
            await others_have_failed.wait()
            return True
        if member == MEMBERS[-1]:
            others_have_failed.set()
        return False

    with anyio.fail_after(100 * PATIENCE_S):
        await Quorum(MEMBERS, ask, needed=1).gather()

    assert others_have_failed.is_set()


async def test_one_that_gives_part_after_part_is_not_replaced() -> None:
    """Ten parts, each within the patience with it, take longer than that together."""
    asked = []

    async def ask(member: RelayId, turn: Turn) -> bool:
        asked.append(member)
        for _ in range(10):
            await anyio.sleep(0.9 * PATIENCE_S)
            turn.heard()
        return True

    await Quorum(MEMBERS, ask, needed=1).gather()

    assert MEMBERS[:1] == asked


async def test_one_to_whom_a_path_has_failed_is_asked_once_more_while_others_replace_it() -> None:
    """Otherwise one relay of the path that hangs costs a member that is well."""
    turns = list[tuple[RelayId, bool]]()

    async def ask(member: RelayId, turn: Turn) -> bool:
        turns.append((member, turn.is_last))
        if member == MEMBERS[0] and not turn.is_last:
            raise UnreachableError("a relay of the path fell silent")
        await anyio.sleep(PATIENCE_S / 2 if member in MEMBERS[:3] else PATIENCE_S)
        return True

    await Quorum(MEMBERS, ask, needed=3).gather()

    assert {(MEMBERS[0], True), *((member, False) for member in MEMBERS[:4])} == set(turns)
    assert 5 == len(turns)


async def test_one_that_is_reached_by_no_path_is_asked_twice_and_not_longer_than_the_others_need() -> None:
    turns = list[float]()

    async def ask(member: RelayId, turn: Turn) -> bool:
        turns.append(turn.timeout_s(10 * FIRST_TURN_S))
        raise UnreachableError("a relay of the path fell silent")

    await Quorum(MEMBERS[:1], ask, needed=1).gather()

    assert [FIRST_TURN_S, 10 * FIRST_TURN_S] == turns


async def test_it_ends_when_nobody_is_left() -> None:
    members = Members(useless=MEMBERS)

    await Quorum(MEMBERS, members.ask, needed=3).gather()

    assert set(MEMBERS) == set(members.asked)
