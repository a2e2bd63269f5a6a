"""Whatever happens to a client's guards in whatever order, these hold."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Relay
from onionpath.errors import FIRST_EDGE, Edge
from onionpath.injected import UnixTime
from onionpath.path.bias import Outcome
from onionpath.path.guards import (
    Guards,
    after_attempt,
    after_directory,
    after_failure,
    after_success,
    guard_for,
    primaries,
    with_sample,
)
from onionpath.path.middles import Middles, renew_middles, usable_middles
from onionpath.path.path_memory import PathMemory, merge
from onionpath.path.path_memory_lines import Whole, decode_memory, encode_memory
from onionpath.path.sample import Guard
from tests.directory.networks import NETWORK_ID
from tests.path.virtual_relays import NOBODY_TAKEN, START, candidates, plain_relay

RELAYS = 90
SOMEBODY = st.integers(0, RELAYS - 1)


class GuardMachine(RuleBasedStateMachine):
    """One client among relays that come, go, fail and lie, while its clock runs and its process restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.choice = random.Random(0)
        self.listed = candidates(plain_relay(name) for name in range(RELAYS))
        self.guards = after_directory(Guards(), self.listed, now=self.now, choice=self.choice)
        self.middles: Middles = ()
        self.saved = PathMemory()
        self.disabled: set[RelayId] = set()
        self.order: list[RelayId] = []
        self.confirmed: set[RelayId] = set()

    def used(self) -> RelayId | None:
        found = guard_for(self.guards, self.listed, taken=NOBODY_TAKEN, now=self.now)
        return found.relay_id if isinstance(found, Relay) else None

    @rule(seconds=st.integers(1, 40 * 86_400))
    def time_passes(self, seconds: int) -> None:
        self.now = UnixTime(self.now + seconds)

    @rule(gone=st.sets(SOMEBODY, max_size=80), excluded=st.sets(SOMEBODY, max_size=3))
    def a_directory_comes(self, gone: set[int], excluded: set[int]) -> None:
        relays = [plain_relay(name) for name in range(RELAYS) if name not in gone]
        self.listed = candidates(relays, excluded=[plain_relay(name).relay_id for name in excluded])
        before = {(guard.relay_id, guard.added_at) for guard in self.guards.sample}
        self.guards = after_directory(self.guards, self.listed, now=self.now, choice=self.choice)
        kept = {guard.relay_id for guard in self.guards.sample if (guard.relay_id, guard.added_at) in before}
        # A disabled guard may come back as a new one only after its lifetime.
        self.disabled &= kept
        self.middles = renew_middles(self.middles, self.listed, guards=(), now=self.now, choice=self.choice)

    @rule(works=st.booleans(), turns=st.integers(1, 5))
    def paths_are_tried(self, works: bool, turns: int) -> None:
        for _ in range(turns):
            used = self.used()
            if used is None:
                return
            if works:
                self.guards = after_success(self.guards, used, self.listed, now=self.now, choice=self.choice)
            else:
                self.guards = after_failure(
                    self.guards, used, FIRST_EDGE, self.listed, now=self.now, jitter=self.choice
                )

    @rule(speaker=st.integers(0, 4))
    def paths_fail_beyond_the_guard(self, speaker: int) -> None:
        before, used = self.guards, self.used()
        for guard in before.sample if used is None else [Guard(used, self.now)]:
            edge = Edge(speaker, speaker + 1)
            self.guards = after_failure(
                self.guards, guard.relay_id, edge, self.listed, now=self.now, jitter=self.choice
            )
        assert before == self.guards

    @rule()
    def a_guard_kills_paths(self) -> None:
        """Beside another that carries; alone it could as well be the middles that kill."""
        used = self.used()
        others = [
            each.relay_id for each in self.guards.sample if each.relay_id != used and not each.is_disabled
        ]
        if used is not None and others:
            for _ in range(20):
                self.guards = after_attempt(self.guards, others[0], Outcome.CARRIED)
            for _ in range(300):
                self.guards = after_attempt(self.guards, used, Outcome.LOST)
            self.disabled.add(used)

    @rule()
    def the_process_restarts(self) -> None:
        """What is read back is what was written, and the same guards come first."""
        memory = merge(self.saved, PathMemory(self.guards.sample, self.middles), base=self.saved)
        read = decode_memory(encode_memory(memory, NETWORK_ID), NETWORK_ID)
        assert Whole(PathMemory(self.guards.sample, self.middles)) == read
        first = primaries(self.guards, self.listed)

        self.saved = memory
        self.guards = with_sample(Guards(), memory.guards)
        self.middles = memory.middles

        assert first == primaries(self.guards, self.listed)

    @invariant()
    def no_sample_is_longer_than_60(self) -> None:
        assert len(self.guards.sample) <= 60
        assert len(self.guards.sample) == len({guard.relay_id for guard in self.guards.sample})

    @invariant()
    def confirmed_guards_come_first(self) -> None:
        unused = [guard.confirmed_at is None for guard in self.guards.sample]
        assert sorted(unused) == unused

    @invariant()
    def nobody_overtakes_but_by_being_used(self) -> None:
        """Among guards of before that are confirmed, and among those that are not, the order stands."""
        confirmed = {guard.relay_id for guard in self.guards.sample if guard.confirmed_at is not None}
        now = [guard.relay_id for guard in self.guards.sample]
        before = [relay_id for relay_id in self.order if relay_id in now]
        for group in (confirmed & self.confirmed, set(now) - confirmed):
            assert [each for each in before if each in group] == [
                each for each in now if each in group and each in before
            ]
        self.order, self.confirmed = now, confirmed

    @invariant()
    def a_disabled_guard_is_never_used(self) -> None:
        assert self.used() not in self.disabled

    @invariant()
    def the_guard_of_a_path_is_a_usable_one(self) -> None:
        used = self.used()
        assert used is None or used in self.listed.usable
        assert len(primaries(self.guards, self.listed)) <= 3

    @invariant()
    def there_are_four_middles_at_most_and_they_are_listed(self) -> None:
        assert len(self.middles) <= 4
        assert usable_middles(self.middles, self.listed, now=self.now) <= self.listed.usable

    @invariant()
    def marks_are_of_guards(self) -> None:
        known = {guard.relay_id for guard in self.guards.sample}
        assert known >= {mark.relay_id for mark in self.guards.marks}
        assert len(self.guards.marks) <= 60


class TestGuards(GuardMachine.TestCase):  # type: ignore[name-defined, misc]
    settings = settings(max_examples=8, stateful_step_count=12, deadline=None)


@pytest.mark.slow
class TestGuardsForLong(GuardMachine.TestCase):  # type: ignore[name-defined, misc]
    settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
