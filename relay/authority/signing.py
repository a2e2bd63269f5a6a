"""The authority of a small network: one signer, whose signature is the threshold.

Only ``tick`` makes documents. Whoever runs it stores ``Signed.state`` durably, and only then publishes
``Signed.directory``; so a restart cannot lead to two documents of one number, whatever was lost.

| last document | relays to list | tick |
|---|---|---|
| none, or expired | fewer than ``first_document_relays`` | nothing |
| none, or expired | enough | signs |
| valid, of this period or a later one | any | nothing |
| valid, of an earlier period | at least one | signs |

A relay is listed once it was reached where it says (``reachability``). Spec: docs/specs/directory.md §9.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.directory.descriptor import (
    Descriptor,
    descriptor_digest,
    parse_descriptor,
    verify_descriptor,
)
from onionpath.directory.directory import Directory, assemble, decode_directory_parts, encode_parts
from onionpath.directory.document import (
    MAX_DOCUMENT_SIZE,
    NO_PREVIOUS,
    PAYLOAD_TYPE,
    VALID_PERIODS,
    Document,
    Listing,
    UnverifiedDocument,
    decode_document,
    sign_document,
)
from onionpath.directory.envelope import open_signed
from onionpath.directory.parameters import Parameters
from onionpath.directory.succession import Lineage
from onionpath.directory.swarms import assign, assigned
from onionpath.directory.trust import TrustRoot
from onionpath.errors import MalformedError, RefusedError, UsageError, WrongNetworkError
from onionpath.injected import UnixTime
from onionpath.service.calls import ServiceId
from relay.authority.reachability import Contact, Reachability
from relay.authority.roll import Known, Roll
from relay.authority.weights import weigh

SWARMS_LABEL = b"onionpath/1 swarms"
_STATE = struct.Struct(">19sQQ32s")  # magic, period, number of the last document, its digest
_MAGIC = b"onionpath/1 signer\n"


@dataclass(frozen=True, slots=True)
class Signed:
    """A new document.

    Args:
        directory: to be published, after ``state`` was stored durably.
        state: what the next start is given.
    """

    directory: Directory
    state: bytes = field(repr=False)


class Authority:
    """Collects descriptors and signs a document in each period.

    Args:
        root: must name this identity, with a threshold of 1.
        parameters: those of the root.
        period_s: whole seconds, that of the parameters.
        first_document_relays: how many descriptors to wait for while no document is valid.
        private_addresses: list relays at addresses that aren't public, and any number in one network; for test
            networks.
        allow: the only relays that may join; empty for anybody.
        probes: relays are listed only once ``probed`` said that they were reached; False where nobody can dial.
        state: ``Signed.state`` as it was stored last.
        lineage: how the root was reached, for readers that have an earlier version of it.

    Raises:
        UsageError: the root doesn't let this identity sign alone or has other parameters, or the state has
            another period.
        MalformedError: the state is damaged. Don't start without it: it prevents two documents of one number.
    """

    def __init__(
        self,
        *,
        identity: IdentityKey,
        root: TrustRoot,
        parameters: Parameters,
        period_s: int,
        first_document_relays: int = 1,
        private_addresses: bool = False,
        allow: Collection[RelayId] = (),
        probes: bool = False,
        state: bytes | None = None,
        lineage: Lineage | None = None,
    ) -> None:
        if identity.public not in root.signers or root.threshold != 1:
            raise UsageError("this identity alone cannot sign for the trust root")
        if parameters != root.parameters:
            raise UsageError(
                "these are not the parameters of the trust root, so nobody would accept the documents"
            )
        if period_s != parameters.period_s:
            raise UsageError(f"this network's period is {parameters.period_s} s, not {period_s} s")
        if first_document_relays < 1:
            raise UsageError("an authority waits for 1 relay or more before its first document")
        if lineage is not None and lineage.root != root:
            raise UsageError("the successions do not lead to this trust root")
        self._identity, self._root, self._parameters = identity, root, parameters
        self._lineage = lineage
        self._period_s, self._first = period_s, first_document_relays
        own = [authority.address for authority in root.authorities]
        self._roll = Roll(root.network_id, own=own, private_addresses=private_addresses, allow=allow)
        self._reachability = Reachability(period_s=period_s) if probes else None
        self._number, self._previous = 0, NO_PREVIOUS
        self._directory: Directory | None = None
        if state is not None:
            self._restore(state)

    @property
    def directory(self) -> Directory | None:
        """The last document that was signed, with its descriptors; after a restart too."""
        return self._directory

    def collect(self, envelope: bytes, *, now: UnixTime) -> None:
        """Take a relay's descriptor; the same bytes may come again.

        Raises:
            MalformedError, SignatureThresholdError, StaleDirectoryError: see ``verify_descriptor``.
            RefusedError: it is legal but won't be listed; ``reason`` says why.
        """
        descriptor = verify_descriptor(envelope, now=now)
        known = self._roll.get(descriptor.relay_id)
        if known is not None and known.envelope == envelope:
            return
        reason = self._roll.refusal(descriptor, now=now) or self._unreached(Contact.of(descriptor), now)
        if reason is not None:
            raise RefusedError(f"the descriptor is not accepted: {reason}", reason=reason)
        self._replace(known, Known(envelope, descriptor))

    def due(self, now: UnixTime) -> list[Contact]:
        """Whom to dial now; say what became of each with ``probed``."""
        if self._reachability is None:
            return []
        contacts = [Contact.of(known.descriptor) for known in self._roll]
        return [contact for contact in contacts if self._reachability.is_due(contact, now)]

    def probed(self, contact: Contact, *, reached: bool, now: UnixTime) -> None:
        """Take what a probe found; whoever never was reached is forgotten, and frees its addresses and keys."""
        known = self._roll.get(contact.relay_id)
        if self._reachability is None or known is None or Contact.of(known.descriptor) != contact:
            return
        self._reachability.note(contact, now, reached=reached)
        if not self._reachability.is_reachable(contact, now):
            self._reachability.forget(contact)
            self._roll.remove(contact.relay_id)

    def tick(self, now: UnixTime) -> Signed | None:
        """Sign, if it is time; call it once in a second or more often.

        Until ``state`` of the result is stored, neither publish it nor call again.
        """
        number = int(now // self._period_s)
        if number <= self._number:
            return None
        self._roll.drop_stale(now)
        if self._reachability is not None:
            self._reachability.keep({Contact.of(known.descriptor) for known in self._roll})
        listed = self._listed(now)
        if len(listed) < (1 if self._has_valid(now) else self._first):
            return None
        document = self._draft(number, listed)
        envelope = sign_document(document, [self._identity])
        verified = UnverifiedDocument(envelope).verify(self._root, now=now, seen=None)
        self._directory = assemble(verified, [known.envelope for known in listed], lineage=self._lineage)
        self._number, self._previous = number, verified.digest
        return Signed(self._directory, self._state())

    def _has_valid(self, now: UnixTime) -> bool:
        return self._directory is not None and now < self._directory.document.valid_until

    def _listed(self, now: UnixTime) -> list[Known]:
        return [known for known in self._roll if self._is_listable(Contact.of(known.descriptor), now)]

    def _unreached(self, contact: Contact, now: UnixTime) -> str | None:
        failed = self._reachability is not None and self._reachability.has_failed(contact, now)
        return "unreachable" if failed and not self._is_listable(contact, now) else None

    def _is_listable(self, contact: Contact, now: UnixTime) -> bool:
        return self._reachability is None or self._reachability.is_reachable(contact, now)

    def _replace(self, before: Known | None, known: Known) -> None:
        self._roll.put(known)
        if self._reachability is not None and before is not None:
            contact = Contact.of(before.descriptor)
            if contact != Contact.of(known.descriptor):
                self._reachability.forget(contact)

    def _draft(self, number: int, listed: list[Known]) -> Document:
        weights = weigh([known.descriptor for known in listed])
        swarms = self._swarms(number, [known.descriptor for known in listed])
        start = number * self._period_s
        return Document(
            network_id=self._root.network_id,
            number=number,
            previous=self._previous,
            valid_from=UnixTime(start),
            fresh_until=UnixTime(start + self._period_s),
            valid_until=UnixTime(start + VALID_PERIODS * self._period_s),
            parameters=self._parameters,
            root_version=self._root.version,
            relays=tuple(
                Listing(
                    known.descriptor.relay_id,
                    descriptor_digest(known.envelope),
                    weights[known.descriptor.relay_id],
                    swarms.get(known.descriptor.relay_id),
                )
                for known in sorted(listed, key=lambda known: known.descriptor.relay_id)
            ),
        )

    def _swarms(self, number: int, listed: Sequence[Descriptor]) -> dict[RelayId, int]:
        previous = assigned(self._directory.document) if self._directory else {}
        storing = [descriptor.relay_id for descriptor in listed if ServiceId.STORAGE in descriptor.services]
        # Nobody else can make this signature, so nobody can choose a name by the swarm that it will draw.
        seed = self._identity.sign(SWARMS_LABEL + self._root.network_id + number.to_bytes(8, "big"))
        return assign(previous, storing, seed=seed)

    def _state(self) -> bytes:
        parts = (
            [self._directory.document.envelope, *self._directory.envelopes.values()]
            if self._directory
            else []
        )
        return _STATE.pack(_MAGIC, self._period_s, self._number, self._previous) + encode_parts(parts)

    def _own(self, envelope: bytes) -> Document:
        """A document of ours; it may be of an earlier version of the trust root, before a succession."""
        payload = open_signed(
            envelope,
            payload_type=PAYLOAD_TYPE,
            signers=[self._identity.public],
            threshold=1,
            max_size=MAX_DOCUMENT_SIZE,
        )
        document = decode_document(payload)
        if document.network_id != self._root.network_id:
            raise WrongNetworkError("the authority's state is of another network")
        return replace(document, envelope=envelope)

    def _restore(self, state: bytes) -> None:
        if len(state) < _STATE.size:
            raise MalformedError("the authority's state is cut off")
        magic, period_s, self._number, self._previous = _STATE.unpack_from(state)
        if magic != _MAGIC:
            raise MalformedError("this is no authority's state")
        if period_s != self._period_s:
            raise UsageError(f"this network's period is {period_s} s, not {self._period_s} s")
        document, envelopes = decode_directory_parts(state[_STATE.size :])
        verified = self._own(document)
        if (verified.number, verified.digest) != (self._number, self._previous):
            raise MalformedError("the authority's state contradicts its last document")
        self._directory = assemble(verified, envelopes, lineage=self._lineage)
        for envelope in envelopes:
            descriptor = parse_descriptor(envelope)
            self._roll.put(Known(envelope, descriptor))
            if self._reachability is not None:
                self._reachability.vouch(Contact.of(descriptor))
