"""What ``onionpath network diff`` shows: how two documents of a network differ, as values and as lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onionpath.directory.document import Document, Listing

NO_SWARM = "none"


def compared(old: Document, new: Document) -> dict[str, Any]:
    """What changed, in plain values; relays by id."""
    before = {one.relay_id: one for one in old.relays}
    after = {one.relay_id: one for one in new.relays}
    both = [(before[relay_id], after[relay_id]) for relay_id in before.keys() & after.keys()]
    return {
        "old": old.number,
        "new": new.number,
        "root_versions": [old.root_version, new.root_version],
        "relays_gone": sorted(relay_id.hex() for relay_id in before.keys() - after.keys()),
        "relays_new": sorted(relay_id.hex() for relay_id in after.keys() - before.keys()),
        "descriptors": sorted(one.relay_id.hex() for one, two in both if one.descriptor != two.descriptor),
        "weights": {
            one.relay_id.hex(): [one.weight, two.weight]
            for one, two in sorted(both, key=_name)
            if one.weight != two.weight
        },
        "swarms": {
            one.relay_id.hex(): [_swarm(one), _swarm(two)]
            for one, two in sorted(both, key=_name)
            if one.swarm != two.swarm
        },
    }


def lines(changes: dict[str, Any]) -> Iterator[str]:
    """For people: a line for each change."""
    yield f"documents    {changes['old']} to {changes['new']}"
    one, two = changes["root_versions"]
    if one != two:
        yield f"authorities  version {one} of the trust root to version {two}"
    for name, word in (("relays_gone", "gone"), ("relays_new", "new"), ("descriptors", "descriptor")):
        for relay in changes[name]:
            yield f"{word:<13}{relay[:16]}"
    for name, word in (("weights", "weight"), ("swarms", "swarm")):
        for relay, (was, now) in changes[name].items():
            yield f"{word:<13}{relay[:16]}  {was} to {now}"


def _name(pair: tuple[Listing, Listing]) -> bytes:
    return pair[0].relay_id


def _swarm(listing: Listing) -> str:
    return NO_SWARM if listing.swarm is None else f"{listing.swarm:016x}"
