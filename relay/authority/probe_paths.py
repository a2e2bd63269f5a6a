"""Whom an authority measures next, over which path, and with how many packets.

Each relay has four turns in a period, at times that nobody foresees; a turn is one path with this relay at one
position and others around it. In the middle a packet of ours looks like anybody's: the first relay sees an
authority's address and the last one sees that it is asked for an echo, so only middles carry the trains of large
packets by which capacity is measured. Spec: docs/specs/measuring.md §2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Relay
from onionpath.injected import UnixTime
from onionpath.path.constraints import Taken
from relay.authority.measures import Measure
from relay.authority.turns import Rules, Schedule

# Whoever is a good partner must have something left for turns of its own.
PARTNER_PERCENT = 75
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
            cost_bytes = rules.bytes_of(probe.train)
            after = schedule.after(
                probe.measured, probe.relay_ids, rules, cost_bytes=cost_bytes, now=now, choice=choice
            )
            return after, probe
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
