"""The weights of a document: equal ones, capped where few would carry much. Spec: directory.md §9.4."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from onionpath.crypto.identity import RelayId
from onionpath.directory.descriptor import Descriptor

EQUAL_WEIGHT = 1000
# With 40 equal relays each has 2.5 %, so that a relay may have twice its share before the cap bites.
CAPPED_FROM = 40
RELAY_CAP_PERCENT = 5
FAMILY_CAP_PERCENT = 10


def weigh(descriptors: Collection[Descriptor]) -> dict[RelayId, int]:
    """A weight for each relay: equal, and capped per family and per relay once there are 40 of them."""
    weights = {descriptor.relay_id: EQUAL_WEIGHT for descriptor in descriptors}
    if len(weights) < CAPPED_FROM:
        return weights
    families = mutual_families(descriptors)
    capped = cap(weights, families, FAMILY_CAP_PERCENT)
    total = sum(capped.values())
    # Less for a family is more for everybody else; where that breaks the other cap, no weights satisfy both.
    if any(100 * weight > RELAY_CAP_PERCENT * total for weight in capped.values()):
        return weights
    return capped


def mutual_families(descriptors: Collection[Descriptor]) -> list[frozenset[RelayId]]:
    """The groups of relays that name each other, taken together transitively; a lone relay is one of its own.

    Both sides must say so: otherwise naming a rival would take weight from it.
    """
    named = {descriptor.relay_id: set(descriptor.family) for descriptor in descriptors}
    seen: set[RelayId] = set()
    families = []
    for first in sorted(named):
        if first in seen:
            continue
        family: set[RelayId] = set()
        reached = [first]
        while reached:
            member = reached.pop()
            if member not in family:
                family.add(member)
                reached += [other for other in named[member] if other in named and member in named[other]]
        families.append(frozenset(family))
        seen |= family
    return families


def cap(
    weights: Mapping[RelayId, int], groups: Sequence[frozenset[RelayId]], percent: int
) -> dict[RelayId, int]:
    """Scale down every group that has more than ``percent`` of the sum, until none has.

    The groups at the cap together have ``percent`` each of a sum that the others fill up; if nobody is left
    to fill it, the weights stay as they are.
    """
    capped: set[frozenset[RelayId]] = set()
    while True:
        others = sum(weights[member] for group in groups if group not in capped for member in group)
        share_left = 100 - percent * len(capped)
        if share_left <= 0 or (capped and others == 0):
            return dict(weights)
        over = {
            group
            for group in groups
            if group not in capped
            and 100 * share_left * sum(weights[member] for member in group) > percent * others * 100
        }
        if not over:
            allowed = others * percent // share_left
            small = {member: allowed // len(group) for group in capped for member in group}
            return {**weights, **small}
        capped |= over
