"""What an authority has found out about each relay by echoes: whether packets pass, and how fast.

A failure accuses an edge, so both of its relays; what a relay says about its neighbour proves nothing. A relay
counts as unreachable only when three different witnesses accuse it in roles in which it was not heard since, each
of them heard since through others. So one liar, or one dead relay, takes nobody with it.

A path is as fast as its slowest relay, and any rate is at most the relay's own: therefore the capacity is a high
quantile of the rates of paths with the relay in the middle. Spec: docs/specs/measuring.md §4 and §5.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from relay.authority.findings import Broken, Echoed, Finding

# A single liar is one witness. Two may meet by chance; three that lie between two honest echoes are an attack by
# so many relays that the weights' caps, not this, must hold them.
WITNESSES = 3
RATES_KEPT = 12
# Far more than are needed, and few enough to keep for every relay.
WITNESSES_KEPT = 16
# An accusation is forgotten then, so that a relay that nobody measures any more may show itself again.
ACCUSED_PERIODS = 2
RATE_PERIODS = 12
# The third of twelve from the top: two lucky paths don't raise it, and it stands while a quarter of them are clean.
RATES_PER_STEP = 5

NEVER = UnixTime(0)


class Role(Enum):
    """What a relay was on a path; whoever refuses to be the last must not live on what it carries for others."""

    CARRYING = "carrying"
    SERVING = "serving"


@dataclass(frozen=True, slots=True)
class Measure:
    """An authority's opinion of one relay, as votes hold it.

    Args:
        reachable: packets pass, as far as we know.
        capacity_kib_s: what it carries in each direction, in KiB/s; None while no train has shown it.
    """

    reachable: bool
    capacity_kib_s: int | None


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast one train was."""

    kib_s: float
    at: UnixTime


# Of an accusation: another relay, or None, which is the authority itself.
Witness = RelayId | None


@dataclass(frozen=True, slots=True)
class Standing:
    """One relay in one role: when it was heard last, and who has accused it since."""

    heard_at: UnixTime = NEVER
    accused: Mapping[Witness, UnixTime] = field(default_factory=dict)

    def accused_by(self, witness: Witness, at: UnixTime) -> Standing:
        """One more accusation; of a witness only its last counts."""
        others = {each: before for each, before in self.accused.items() if each != witness}
        newest = list(others.items())[1 - WITNESSES_KEPT :]
        return replace(self, accused=dict([*newest, (witness, at)]))


@dataclass(frozen=True, slots=True)
class Record:
    """All that is known of one relay."""

    standings: Mapping[Role, Standing] = field(default_factory=dict)
    rates: tuple[Rate, ...] = ()

    def standing(self, role: Role) -> Standing:
        """In this role; nobody has a bad one from the start."""
        return self.standings.get(role, Standing())

    def with_standing(self, role: Role, standing: Standing) -> Record:
        """The same with another standing."""
        return replace(self, standings={**self.standings, role: standing})

    def with_rate(self, rate: Rate) -> Record:
        """The same with the newest rate."""
        return replace(self, rates=(*self.rates, rate)[-RATES_KEPT:])

    @property
    def heard_at(self) -> UnixTime:
        """When it was heard last, in any role."""
        return max((standing.heard_at for standing in self.standings.values()), default=NEVER)

    @property
    def touched_at(self) -> UnixTime:
        """When anything was found out about it."""
        accusations = [at for each in self.standings.values() for at in each.accused.values()]
        return max([self.heard_at, *accusations])


class Measures:
    """The records of all relays; bounded by who was on a path in the last periods.

    Args:
        period_s: of the network's documents.
    """

    def __init__(self, *, period_s: float) -> None:
        self._period_s = period_s
        self._records: dict[RelayId, Record] = {}
        self._heard_anybody_at = NEVER

    def note(self, finding: Finding) -> None:
        """Take what became of a probe."""
        match finding.outcome:
            case Echoed() as echoed:
                self._heard(finding, len(finding.path))
                if finding.rated is not None and echoed.kib_s is not None:
                    rate = Rate(echoed.kib_s, finding.at)
                    self._records[finding.rated] = self._record(finding.rated).with_rate(rate)
            case Broken(edge=edge):
                # A seal of the speaker came through those before it. The speaker itself may be the one who lies.
                self._heard(finding, edge.speaker)
                self._accuse(finding, edge.speaker, edge.about)
                self._accuse(finding, edge.about, edge.speaker)

    def measures(self, now: UnixTime) -> dict[RelayId, Measure]:
        """Our opinion of each relay of which we have one."""
        return {relay: self.measure(relay, now) for relay in self._records}

    def measure(self, relay: RelayId, now: UnixTime) -> Measure:
        """Our opinion of one relay; without any finding it is reachable, and nothing is known of its capacity."""
        record = self._record(relay)
        witnesses = {each for role in Role for each in self._witnesses(record.standing(role), now)}
        return Measure(len(witnesses) < WITNESSES, self._capacity(record, now))

    def keep(self, relays: Collection[RelayId], now: UnixTime) -> None:
        """Forget relays that are not among these and of which nothing was found out lately."""
        expired_at = now - RATE_PERIODS * self._period_s
        for relay, record in list(self._records.items()):
            if relay not in relays and record.touched_at < expired_at:
                del self._records[relay]

    def _record(self, relay: RelayId) -> Record:
        return self._records.get(relay, Record())

    def _heard(self, finding: Finding, count: int) -> None:
        """The first ``count`` relays of the path did their part."""
        for position, relay in enumerate(finding.path[: max(0, count)]):
            role = _role(finding, position)
            self._records[relay] = self._record(relay).with_standing(role, Standing(finding.at))
            self._heard_anybody_at = max(self._heard_anybody_at, finding.at)

    def _accuse(self, finding: Finding, accused: int, by: int) -> None:
        if accused >= 0:
            relay, role = finding.path[accused], _role(finding, accused)
            witness = finding.path[by] if by >= 0 else None
            record = self._record(relay)
            standing = record.standing(role).accused_by(witness, finding.at)
            self._records[relay] = record.with_standing(role, standing)

    def _witnesses(self, standing: Standing, now: UnixTime) -> set[Witness]:
        """Those whose accusation counts: recent, and by somebody who was heard later than the accused."""
        since = now - ACCUSED_PERIODS * self._period_s
        return {
            witness
            for witness, at in standing.accused.items()
            if at > since and self._witness_heard_at(witness) > standing.heard_at
        }

    def _witness_heard_at(self, witness: Witness) -> UnixTime:
        return self._heard_anybody_at if witness is None else self._record(witness).heard_at

    def _capacity(self, record: Record, now: UnixTime) -> int | None:
        since = now - RATE_PERIODS * self._period_s
        rates = sorted((rate.kib_s for rate in record.rates if rate.at > since), reverse=True)
        return int(rates[(len(rates) - 1) // RATES_PER_STEP]) if rates else None


def _role(finding: Finding, position: int) -> Role:
    return Role.SERVING if position == len(finding.path) - 1 else Role.CARRYING
