"""The descriptors that an authority knows, and whether one more may join them.

Addresses, keys and networks are indexed, so that taking a descriptor costs the same in a network of any size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass, field

from onionpath.crypto.identity import RelayId
from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor, check_present
from onionpath.directory.document import MAX_RELAYS
from onionpath.errors import StaleDirectoryError
from onionpath.injected import UnixTime
from onionpath.path.constraints import subnets
from relay.addresses import is_public

# Twice the relays of a path and some: a network that needs more in one /16 doesn't gain by them, since no path
# takes two, while whoever rents one cheap network could otherwise be most of the list.
MAX_PER_NETWORK = 8

# Every reason for which a descriptor that is legal isn't listed; the last two are told by whoever probes.
REASONS = frozenset(
    {
        "wrong-network",
        "not-allowed",
        "not-newer",
        "address-of-authority",
        "address-not-public",
        "address-taken",
        "key-taken",
        "network-full",
        "subnet-full",
        "unreachable",
        "newcomers-full",
    }
)


@dataclass(frozen=True, slots=True)
class Known:
    """A descriptor as it came and as it reads."""

    envelope: bytes = field(repr=False)
    descriptor: Descriptor


class Roll:
    """See the module's first lines.

    Args:
        network_id: the one network whose descriptors are taken.
        own: addresses that no relay may have: the authorities'.
        private_addresses: take addresses that aren't public, and any number in one network.
        allow: the relays that may join; empty for anybody.
    """

    def __init__(
        self,
        network_id: bytes,
        *,
        own: Collection[Address],
        private_addresses: bool,
        allow: Collection[RelayId],
    ) -> None:
        self._network_id = network_id
        self._own = frozenset(own)
        self._private_addresses = private_addresses
        self._allow = frozenset(allow)
        self._known: dict[RelayId, Known] = {}
        self._holders: dict[Hashable, RelayId] = {}
        self._networks: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Known]:
        return iter(self._known.values())

    def get(self, relay_id: RelayId) -> Known | None:
        """What is known of this relay."""
        return self._known.get(relay_id)

    def make_room(self, descriptor: Descriptor, *, now: UnixTime) -> None:
        """Forget relays that nobody may use any more, if one of them is in this one's way."""
        if len(self._known) >= MAX_RELAYS:
            self.drop_stale(now)
        for claim in _claims(descriptor):
            if (holder := self._holders.get(claim)) is not None:
                self._drop_if_stale(holder, now)

    def refusal(self, descriptor: Descriptor) -> str | None:
        """The named reason why it may not join, if there is one."""
        known = self._known.get(descriptor.relay_id)
        if descriptor.network_id != self._network_id:
            return "wrong-network"
        if self._allow and descriptor.relay_id not in self._allow:
            return "not-allowed"
        if known is not None and descriptor.published_at <= known.descriptor.published_at:
            return "not-newer"
        return self._address_refusal(descriptor) or self._taken(descriptor) or self._full(descriptor)

    def put(self, known: Known) -> None:
        """Let it join, in place of the relay's older descriptor."""
        descriptor = known.descriptor
        self.remove(descriptor.relay_id)
        self._known[descriptor.relay_id] = known
        self._holders.update(dict.fromkeys(_claims(descriptor), descriptor.relay_id))
        self._networks.update(subnets(descriptor.addresses))

    def remove(self, relay_id: RelayId) -> None:
        """Forget a relay; one that isn't known is fine."""
        known = self._known.pop(relay_id, None)
        if known is None:
            return
        for claim in _claims(known.descriptor):
            self._holders.pop(claim, None)
        for network in subnets(known.descriptor.addresses):
            self._networks[network] -= 1
            if not self._networks[network]:
                del self._networks[network]

    def drop_stale(self, now: UnixTime) -> None:
        """Forget descriptors that nobody may use any more."""
        for relay_id in list(self._known):
            self._drop_if_stale(relay_id, now)

    def _drop_if_stale(self, relay_id: RelayId, now: UnixTime) -> None:
        try:
            check_present(self._known[relay_id].descriptor, now=now)
        except StaleDirectoryError:
            self.remove(relay_id)

    def _address_refusal(self, descriptor: Descriptor) -> str | None:
        if not self._own.isdisjoint(descriptor.addresses):
            return "address-of-authority"
        if not self._private_addresses and not all(is_public(one.host) for one in descriptor.addresses):
            return "address-not-public"
        return None

    def _taken(self, descriptor: Descriptor) -> str | None:
        # First come, first served: otherwise copying a relay's public values would take its place from it.
        for claim in _claims(descriptor):
            if self._holders.get(claim) not in (None, descriptor.relay_id):
                return "address-taken" if isinstance(claim, Address) else "key-taken"
        return None

    def _full(self, descriptor: Descriptor) -> str | None:
        known = self._known.get(descriptor.relay_id)
        if known is None and len(self._known) >= MAX_RELAYS:
            return "network-full"
        ours = subnets(known.descriptor.addresses) if known is not None else frozenset()
        joined = subnets(descriptor.addresses) - ours
        if not self._private_addresses and any(self._networks[each] >= MAX_PER_NETWORK for each in joined):
            return "subnet-full"
        return None


def _claims(descriptor: Descriptor) -> set[Address | bytes]:
    """What only one relay may have."""
    return {*descriptor.all_addresses, *descriptor.all_keys}
