"""The relays that may be listed: takes their descriptors, and wants each reached before it counts.

Nothing here dials; ``due`` and ``newcomers`` say whom to dial, and ``probed`` takes what came of it.
Spec: docs/specs/directory.md §9.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from onionpath.crypto.identity import RelayId
from onionpath.directory.descriptor import parse_descriptor, verify_descriptor
from onionpath.directory.trust import TrustRoot
from onionpath.errors import RefusedError
from onionpath.injected import UnixTime
from relay.authority.newcomers import MAX_NEWCOMERS_PER_NETWORK, Newcomers
from relay.authority.reachability import Contact, Reachability
from relay.authority.roll import Known, Roll


class Enrolment:
    """Descriptors that were published to us, and which of their relays were reached.

    Args:
        private_addresses: take addresses that aren't public, and any number in one network; for test networks.
        allow: the only relays that may join; empty for anybody.
        probes: relays are listed only once ``probed`` said that they were reached; False where nobody can dial.
    """

    def __init__(
        self,
        root: TrustRoot,
        *,
        private_addresses: bool = False,
        allow: Collection[RelayId] = (),
        probes: bool = True,
    ) -> None:
        own = [authority.address for authority in root.authorities]
        self._roll = Roll(root.network_id, own=own, private_addresses=private_addresses, allow=allow)
        self._reachability = Reachability(period_s=root.parameters.period_s) if probes else None
        self._newcomers = Newcomers(per_network=None if private_addresses else MAX_NEWCOMERS_PER_NETWORK)

    def __len__(self) -> int:
        return len(self._roll)

    def collect(self, envelope: bytes, *, now: UnixTime, link: int | None = None) -> None:
        """Take a relay's descriptor; the same bytes may come again.

        Args:
            link: the number of the one that it came over, over which few newcomers come; None without that limit.

        Raises:
            MalformedError, SignatureThresholdError, StaleDirectoryError: see ``verify_descriptor``.
            RefusedError: it is legal but won't be listed; ``reason`` says why.
        """
        descriptor = verify_descriptor(envelope, now=now)
        known = self._roll.get(descriptor.relay_id)
        if known is not None and known.envelope == envelope:
            return
        self._roll.make_room(descriptor, now=now)
        contact = Contact.of(descriptor)
        reason = self._roll.refusal(descriptor) or self._unreached(contact, now)
        reason = reason or self._crowded_out(contact, link)
        if reason is not None:
            raise RefusedError(f"the descriptor is not accepted: {reason}", reason=reason)
        self._replace(known, Known(envelope, descriptor), link)

    def vouch(self, envelopes: Iterable[bytes]) -> None:
        """Take the descriptors of the last document, after a restart: they count as reached until they are dialled."""
        for envelope in envelopes:
            descriptor = parse_descriptor(envelope)
            self._roll.put(Known(envelope, descriptor))
            if self._reachability is not None:
                self._reachability.vouch(Contact.of(descriptor))

    @property
    def newcomers(self) -> Iterable[Contact]:
        """Whom to dial for the first time, the earliest first; say what became of each with ``probed``."""
        return self._newcomers

    def due(self, now: UnixTime) -> list[Contact]:
        """Whom to dial once more; say what became of each with ``probed``."""
        contacts = [Contact.of(known.descriptor) for known in self._roll]
        return [contact for contact in contacts if self.is_due(contact, now)]

    def is_due(self, contact: Contact, now: UnixTime) -> bool:
        """Whether it is of a relay that is known and no newcomer, and is to be dialled."""
        if self._reachability is None or contact in self._newcomers:
            return False
        known = self._roll.get(contact.relay_id)
        is_current = known is not None and Contact.of(known.descriptor) == contact
        return is_current and self._reachability.is_due(contact, now)

    def probed(self, contact: Contact, *, reached: bool, now: UnixTime) -> None:
        """Take what a probe found; whoever never was reached is forgotten, and frees its addresses and keys."""
        if contact in self._newcomers:
            self._newcomers.remove(contact.relay_id)
        known = self._roll.get(contact.relay_id)
        if self._reachability is None or known is None or Contact.of(known.descriptor) != contact:
            return
        self._reachability.note(contact, now, reached=reached)
        if not self._reachability.is_reachable(contact, now):
            self._reachability.forget(contact)
            self._roll.remove(contact.relay_id)

    def drop_stale(self, now: UnixTime) -> None:
        """Forget descriptors that nobody may use any more, and what was found out about them."""
        self._roll.drop_stale(now)
        if self._reachability is not None:
            self._reachability.keep({Contact.of(known.descriptor) for known in self._roll})

    def listable(self, now: UnixTime) -> list[Known]:
        """Those that may be listed now; ``drop_stale`` first."""
        return [known for known in self._roll if self._is_listable(Contact.of(known.descriptor), now)]

    def envelopes(self) -> list[bytes]:
        """All descriptors that are known."""
        return [known.envelope for known in self._roll]

    def _unreached(self, contact: Contact, now: UnixTime) -> str | None:
        failed = self._reachability is not None and self._reachability.has_failed(contact, now)
        return "unreachable" if failed and not self._is_listable(contact, now) else None

    def _crowded_out(self, contact: Contact, link: int | None) -> str | None:
        has_no_room = self._is_new(contact) and not self._newcomers.has_room(contact, link)
        return "newcomers-full" if has_no_room else None

    def _is_new(self, contact: Contact) -> bool:
        return self._reachability is not None and not self._reachability.was_reached(contact)

    def _is_listable(self, contact: Contact, now: UnixTime) -> bool:
        return self._reachability is None or self._reachability.is_reachable(contact, now)

    def _replace(self, known: Known | None, new: Known, link: int | None) -> None:
        self._roll.put(new)
        if self._reachability is not None and known is not None:
            before, after = Contact.of(known.descriptor), Contact.of(new.descriptor)
            if before != after:
                self._reachability.forget(before)
                self._newcomers.remove(before.relay_id)
        if self._is_new(contact := Contact.of(new.descriptor)):
            self._newcomers.add(contact, link)
