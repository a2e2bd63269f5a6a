"""The document: which relays there are, with which weights, for which time, as the authorities signed it.

What arrives is an ``UnverifiedDocument``; only ``verify`` makes a ``Document`` of it, and each of its checks
has an error of its own. Spec: docs/specs/directory.md §5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated

import msgspec

from onionpath.crypto.identity import IdentityKey, RelayId, parse_relay_id
from onionpath.crypto.tags import digest
from onionpath.directory.canonical import Count, Form, Time, decode_canonical, encode_canonical
from onionpath.directory.descriptor import NETWORK_ID_SIZE
from onionpath.directory.envelope import open_signed, sign
from onionpath.directory.parameters import Parameters, ParametersForm
from onionpath.directory.succession import Lineage, SuccessionError
from onionpath.directory.trust import TrustRoot
from onionpath.errors import MalformedError, RollbackError, StaleDirectoryError, WrongNetworkError
from onionpath.injected import UnixTime

PAYLOAD_TYPE = "application/vnd.onionpath.document.v1+json"

# Fixed by the specification (§5).
DIGEST_SIZE = 32
MAX_DOCUMENT_SIZE = 6 * 1024 * 1024  # bytes of the envelope: 20,000 relays take 4.4 MB
MAX_RELAYS = 20_000
MAX_NUMBER = 2**53
MAX_WEIGHT = 1_000_000
VALID_PERIODS = 3
MAX_SWARM = 2**64 - 2  # the highest number of 64 bits means "in no swarm" to Session's clients
CLOCK_TOLERANCE_S = 30  # clocks that follow NTP differ by less than a second; this also forgives a bad one
NO_PREVIOUS = bytes(DIGEST_SIZE)
_SWARM = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Listing:
    """One relay of the document: name, digest of its descriptor (32 bytes), weight (0 to 1,000,000), swarm.

    Args:
        swarm: the id of the swarm in which it stores; None if it stores nothing.
    """

    relay_id: RelayId
    descriptor: bytes
    weight: int
    swarm: int | None = None

    def __post_init__(self) -> None:
        parse_relay_id(self.relay_id)
        if len(self.descriptor) != DIGEST_SIZE or not 0 <= self.weight <= MAX_WEIGHT:
            raise MalformedError("a document lists a relay with an illegal digest or weight")
        if self.swarm is not None and not 0 <= self.swarm <= MAX_SWARM:
            raise MalformedError("a document lists a relay with an illegal swarm")


@dataclass(frozen=True, slots=True)
class Document:
    """A document of legal form; the verified ones carry the envelope in which they came.

    Args:
        root_version: of the trust root whose authorities sign it.

    Raises:
        MalformedError: a value is outside of the specification.
    """

    network_id: bytes
    number: int
    previous: bytes
    valid_from: UnixTime
    fresh_until: UnixTime
    valid_until: UnixTime
    parameters: Parameters
    relays: tuple[Listing, ...]
    root_version: int = 1
    envelope: bytes = field(default=b"", repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.network_id) != NETWORK_ID_SIZE or len(self.previous) != DIGEST_SIZE:
            raise MalformedError("the document's network id or previous digest has a wrong length")
        if not 1 <= self.number <= MAX_NUMBER:
            raise MalformedError("the document's number is out of range")
        self._check_times()
        if not 1 <= len(self.relays) <= MAX_RELAYS or self.total_weight == 0:
            raise MalformedError(f"a document lists 1 to {MAX_RELAYS} relays, of which one has a weight")
        if any(one.relay_id >= two.relay_id for one, two in pairwise(self.relays)):
            raise MalformedError("the document's relays are repeated or out of order")
        if len({relay.descriptor for relay in self.relays}) != len(self.relays):
            raise MalformedError("the document lists one descriptor under two names")

    def _check_times(self) -> None:
        period_s = self.parameters.period_s
        if not self.valid_from < self.fresh_until < self.valid_until:
            raise MalformedError("the document's times are not in order")
        # Otherwise keys that were stolen once could sign so high a number, or for so long, that whoever saw it would
        # accept nothing else for years.
        start = UnixTime(self.number * period_s)
        if self.valid_from != start or self.fresh_until != start + period_s:
            raise MalformedError("the document's number and times are not those of one period")
        if self.valid_until > self.valid_from + VALID_PERIODS * period_s:
            raise MalformedError(f"the document would be valid for more than {VALID_PERIODS} periods")

    @property
    def total_weight(self) -> int:
        """The sum of the weights of all relays listed."""
        return sum(relay.weight for relay in self.relays)

    @property
    def digest(self) -> bytes:
        """The 32 bytes by which the next document names this one: of the payload, whoever signed it."""
        return digest(encode_document(self))

    def is_fresh(self, now: UnixTime) -> bool:
        """Whether there is no newer document to be expected yet."""
        return now < self.fresh_until

    def is_usable(self, now: UnixTime) -> bool:
        """Whether paths may still be built from it, our clock being 30 s wrong at most."""
        return self.valid_from - CLOCK_TOLERANCE_S <= now < self.valid_until + CLOCK_TOLERANCE_S


@dataclass(frozen=True, slots=True)
class SeenDocument:
    """The highest document accepted so far; who keeps it across restarts cannot be taken back behind it.

    Args:
        lineage: the trust root with which it was verified; None for the one that came with the program.
    """

    number: int
    digest: bytes
    envelope: bytes = field(default=b"", repr=False)
    lineage: Lineage | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, document: Document, lineage: Lineage | None = None) -> SeenDocument:
        """Remember this document."""
        return cls(document.number, document.digest, document.envelope, lineage)


class EquivocationError(RollbackError):
    """Authorities have signed two documents of one number; ``pair`` holds both envelopes as evidence."""

    def __init__(self, message: str, *, pair: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.pair = pair


class NewerRootError(SuccessionError):
    """The authorities have changed since; their successions lead on."""


class OldRootError(RollbackError):
    """Authorities of former times have signed this."""


@dataclass(frozen=True, slots=True)
class UnverifiedDocument:
    """Bytes that claim to be a document's envelope."""

    envelope: bytes = field(repr=False)

    def verify(self, root: TrustRoot, *, now: UnixTime, seen: SeenDocument | None) -> Document:
        """The document, if it may be used now.

        Raises:
            MalformedError: wrong form, or longer than ``MAX_DOCUMENT_SIZE``.
            SignatureThresholdError: too few authorities of ``root`` have signed it.
            WrongNetworkError: it is of another network.
            NewerRootError, OldRootError: it is of another version of the trust root.
            StaleDirectoryError: it has expired, or isn't valid yet.
            RollbackError: its number is lower than that of ``seen``.
            EquivocationError: it has the number of ``seen`` and other content.

        Spec: docs/specs/directory.md §5.4.
        """
        document = self.authenticate(root)
        _check_time(document, now)
        if seen is not None:
            _check_order(document, seen)
        return document

    def authenticate(self, root: TrustRoot) -> Document:
        """Check all but time and order: to learn from an expired document what has been seen.

        Raises:
            MalformedError, SignatureThresholdError, WrongNetworkError, NewerRootError, OldRootError: as for
                ``verify``.
        """
        payload = open_signed(
            self.envelope,
            payload_type=PAYLOAD_TYPE,
            signers=root.signers,
            threshold=root.threshold,
            max_size=MAX_DOCUMENT_SIZE,
        )
        document = decode_document(payload)
        if document.network_id != root.network_id:
            raise WrongNetworkError(f"the document is not of the network {root.name}")
        if document.parameters != root.parameters:
            raise WrongNetworkError(f"the document has other parameters than the trust root of {root.name}")
        _check_root(document, root)
        return replace(document, envelope=self.envelope)


def sign_document(document: Document, keys: Sequence[IdentityKey]) -> bytes:
    """The envelope of a document with one signature by each key."""
    return sign(PAYLOAD_TYPE, encode_document(document), keys)


def encode_document(document: Document) -> bytes:
    """The exact bytes that are signed; times are cut to whole seconds."""
    return encode_canonical(DocumentForm.of(document))


def decode_document(payload: bytes) -> Document:
    """Read signed bytes; nobody calls this before their signatures verified.

    Raises:
        MalformedError: wrong form.
    """
    form = decode_canonical(DocumentForm, payload, what="the document", max_size=MAX_DOCUMENT_SIZE)
    return form.parse()


def _check_root(document: Document, root: TrustRoot) -> None:
    ours, its = root.version, document.root_version
    if its > ours:
        raise NewerRootError(
            f"the document is of version {its} of the trust root, and we have version {ours}"
        )
    if its < ours:
        raise OldRootError(
            f"the document is of version {its} of the trust root, which version {ours} replaced"
        )


def _check_time(document: Document, now: UnixTime) -> None:
    if now < document.valid_from - CLOCK_TOLERANCE_S:
        ahead = timedelta(seconds=round(document.valid_from - now))
        raise StaleDirectoryError(
            f"the document is from the future by {ahead}: valid from {_utc(document.valid_from)}, and our "
            f"clock says {_utc(now)}; perhaps the clock is wrong"
        )
    if now >= document.valid_until + CLOCK_TOLERANCE_S:
        behind = timedelta(seconds=round(now - document.valid_until))
        raise StaleDirectoryError(
            f"the document expired {behind} ago: valid until {_utc(document.valid_until)}, and our clock "
            f"says {_utc(now)}; perhaps the clock is wrong"
        )


def _check_order(document: Document, seen: SeenDocument) -> None:
    if document.number < seen.number:
        raise RollbackError(f"document {document.number} is older than {seen.number}, which was seen before")
    check_consistent(document, seen)


def check_consistent(document: Document, seen: SeenDocument) -> None:
    """Refuse another document of a number that was seen.

    Raises:
        EquivocationError: it is one; holds both envelopes.
    """
    if document.number == seen.number and document.digest != seen.digest:
        raise EquivocationError(
            f"there are two documents with the number {document.number}",
            pair=(seen.envelope, document.envelope),
        )


def _swarm(text: str) -> int | None:
    if not text:
        return None
    if not _SWARM.fullmatch(text):
        raise MalformedError("a swarm's id is not 16 lower-case hexadecimal digits")
    return int(text, 16)


def _utc(time: UnixTime) -> str:
    return datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


class ListingForm(Form, frozen=True):
    """A listing as it is written."""

    relay_id: bytes
    descriptor: bytes
    weight: Count
    swarm: str

    @classmethod
    def of(cls, listing: Listing) -> ListingForm:
        swarm = "" if listing.swarm is None else f"{listing.swarm:016x}"
        return cls(listing.relay_id, listing.descriptor, listing.weight, swarm)

    def parse(self) -> Listing:
        return Listing(RelayId(self.relay_id), self.descriptor, self.weight, _swarm(self.swarm))


class DocumentForm(Form, frozen=True):
    """A document as it is signed."""

    network_id: bytes
    root_version: Count
    number: Count
    previous: bytes
    valid_from: Time
    fresh_until: Time
    valid_until: Time
    parameters: ParametersForm
    relays: Annotated[tuple[ListingForm, ...], msgspec.Meta(max_length=MAX_RELAYS)]

    @classmethod
    def of(cls, document: Document) -> DocumentForm:
        """The written form of a value; times are cut to whole seconds."""
        return cls(
            network_id=document.network_id,
            root_version=document.root_version,
            number=document.number,
            previous=document.previous,
            valid_from=int(document.valid_from),
            fresh_until=int(document.fresh_until),
            valid_until=int(document.valid_until),
            parameters=ParametersForm.of(document.parameters),
            relays=tuple(ListingForm.of(one) for one in document.relays),
        )

    def parse(self) -> Document:
        """The value; raises ``MalformedError`` if it is outside of the specification."""
        return Document(
            network_id=self.network_id,
            number=self.number,
            previous=self.previous,
            valid_from=UnixTime(self.valid_from),
            fresh_until=UnixTime(self.fresh_until),
            valid_until=UnixTime(self.valid_until),
            parameters=self.parameters.parse(),
            relays=tuple(listing.parse() for listing in self.relays),
            root_version=self.root_version,
        )
