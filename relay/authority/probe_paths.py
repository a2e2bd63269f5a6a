"""Whom an authority measures next, over which path, and with how many packets.

Each relay has four turns in a period, at times that nobody foresees; a turn is one path with this relay at one
position and others around it. In the middle a packet of ours looks like anybody's: the first relay sees an
authority's address and the last one sees that it is asked for an echo, so only middles carry the trains of large
packets by which capacity is measured. Spec: docs/specs/measuring.md §2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from random import Random

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Relay
from onionpath.injected import UnixTime
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.path.constraints import Taken
from relay.authority.measures import Measure

TURNS_PER_PERIOD = 4
# 96 MiB an hour are 27 KiB/s: nine authorities together take 2 % of what a relay at 100 Mbit/s carries.
BUDGET_BYTES_PER_S = 96 * 1024 * 1024 / 3600
# Short periods are for test networks; with less, no train of a useful length fits.
LEAST_BUDGET_BYTES = 8 * 1024 * 1024
# Whoever is a good partner must have something left for turns of its own.
PARTNER_PERCENT = 75
# Two seconds at the rate that was measured last, so that the time of one round trip hardly counts.
TRAIN_S = 2.0
# Half of what a relay takes from one client at once, and a third of a second's worth of what it takes in a second.
FIRST_TRAIN, LONGEST_TRAIN = 4, 32
# Among so many relays there are two partners, or the constraints leave next to nothing.
MAX_CANDIDATES = 48
MAX_STEPS = 2_000
MAX_TRIED = 8


@dataclass(frozen=True, slots=True)
class Probe:
    """One path that is to be measured.

    Args:
        path: first hop first; no relay twice, and none that a client would not put beside the others.
        position: index of the relay whose turn it is.
        train: large packets that are sent together once a small one came back; 0 asks only whether one comes back.
    """

    path: tuple[Relay, ...]
    position: int
    train: int

    @property
    def relay_ids(self) -> tuple[RelayId, ...]:
        """The relays of the path."""
        return tuple(relay.relay_id for relay in self.path)

    @property
    def measured(self) -> RelayId:
        """Whose turn it is."""
        return self.path[self.position].relay_id


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

    def after(self, probe: Probe, rules: Rules, *, now: UnixTime, choice: Random) -> Schedule:
        """The same once this probe is under way."""
        cost = rules.bytes_of(probe.train)
        spent = {relay: self.spent_bytes.get(relay, 0) + cost for relay in probe.relay_ids}
        due_at = UnixTime(now + choice.uniform(0.5, 1.5) * rules.between_s)
        turn = Turn(due_at, self.turns[probe.measured].number + 1)
        return replace(
            self,
            turns={**self.turns, probe.measured: turn},
            spent_bytes={**self.spent_bytes, **spent},
        )

    def affordable(self, relays: Iterable[Relay], most_bytes: int) -> list[Relay]:
        """Those through which no more than this was sent."""
        return [relay for relay in relays if self.spent_bytes.get(relay.relay_id, 0) <= most_bytes]


def next_probe(
    schedule: Schedule,
    relays: Mapping[RelayId, Relay],
    measures: Mapping[RelayId, Measure],
    rules: Rules,
    *,
    busy: Collection[RelayId],
    now: UnixTime,
    choice: Random,
) -> tuple[Schedule, Probe | None]:
    """A probe that may start now, if there is one, and the schedule after it.

    Args:
        relays: those of the present document.
        measures: what is known of them.
        busy: relays on paths that are being measured; two trains through one relay would halve each other.
        choice: decides whose turn comes first, who stands beside him, and when he has his next one.
    """
    usable = {relay_id: relay for relay_id, relay in relays.items() if relay.descriptor.packet_key(now)}
    schedule = schedule.at(usable.keys(), rules, now=now, choice=choice)
    due = sorted(relay for relay, turn in schedule.turns.items() if turn.due_at <= now and relay not in busy)
    free = [relay for relay_id, relay in sorted(usable.items()) if relay_id not in busy]
    for relay_id in choice.sample(due, min(len(due), MAX_TRIED)):
        probe = _probe(usable[relay_id], free, schedule, measures, rules, choice)
        if probe is not None:
            return schedule.after(probe, rules, now=now, choice=choice), probe
    return schedule, None


def _probe(
    measured: Relay,
    free: Sequence[Relay],
    schedule: Schedule,
    measures: Mapping[RelayId, Measure],
    rules: Rules,
    choice: Random,
) -> Probe | None:
    position = rules.positions[schedule.turns[measured.relay_id].number % len(rules.positions)]
    train = 0
    if rules.carries_train(position):
        train = rules.train_length(_capacity(measures, measured))
    cost = rules.bytes_of(train)
    if schedule.spent_bytes.get(measured.relay_id, 0) + cost > rules.budget_bytes:
        return None
    affordable = schedule.affordable(free, rules.budget_bytes * PARTNER_PERCENT // 100 - cost)
    candidates = _by_usefulness(measured, affordable, measures, choice)
    chosen = next(_completions((measured,), candidates, rules, iter(range(MAX_STEPS))), None)
    if chosen is None:
        return None
    partners = choice.sample(chosen[1:], len(chosen) - 1)
    return Probe((*partners[:position], measured, *partners[position:]), position, train)


def _by_usefulness(
    measured: Relay, free: Sequence[Relay], measures: Mapping[RelayId, Measure], choice: Random
) -> list[Relay]:
    """Partners that are at least as fast go first, then the others, and last those that nobody reaches.

    They belong to the faster half at any rate: whoever was once measured among slow ones would otherwise
    stay among them.
    """
    known = sorted(measure.capacity_kib_s or 0 for measure in measures.values())
    median = known[len(known) // 2] if known else 0
    enough = max(median, _capacity(measures, measured) or 0)

    def rank(relay: Relay) -> int:
        measure = measures.get(relay.relay_id)
        if measure is not None and not measure.reachable:
            return 2
        return 0 if (_capacity(measures, relay) or 0) >= enough else 1

    # Sorting keeps the order of the draw within each rank.
    return sorted(choice.sample(free, len(free)), key=rank)[:MAX_CANDIDATES]


def _capacity(measures: Mapping[RelayId, Measure], relay: Relay) -> int | None:
    measure = measures.get(relay.relay_id)
    return None if measure is None else measure.capacity_kib_s


def _completions(
    chosen: tuple[Relay, ...], candidates: Sequence[Relay], rules: Rules, steps: Iterator[int]
) -> Iterator[tuple[Relay, ...]]:
    """Relays that may stand on one path, the first one given, the most useful others first; until steps run out."""
    if len(chosen) == rules.geometry.hops:
        yield chosen
        return
    taken = Taken.by(chosen, distinct_subnets=rules.distinct_subnets)
    for relay, _ in zip(candidates, steps, strict=False):
        if taken.refusal(relay.descriptor) is None:
            yield from _completions((*chosen, relay), candidates, rules, steps)
