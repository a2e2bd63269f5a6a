"""What of the relays and edges to be avoided a path can do without, seen before a search for it fails.

Sticky guards and middles are so few that all of them may be avoided at once; whoever brings that about, by accusing or
by killing, must neither stop the client nor keep it searching. Spec: docs/specs/paths.md §1.7.
"""

from __future__ import annotations

from collections.abc import Sequence

from onionpath.path.blame import Avoided, RelayEdge
from onionpath.path.relays import ListedRelay

Places = Sequence[Sequence[ListedRelay]]
"""Who may stand at the first hop, at the second, and so on."""


def bearable(avoided: Avoided, places: Places, *, is_guarded: bool) -> Avoided:
    """The same without the relays that are all there is for some place, and without the edges to all second hops.

    Args:
        is_guarded: the first hops are guards, which are not avoided as relays.
    """
    return _with_first_step(_with_each_place(avoided, places[1:] if is_guarded else places), places)


def _with_each_place(avoided: Avoided, places: Places) -> Avoided:
    relays = avoided.relays
    for place in places:
        # A place that others fill, too, is left at the first of them, so that large ones cost nothing.
        if all(relay.relay_id in relays for relay in place):
            relays -= {relay.relay_id for relay in place}
    return Avoided(relays, avoided.edges)


def _with_first_step(avoided: Avoided, places: Places) -> Avoided:
    first, second, *_ = places
    steps = (
        RelayEdge(one.relay_id, other.relay_id)
        for one in first
        for other in second
        if other.relay_id not in avoided.relays
    )
    if not all(step in avoided.edges for step in steps):
        return avoided
    firsts = {relay.relay_id for relay in first}
    kept = frozenset(edge for edge in avoided.edges if edge.speaker not in firsts)
    return Avoided(avoided.relays, kept)
