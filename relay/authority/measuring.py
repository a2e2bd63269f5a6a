"""Measuring relays through the network: what is to be probed now, and what is known after each probe.

Sans I/O: ``echoing`` carries probes out over sockets, and an event heap can do it as well.
Spec: docs/specs/measuring.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from random import Random

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory
from onionpath.directory.parameters import Parameters
from onionpath.injected import UnixTime
from relay.authority.findings import Broken, Echoed, Finding, Outcome
from relay.authority.measures import Measure, Measures
from relay.authority.probe_paths import Probe, next_probe
from relay.authority.turns import Rules, Schedule

# Eight paths of three relays: in a large network enough for each relay's turns, and 32 MiB of trains under way.
AT_ONCE = 8
# Judging all relays of a large network takes 50 ms; partners are chosen well enough by what was known just before.
JUDGED_EVERY_S = 10.0


class Measuring:
    """Give it the present document and the time; carry out what it gives, and say what became of it.

    Args:
        parameters: of the network.
        period_s: of the network's documents; budgets and turns come from it.
        choice: ``random.SystemRandom()`` in the world, seeded in simulations.
    """

    def __init__(self, parameters: Parameters, *, period_s: float, choice: Random) -> None:
        self._rules = Rules(parameters.geometry, parameters.distinct_subnets, period_s)
        self._choice = choice
        self._schedule = Schedule()
        self._measures = Measures(period_s=period_s)
        self._under_way: dict[RelayId, Probe] = {}
        self._judged: Mapping[RelayId, Measure] = {}
        self._judged_at = UnixTime(0)
        self._counts: Counter[str] = Counter()

    def due(self, directory: Directory, now: UnixTime) -> Probe | None:
        """A probe that is to be started now; say what became of it with ``ended``."""
        if len(self._under_way) >= AT_ONCE or not directory.is_usable(now):
            return None
        if now >= self._judged_at + JUDGED_EVERY_S:
            self._judge(directory, now)
        busy = {relay for probe in self._under_way.values() for relay in probe.relay_ids}
        self._schedule, probe = next_probe(
            self._schedule,
            directory.relays,
            self._judged,
            self._rules,
            busy=busy,
            now=now,
            choice=self._choice,
        )
        if probe is not None:
            self._under_way[probe.measured] = probe
        return probe

    def ended(self, probe: Probe, outcome: Outcome | None, now: UnixTime) -> None:
        """Take what became of a probe; None if that says nothing of the network."""
        self._under_way.pop(probe.measured, None)
        match outcome:
            case None:
                self._counts["failed"] += 1
                return
            case Broken(edge=edge):
                self._counts[f"broken_at_hop_{edge.about + 1}"] += 1
            case Echoed():
                self._counts["echoed"] += 1
        rated = probe.measured if probe.train else None
        self._measures.note(Finding(probe.relay_ids, rated, outcome, now))

    def measure(self, relay: RelayId, now: UnixTime) -> Measure:
        """Our opinion of one relay, for a vote."""
        return self._measures.measure(relay, now)

    def counts(self) -> dict[str, int]:
        """Probes by what became of them."""
        return dict(self._counts)

    def _judge(self, directory: Directory, now: UnixTime) -> None:
        self._measures.keep(directory.relays.keys(), now)
        self._judged, self._judged_at = self._measures.measures(now), now
