"""From measured capacities to weights, with caps that hold for relays and families together.

Everything is counted in integers, so that every authority gets the same weights.
Spec: docs/specs/authorities.md §4.3 and §4.4.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from onionpath.crypto.identity import RelayId
from onionpath.directory.descriptor import Descriptor
from onionpath.directory.document import MAX_WEIGHT
from relay.authority.families import mutual_families

# So little that nobody gains by not being measured; where nobody is, all have the same.
UNMEASURED_BYTES_PER_S = 20_000
ENOUGH_MEASURES = 3
EQUAL_WEIGHT = 1000
# With 40 equal relays each has 2.5 %, so that a relay may have twice its share before the cap bites.
CAPPED_FROM = 40
RELAY_CAP_PERCENT = 5
FAMILY_CAP_PERCENT = 10


def agreed_capacity(measures: Sequence[int], *, votes: int) -> int:
    """Bytes per second: the low median, so that a minority's words move nothing beyond honest measures."""
    if len(measures) < ENOUGH_MEASURES and 2 * len(measures) <= votes:
        return UNMEASURED_BYTES_PER_S
    return sorted(measures)[(len(measures) - 1) // 2]


def weigh_capacities(
    capacities: Mapping[RelayId, int], descriptors: Collection[Descriptor]
) -> dict[RelayId, int]:
    """A weight of 1 to 1,000,000 for each relay; capped from 40 relays on.

    Args:
        descriptors: of exactly these relays.
    """
    highest = max(capacities.values())
    weights = {relay: max(1, capacity * MAX_WEIGHT // highest) for relay, capacity in capacities.items()}
    if len(weights) < CAPPED_FROM:
        return weights
    families = mutual_families(descriptors)
    total = _greatest_total(weights, families)
    return _cut(weights, families, total) if total else dict.fromkeys(weights, EQUAL_WEIGHT)


def _greatest_total(weights: Mapping[RelayId, int], families: Sequence[frozenset[RelayId]]) -> int:
    # What is left after cutting to a total shrinks more slowly than the total, so halving finds where they meet.
    enough, too_much = 0, sum(weights.values()) + 1
    while too_much - enough > 1:
        middle = (enough + too_much) // 2
        if sum(_cut(weights, families, middle).values()) >= middle:
            enough = middle
        else:
            too_much = middle
    return enough


def _cut(
    weights: Mapping[RelayId, int], families: Sequence[frozenset[RelayId]], total: int
) -> dict[RelayId, int]:
    """No relay above 5 % of ``total`` and no family above 10 %."""
    relay_cap, family_cap = RELAY_CAP_PERCENT * total // 100, FAMILY_CAP_PERCENT * total // 100
    cut = {relay: min(weight, relay_cap) for relay, weight in weights.items()}
    for family in families:
        together = sum(cut[member] for member in family)
        if together > family_cap:
            cut.update({member: cut[member] * family_cap // together for member in family})
    return cut
