"""Which relays are where they say: what is to be dialled next, and what became of it.

| a relay was | it is | it is dialled |
|---|---|---|
| never dialled, and not listed before | not listed | at once |
| listed before we were started | listed; if not reached, for one more period | at once |
| reached | listed, for two periods | again after one period |
| reached, and then not | listed, until two periods after it was reached | again after ten minutes at most |
| never reached | forgotten; its contact is refused for ten minutes at most | when it publishes after that |

A relay's contact is its name, its addresses and its link key: where one of them changes, it is dialled anew.
Nothing here dials; ``probing`` does. Whether packets pass through it as well is found out by ``measuring``, once a
document lists it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor
from onionpath.injected import UnixTime

# However short a period is: dialling is not free for either side.
LEAST_BETWEEN_S = 60.0
# However long: an operator who has mended a firewall should not wait for an hour.
MOST_AFTER_FAILURE_S = 600.0
REMEMBERED_FAILURES = 20_000


class Contact(NamedTuple):
    """What a probe proves: that this key answers at these addresses."""

    relay_id: RelayId
    addresses: tuple[Address, ...]
    link_key_hash: bytes

    @classmethod
    def of(cls, descriptor: Descriptor) -> Contact:
        """The contact that a descriptor names."""
        return cls(descriptor.relay_id, descriptor.addresses, descriptor.link_key_hash)


class Reachability:
    """Results of probes; bounded by the relays that are known, and by a number of failures.

    Args:
        period_s: of the network's documents.
    """

    def __init__(self, *, period_s: float) -> None:
        self._between_s = max(LEAST_BETWEEN_S, period_s)
        self._after_failure_s = min(self._between_s, MOST_AFTER_FAILURE_S)
        self._reached_at: dict[Contact, UnixTime] = {}
        self._vouched: set[Contact] = set()
        self._tried_at: dict[Contact, UnixTime] = {}
        self._failed_at: OrderedDict[Contact, UnixTime] = OrderedDict()

    def vouch(self, contact: Contact) -> None:
        """It was in our last document, so it is listed until a probe says otherwise."""
        self._vouched.add(contact)

    def is_reachable(self, contact: Contact, now: UnixTime) -> bool:
        """Whether it may be listed."""
        reached_at = self._reached_at.get(contact)
        return contact in self._vouched or (reached_at is not None and now < reached_at + 2 * self._between_s)

    def was_reached(self, contact: Contact) -> bool:
        """Whether it ever answered, or was in our last document."""
        return contact in self._vouched or contact in self._reached_at

    def is_due(self, contact: Contact, now: UnixTime) -> bool:
        """Whether it should be dialled."""
        tried_at = self._tried_at.get(contact)
        wait_s = self._after_failure_s if contact in self._failed_at else self._between_s
        return tried_at is None or now >= tried_at + wait_s

    def has_failed(self, contact: Contact, now: UnixTime) -> bool:
        """Whether it was dialled in vain so lately that it need not be tried again."""
        failed_at = self._failed_at.get(contact)
        return failed_at is not None and now < failed_at + self._after_failure_s

    def note(self, contact: Contact, now: UnixTime, *, reached: bool) -> None:
        """What a probe found."""
        self._tried_at[contact] = now
        if contact in self._vouched:
            # Our own network may have been down when we started: that must not empty the list.
            self._vouched.discard(contact)
            self._reached_at[contact] = UnixTime(now - self._between_s)
        if reached:
            self._reached_at[contact] = now
            self._failed_at.pop(contact, None)
        else:
            self._failed_at[contact] = now
            self._failed_at.move_to_end(contact)
            if len(self._failed_at) > REMEMBERED_FAILURES:
                self._failed_at.popitem(last=False)

    def keep(self, contacts: Collection[Contact]) -> None:
        """These are all that are known now."""
        for contact in self._tried_at.keys() - contacts:
            self.forget(contact)

    def forget(self, contact: Contact) -> None:
        """It is known no more; a failure is remembered for its time all the same."""
        self._vouched.discard(contact)
        self._reached_at.pop(contact, None)
        self._tried_at.pop(contact, None)
