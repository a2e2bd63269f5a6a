"""Drawing a path: the last hop first, because it has the most conditions, then the first, then the middles.

Nothing here remembers anything; sticky guards and middles come in as arguments.
Spec: docs/specs/directory.md §7.1.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory, Relay
from onionpath.errors import NoPathError, OnionPathError
from onionpath.injected import UnixTime
from onionpath.path.constraints import Taken
from onionpath.service.exit_policy import ExitPolicy

# In a network of ten relays that is every choice; in a larger one, where so many choices have failed, the
# constraints leave next to nothing, and the caller should hear so in time.
MAX_DEAD_ENDS = 256


@dataclass(frozen=True, slots=True)
class Path:
    """The relays of a path, from the first hop to the last."""

    relays: tuple[Relay, ...]


Refusal = Callable[[Relay], str | None]
"""Says by name why a relay may not stand at one position, or None."""


def choose_path(
    directory: Directory,
    *,
    serves: int | None,
    port: int | None,
    required_exit: RelayId | None,
    excluded: Collection[RelayId],
    choice: random.Random,
    now: UnixTime,
    guards: Collection[RelayId] | None = None,
    middles: Collection[RelayId] | None = None,
) -> Path:
    """Draw a path of the network's length, each relay with the probability of its weight.

    Args:
        serves: service that the last hop must offer.
        port: TCP port that the last hop's exit policy must allow.
        required_exit: the only relay that may be last.
        excluded: relays that may stand nowhere.
        choice: ``random.SystemRandom()`` in the world, seeded in simulations.
        guards: the only relays that may be first.
        middles: the only relays that may be second.

    Raises:
        NoPathError: nothing satisfies all of it; ``reasons`` counts the relays refused at the last dead end.
    """
    parameters = directory.document.parameters
    conditions = _conditions(serves, port, required_exit, guards, middles, hops=parameters.hops)
    relays = [relay for relay in directory.relays.values() if relay.relay_id not in excluded]
    usable = [relay for relay in relays if relay.descriptor.packet_key(now) is not None and relay.weight > 0]
    search = _Search(usable, conditions, parameters.distinct_subnets, choice)
    chosen = search.extend(())
    if chosen is None:
        reasons = search.reasons + _unusable(directory, relays, now)
        raise NoPathError(f"no path: {_sentence(reasons)}", reasons=reasons)
    last, *others = chosen
    return Path((*others, last))


def weighted_choice(relays: Sequence[Relay], choice: random.Random) -> Relay:
    """One of them, with the probability of its weight; the weights are positive."""
    ends = list(accumulate(relay.weight for relay in relays))
    # randrange draws again instead of taking a remainder, so that no relay is favoured.
    return relays[bisect_right(ends, choice.randrange(ends[-1]))]


class _Search:
    """A depth-first search that draws instead of enumerating; ``reasons`` describes its last dead end."""

    def __init__(
        self,
        usable: Sequence[Relay],
        conditions: Sequence[Refusal],
        distinct_subnets: bool,
        choice: random.Random,
    ) -> None:
        self.usable, self.conditions, self.choice = usable, conditions, choice
        self.distinct_subnets = distinct_subnets
        self.reasons: Counter[str] = Counter()
        self.dead_ends = 0

    def extend(self, chosen: tuple[Relay, ...]) -> tuple[Relay, ...] | None:
        """Complete the relays chosen so far, in the order of drawing, or None."""
        if len(chosen) == len(self.conditions):
            return chosen
        for relay in self._draws(self._candidates(chosen)):
            complete = self.extend((*chosen, relay))
            if complete is not None or self.dead_ends >= MAX_DEAD_ENDS:
                return complete
        return None

    def _candidates(self, chosen: tuple[Relay, ...]) -> list[Relay]:
        taken = Taken.by(chosen, distinct_subnets=self.distinct_subnets)
        condition = self.conditions[len(chosen)]
        reasons: Counter[str] = Counter()
        candidates = []
        for relay in self.usable:
            reason = condition(relay) or taken.refusal(relay.descriptor)
            if reason is None:
                candidates.append(relay)
            else:
                reasons[reason] += 1
        if not candidates:
            self.dead_ends += 1
            self.reasons = reasons
        return candidates

    def _draws(self, candidates: list[Relay]) -> Iterator[Relay]:
        while candidates:
            relay = weighted_choice(candidates, self.choice)
            candidates.remove(relay)
            yield relay


def _conditions(
    serves: int | None,
    port: int | None,
    required_exit: RelayId | None,
    guards: Collection[RelayId] | None,
    middles: Collection[RelayId] | None,
    *,
    hops: int,
) -> list[Refusal]:
    """The condition of each position, in the order of drawing: last, first, second, …"""

    def last(relay: Relay) -> str | None:
        if required_exit is not None and relay.relay_id != required_exit:
            return "not-the-required-exit"
        if serves is not None and serves not in relay.descriptor.services:
            return "service-not-offered"
        if port is not None and not _may_allow_port(relay.descriptor.exit_policy, port):
            return "port-not-allowed"
        return None

    def first(relay: Relay) -> str | None:
        return "not-a-guard" if guards is not None and relay.relay_id not in guards else None

    def second(relay: Relay) -> str | None:
        return "not-a-chosen-middle" if middles is not None and relay.relay_id not in middles else None

    def other(relay: Relay) -> str | None:
        return None

    order: list[Refusal] = [last, first, second, other, other]
    return order[:hops]


@lru_cache(maxsize=4096)
def _may_allow_port(rules: tuple[str, ...], port: int) -> bool:
    if not rules:
        return False
    try:
        return ExitPolicy.parse(rules).may_allow_port(port)
    except OnionPathError:
        # Rules that we cannot read are a relay that we cannot use as an exit, and a fine middle.
        return False


def _unusable(directory: Directory, relays: Sequence[Relay], now: UnixTime) -> Counter[str]:
    without_key = sum(relay.descriptor.packet_key(now) is None for relay in relays)
    without_weight = sum(
        relay.weight == 0 and relay.descriptor.packet_key(now) is not None for relay in relays
    )
    counts = {
        "excluded": len(directory.relays) - len(relays),
        "no-valid-key": without_key,
        "no-weight": without_weight,
    }
    return +Counter(counts)


def _sentence(reasons: Counter[str]) -> str:
    return (
        ", ".join(f"{count} × {reason}" for reason, count in reasons.most_common()) or "there are no relays"
    )
