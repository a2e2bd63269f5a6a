"""The contacts that wait for their first probe: few in all, and few of one network.

Anybody can make names and name silent addresses for nothing, and each costs a probe its whole time. So what waits is
bounded, and whoever finds no room is asked to publish again, which relays do by themselves.
Spec: docs/specs/directory.md §9.1b.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from onionpath.crypto.identity import RelayId
from onionpath.path.constraints import subnets
from relay.authority.reachability import Contact

# At 8 probes at once and 10 s each these are through in 320 s, even if nobody of them answers.
MAX_NEWCOMERS = 256
# Half of what one network may have listed.
MAX_NEWCOMERS_PER_NETWORK = 4


class Newcomers:
    """See the module's first lines.

    Args:
        per_network: how many of one /16 or /32 may wait; None for any number, in test networks.
    """

    def __init__(self, *, per_network: int | None = MAX_NEWCOMERS_PER_NETWORK) -> None:
        self._per_network = per_network
        self._waiting: dict[RelayId, Contact] = {}
        self._networks: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Contact]:
        return iter(self._waiting.values())

    def __contains__(self, contact: Contact) -> bool:
        return self._waiting.get(contact.relay_id) == contact

    def has_room(self, contact: Contact) -> bool:
        """Whether it may wait, too, in place of the relay's earlier contact."""
        earlier = self._waiting.get(contact.relay_id)
        if earlier is None and len(self._waiting) >= MAX_NEWCOMERS:
            return False
        joined = subnets(contact.addresses) - (subnets(earlier.addresses) if earlier else frozenset())
        return self._per_network is None or all(self._networks[one] < self._per_network for one in joined)

    def add(self, contact: Contact) -> None:
        """Let it wait behind the others; a relay whose contact has not changed keeps its place."""
        if contact not in self:
            self.remove(contact.relay_id)
            self._waiting[contact.relay_id] = contact
            self._networks.update(subnets(contact.addresses))

    def remove(self, relay_id: RelayId) -> None:
        """It was dialled, or is known no more; one that doesn't wait is fine."""
        contact = self._waiting.pop(relay_id, None)
        if contact is not None:
            self._networks -= Counter(subnets(contact.addresses))
