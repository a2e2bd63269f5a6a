"""The authority of a small network: one signer, whose signature is the threshold.

Only ``tick`` makes documents. Whoever runs it stores ``Signed.state`` durably, and only then publishes
``Signed.directory``; so a restart cannot lead to two documents of one number, whatever was lost.

| last document | descriptors | tick |
|---|---|---|
| none, or expired | fewer than ``first_document_relays`` | nothing |
| none, or expired | enough | signs |
| valid, of this period or a later one | any | nothing |
| valid, of an earlier period | at least one | signs |

Spec: docs/specs/directory.md §9.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.directory.descriptor import (
    MAX_DESCRIPTOR_SIZE,
    Descriptor,
    check_present,
    descriptor_digest,
    parse_descriptor,
    verify_descriptor,
)
from onionpath.directory.directory import Directory, assemble, decode_parts, encode_parts
from onionpath.directory.document import (
    MAX_DOCUMENT_SIZE,
    MAX_RELAYS,
    NO_PREVIOUS,
    Document,
    Listing,
    UnverifiedDocument,
    sign_document,
)
from onionpath.directory.parameters import Parameters
from onionpath.directory.trust import TrustRoot
from onionpath.errors import MalformedError, RefusedError, StaleDirectoryError, UsageError
from onionpath.injected import UnixTime
from relay.authority.public import is_public
from relay.authority.weights import weigh

VALID_PERIODS = 3

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


@dataclass(frozen=True, slots=True)
class _Known:
    envelope: bytes
    descriptor: Descriptor


class Authority:
    """Collects descriptors and signs a document in each period.

    Args:
        root: must name this identity, with a threshold of 1.
        parameters: those of the root.
        period_s: whole seconds; a network keeps its period for ever, because numbers come from it.
        first_document_relays: how many descriptors to wait for while no document is valid.
        private_addresses: list relays at addresses that aren't public; for test networks.
        state: ``Signed.state`` as it was stored last.

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
        state: bytes | None = None,
    ) -> None:
        if identity.public not in root.signers or root.threshold != 1:
            raise UsageError("this identity alone cannot sign for the trust root")
        if parameters != root.parameters:
            raise UsageError(
                "these are not the parameters of the trust root, so nobody would accept the documents"
            )
        if period_s < 1 or first_document_relays < 1:
            raise UsageError("an authority's period and first relays are at least 1")
        self._identity, self._root, self._parameters = identity, root, parameters
        self._period_s, self._first = period_s, first_document_relays
        self._private_addresses = private_addresses
        self._known: dict[RelayId, _Known] = {}
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
        known = self._known.get(descriptor.relay_id)
        if known is not None and known.envelope == envelope:
            return
        self._drop_stale(now)
        reason = self._refusal(descriptor)
        if reason is not None:
            raise RefusedError(f"the descriptor is not accepted: {reason}", reason=reason)
        self._known[descriptor.relay_id] = _Known(envelope, descriptor)

    def tick(self, now: UnixTime) -> Signed | None:
        """Sign, if it is time; call it once in a second or more often.

        Until ``state`` of the result is stored, neither publish it nor call again.
        """
        number = int(now // self._period_s)
        if number <= self._number:
            return None
        self._drop_stale(now)
        if len(self._known) < (1 if self._has_valid(now) else self._first):
            return None
        document = self._draft(number)
        envelope = sign_document(document, [self._identity])
        verified = UnverifiedDocument(envelope).verify(self._root, now=now, seen=None)
        self._directory = assemble(verified, [known.envelope for known in self._known.values()])
        self._number, self._previous = number, verified.digest
        return Signed(self._directory, self._state())

    def _has_valid(self, now: UnixTime) -> bool:
        return self._directory is not None and now < self._directory.document.valid_until

    def _draft(self, number: int) -> Document:
        descriptors = {relay_id: known.descriptor for relay_id, known in self._known.items()}
        weights = weigh(descriptors.values())
        start = number * self._period_s
        return Document(
            network_id=self._root.network_id,
            number=number,
            previous=self._previous,
            valid_from=UnixTime(start),
            fresh_until=UnixTime(start + self._period_s),
            valid_until=UnixTime(start + VALID_PERIODS * self._period_s),
            parameters=self._parameters,
            relays=tuple(
                Listing(relay_id, descriptor_digest(self._known[relay_id].envelope), weights[relay_id])
                for relay_id in sorted(descriptors)
            ),
        )

    def _refusal(self, descriptor: Descriptor) -> str | None:
        known = self._known.get(descriptor.relay_id)
        others = [one.descriptor for name, one in self._known.items() if name != descriptor.relay_id]
        if descriptor.network_id != self._root.network_id:
            return "wrong-network"
        if known is not None and descriptor.published_at <= known.descriptor.published_at:
            return "not-newer"
        if known is None and len(self._known) >= MAX_RELAYS:
            return "network-full"
        if not self._private_addresses and not all(is_public(one.host) for one in descriptor.addresses):
            return "address-not-public"
        # First come, first served: otherwise copying a relay's public values would take its place from it.
        if not _addresses([descriptor]).isdisjoint(_addresses(others)):
            return "address-taken"
        if not _keys([descriptor]).isdisjoint(_keys(others)):
            return "key-taken"
        return None

    def _drop_stale(self, now: UnixTime) -> None:
        for relay_id, known in list(self._known.items()):
            try:
                check_present(known.descriptor, now=now)
            except StaleDirectoryError:
                del self._known[relay_id]

    def _state(self) -> bytes:
        parts = (
            [self._directory.document.envelope, *self._directory.envelopes.values()]
            if self._directory
            else []
        )
        return _STATE.pack(_MAGIC, self._period_s, self._number, self._previous) + encode_parts(parts)

    def _restore(self, state: bytes) -> None:
        if len(state) < _STATE.size:
            raise MalformedError("the authority's state is cut off")
        magic, period_s, self._number, self._previous = _STATE.unpack_from(state)
        if magic != _MAGIC:
            raise MalformedError("this is no authority's state")
        if period_s != self._period_s:
            raise UsageError(f"this network's period is {period_s} s, not {self._period_s} s")
        document, *envelopes = _state_parts(state[_STATE.size :])
        verified = UnverifiedDocument(document).authenticate(self._root)
        if (verified.number, verified.digest) != (self._number, self._previous):
            raise MalformedError("the authority's state contradicts its last document")
        self._directory = assemble(verified, envelopes)
        for envelope in envelopes:
            descriptor = parse_descriptor(envelope)
            self._known[descriptor.relay_id] = _Known(envelope, descriptor)


def _state_parts(data: bytes) -> list[bytes]:
    parts = decode_parts(data, max_parts=1 + MAX_RELAYS, max_size=MAX_DOCUMENT_SIZE)
    if not parts or any(len(part) > MAX_DESCRIPTOR_SIZE for part in parts[1:]):
        raise MalformedError("the authority's state has no document, or a part that is too long")
    return parts


def _addresses(descriptors: Iterable[Descriptor]) -> set[object]:
    return {address for descriptor in descriptors for address in descriptor.addresses}


def _keys(descriptors: Iterable[Descriptor]) -> set[bytes]:
    return {
        key
        for descriptor in descriptors
        for key in (descriptor.link_key_hash, *(one.public.encoded for one in descriptor.packet_keys))
    }
