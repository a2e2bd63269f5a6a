"""Everything that a relay has to satisfy to stand on one path now, beside the relays that stand there already.

Spec: docs/specs/paths.md §1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.path.blame import Avoided
from onionpath.path.constraints import Taken
from onionpath.path.relays import ListedRelay, RelayList
from onionpath.path.roles import Purpose

Refusal = Callable[[ListedRelay], str | None]
"""Says by name why a relay may not stand at one position, or None."""


class Rules:
    """Everything that a relay of one path has to satisfy now."""

    def __init__(
        self,
        directory: RelayList,
        purpose: Purpose,
        excluded: Collection[RelayId],
        avoided: Avoided,
        now: UnixTime,
    ) -> None:
        self.positions = drawing_order(purpose.hops or directory.hops)
        self._distinct_subnets = directory.distinct_subnets
        self._relays, self._purpose, self._now = directory.relays, purpose, now
        self._excluded, self._avoided = excluded, avoided

    def beside(self, drawn: tuple[ListedRelay, ...], *, may_avoid: bool = True) -> Refusal:
        """What the table of the next position doesn't tell: the hour, the calls and the relays already drawn.

        Args:
            may_avoid: whether who is blamed may not stand there; edges are avoided in any case.
        """
        taken = Taken.by(drawn, distinct_subnets=self._distinct_subnets)
        position = self.positions[len(drawn)]
        # A guard is replaced by rules of its own; whoever blames it must not be able to move its client.
        may_avoid = may_avoid and (position > 0 or self._purpose.guards is None)
        shunned = self._avoided.relays if may_avoid else frozenset()
        partners = self._avoided_beside(drawn, position)

        def refusal(relay: ListedRelay) -> str | None:
            """The named reason why this relay may not stand there, or None."""
            relay_id = relay.relay_id
            if relay_id in self._excluded:
                return "excluded"
            if relay.descriptor.packet_key(self._now) is None:
                return "no-valid-key"
            if reason := taken.refusal(relay.descriptor):
                return reason
            if relay_id in shunned:
                return "avoided"
            return "avoided-edge" if relay_id in partners else None

        return refusal

    def _avoided_beside(self, drawn: tuple[ListedRelay, ...], position: int) -> frozenset[RelayId]:
        """Who may not be a neighbour of those that stand next to this position already."""
        if not self._avoided.edges:
            return frozenset()
        standing = dict(zip(self.positions, (relay.relay_id for relay in drawn), strict=False))
        before, after = standing.get(position - 1), standing.get(position + 1)
        return frozenset(
            speaker if about == after else about
            for speaker, about in self._avoided.edges
            if about == after or speaker == before
        )

    def count(self, drawn: tuple[ListedRelay, ...]) -> Counter[str]:
        """How many relays are refused for what at the position after these."""
        position = self.positions[len(drawn)]
        beside = self.beside(drawn)

        def reason(relay: ListedRelay) -> str | None:
            # What makes a relay useless anywhere is told before what this position asks of it.
            told = beside(relay)
            if told in ("excluded", "no-valid-key"):
                return told
            if relay.weight <= 0:
                return "no-weight"
            return self._purpose.refusal(relay, position, hops=len(self.positions)) or told

        reasons = (reason(relay) for relay in self._relays.values())
        return Counter(each for each in reasons if each is not None)


def drawing_order(hops: int) -> tuple[int, ...]:
    """The positions in the order of drawing: last, first, second, …"""
    return (hops - 1, *range(hops - 1))
