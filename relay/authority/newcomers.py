"""The contacts that wait for their first probe: few in all, few of one network, and few that came over one link.

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
# A relay publishes only itself over its link; this leaves room for those who come through a path and share one.
MAX_NEWCOMERS_PER_LINK = 16


class Newcomers:
    """See the module's first lines.

    Args:
        per_network: how many of one /16 or /32 may wait; None for any number, in test networks.
    """

    def __init__(self, *, per_network: int | None = MAX_NEWCOMERS_PER_NETWORK) -> None:
        self._per_network = per_network
        self._waiting: dict[RelayId, Contact] = {}
        self._networks: Counter[str] = Counter()
        self._links: dict[RelayId, int] = {}

    def __iter__(self) -> Iterator[Contact]:
        return iter(self._waiting.values())

    def __contains__(self, contact: Contact) -> bool:
        return self._waiting.get(contact.relay_id) == contact

    def has_room(self, contact: Contact, link: int | None = None) -> bool:
        """Whether it may wait, too, in place of the relay's earlier contact.

        Args:
            link: the number of the one that it came over; None for no limit of that kind.
        """
        return contact in self or (self._has_room_of_all(contact) and not self._is_full(contact, link))

    def _has_room_of_all(self, contact: Contact) -> bool:
        earlier = self._waiting.get(contact.relay_id)
        if earlier is None and len(self._waiting) >= MAX_NEWCOMERS:
            return False
        joined = subnets(contact.addresses) - (subnets(earlier.addresses) if earlier else frozenset())
        return self._per_network is None or all(self._networks[one] < self._per_network for one in joined)

    def _is_full(self, contact: Contact, link: int | None) -> bool:
        others = [one for one, its in self._links.items() if its == link and one != contact.relay_id]
        return len(others) >= MAX_NEWCOMERS_PER_LINK

    def add(self, contact: Contact, link: int | None = None) -> None:
        """Let it wait behind the others; a relay whose contact has not changed keeps its place."""
        if contact not in self:
            self.remove(contact.relay_id)
            self._waiting[contact.relay_id] = contact
            if link is not None:
                self._links[contact.relay_id] = link
            self._networks.update(subnets(contact.addresses))

    def remove(self, relay_id: RelayId) -> None:
        """It was dialled, or is known no more; one that doesn't wait is fine."""
        contact = self._waiting.pop(relay_id, None)
        self._links.pop(relay_id, None)
        if contact is not None:
            self._networks -= Counter(subnets(contact.addresses))
