"""Who counts as one family. Spec: docs/specs/directory.md §9.4."""

from __future__ import annotations

from collections.abc import Collection

from onionpath.crypto.identity import RelayId
from onionpath.directory.descriptor import Descriptor


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
