"""When each relay is measured, at which position, and how much may be sent through it for that.

Spec: docs/specs/measuring.md §2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from random import Random

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Relay
from onionpath.injected import UnixTime
from onionpath.onion.geometry import Geometry, SizeClass

TURNS_PER_PERIOD = 4
# 96 MiB an hour are 27 KiB/s: nine authorities together take 2 % of what a relay at 100 Mbit/s carries.
BUDGET_BYTES_PER_S = 96 * 1024 * 1024 / 3600
# Short periods are for test networks; with less, no train of a useful length fits.
LEAST_BUDGET_BYTES = 8 * 1024 * 1024
# Two seconds at the rate that was measured last, so that the time of one round trip hardly counts.
TRAIN_S = 2.0
# Half of what a relay takes from one client at once, and a third of a second's worth of what it takes in a second.
FIRST_TRAIN, LONGEST_TRAIN = 4, 32


@dataclass(frozen=True, slots=True)
class Rules:
    """What is the same for all turns.

    Args:
        geometry: of the network.
        distinct_subnets: see ``Parameters``.
        period_s: for so long one budget lasts; an authority's period.
    """

    geometry: Geometry
    distinct_subnets: bool
    period_s: float

    @property
    def budget_bytes(self) -> int:
        """What all probes together may send through one relay in a period, both directions added."""
        return max(LEAST_BUDGET_BYTES, int(BUDGET_BYTES_PER_S * self.period_s))

    @property
    def between_s(self) -> float:
        """Seconds between two turns of a relay, on average."""
        return self.period_s / TURNS_PER_PERIOD

    @property
    def positions(self) -> tuple[int, ...]:
        """Where a relay stands, turn by turn; every second turn is in the middle on paths of three hops."""
        middles, last = range(1, self.geometry.hops - 1), self.geometry.last_depth
        return (*middles, last, *middles, 0)

    def carries_train(self, position: int) -> bool:
        """Whether capacity is measured here: in the middle, or at the end of a path that has no middle."""
        return 0 < position < max(2, self.geometry.last_depth)

    def bytes_of(self, train: int) -> int:
        """What one probe sends through each relay of its path, there and back."""
        geometry = self.geometry
        return 2 * (geometry.frame_size(SizeClass.SMALL) + train * geometry.frame_size(SizeClass.LARGE))

    def train_length(self, capacity_kib_s: int | None) -> int:
        """As many large packets as take two seconds, within bounds; a quarter of the budget at most."""
        if capacity_kib_s is None:
            wanted = FIRST_TRAIN
        else:
            wanted = ceil(TRAIN_S * capacity_kib_s * 1024 / self.geometry.frame_size(SizeClass.LARGE))
        affordable = self.budget_bytes // (8 * self.geometry.frame_size(SizeClass.LARGE))
        return max(1, min(max(FIRST_TRAIN, wanted), LONGEST_TRAIN, affordable))


@dataclass(frozen=True, slots=True)
class Turn:
    """A relay's next turn: when, and how many it has had."""

    due_at: UnixTime
    number: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everybody's turns, and what was sent through each relay in this period."""

    period: int = -1
    turns: Mapping[RelayId, Turn] = field(default_factory=dict)
    spent_bytes: Mapping[RelayId, int] = field(default_factory=dict)

    def at(self, relays: Collection[RelayId], rules: Rules, *, now: UnixTime, choice: Random) -> Schedule:
        """The same with these relays and no others; whoever is new has his first turn soon, but not at once."""
        period = int(now // rules.period_s)
        spent = self.spent_bytes if period == self.period else {}
        if period == self.period and self.turns.keys() == set(relays):
            return self
        turns = {
            relay: self.turns.get(relay) or Turn(UnixTime(now + choice.uniform(0, rules.between_s)))
            for relay in relays
        }
        return Schedule(period, turns, spent)

    def after(
        self,
        measured: RelayId,
        path: Collection[RelayId],
        rules: Rules,
        *,
        cost_bytes: int,
        now: UnixTime,
        choice: Random,
    ) -> Schedule:
        """The same once this relay's turn has begun, on this path, at this cost for each of its relays."""
        spent = {relay: self.spent_bytes.get(relay, 0) + cost_bytes for relay in path}
        due_at = UnixTime(now + choice.uniform(0.5, 1.5) * rules.between_s)
        turn = Turn(due_at, self.turns[measured].number + 1)
        return replace(
            self,
            turns={**self.turns, measured: turn},
            spent_bytes={**self.spent_bytes, **spent},
        )

    def affordable(self, relays: Iterable[Relay], most_bytes: int) -> list[Relay]:
        """Those through which no more than this was sent."""
        return [relay for relay in relays if self.spent_bytes.get(relay.relay_id, 0) <= most_bytes]
