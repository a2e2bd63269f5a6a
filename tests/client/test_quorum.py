"""Who of a swarm is asked when: the next one after a failure or a silence, and nobody once enough were of use."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
from trio.testing import MockClock

from onionpath.client.quorum import PATIENCE_S, Heard, Quorum
from onionpath.crypto.identity import RelayId

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

    async def ask(self, member: RelayId, heard: Heard) -> bool:
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

    async def ask(member: RelayId, _: Heard) -> bool:
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

    async def ask(member: RelayId, heard: Heard) -> bool:
        asked.append(member)
        for _ in range(10):
            await anyio.sleep(0.9 * PATIENCE_S)
            heard()
        return True

    await Quorum(MEMBERS, ask, needed=1).gather()

    assert MEMBERS[:1] == asked


async def test_it_ends_when_nobody_is_left() -> None:
    members = Members(useless=MEMBERS)

    await Quorum(MEMBERS, members.ask, needed=3).gather()

    assert set(MEMBERS) == set(members.asked)
