"""A verified document together with its descriptors: the only thing from which paths are chosen.

Spec: docs/specs/directory.md §6.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from onionpath.crypto.identity import RelayId
from onionpath.directory.descriptor import (
    MAX_DESCRIPTOR_SIZE,
    Descriptor,
    descriptor_digest,
    parse_descriptor,
)
from onionpath.directory.document import (
    MAX_DOCUMENT_SIZE,
    MAX_RELAYS,
    Document,
    SeenDocument,
    UnverifiedDocument,
)
from onionpath.directory.succession import MAX_SUCCESSION_SIZE, MAX_SUCCESSIONS, Lineage, resume
from onionpath.directory.trust import TrustRoot
from onionpath.errors import DirectoryError, MalformedError
from onionpath.injected import UnixTime

# Fixed by the specification (§6.1): with less, whoever withholds descriptors chooses our relays for us.
USABLE_WEIGHT_PERCENT = 60

SNAPSHOT_MAGIC = b"onionpath/1 directory\n"
_SNAPSHOT_HEAD_SIZE = len(SNAPSHOT_MAGIC) + 2


@dataclass(frozen=True, slots=True)
class Relay:
    """A relay that the document lists: what it says of itself, and the weight that authorities gave it."""

    descriptor: Descriptor
    weight: int

    @property
    def relay_id(self) -> RelayId:
        """Its name."""
        return self.descriptor.relay_id


@dataclass(frozen=True, slots=True)
class Directory:
    """What ``assemble`` makes.

    Args:
        document: the verified document.
        relays: those whose descriptor we have.
        envelopes: their descriptors as they were signed, by digest, to hand them on.
        missing: how many relays were left out.
        lineage: the trust root with which the document was verified, and how we came to it; None for the one that
            came with the program.
    """

    document: Document
    relays: Mapping[RelayId, Relay]
    envelopes: Mapping[bytes, bytes] = field(repr=False)
    missing: int
    lineage: Lineage | None = field(default=None, repr=False, compare=False)

    @property
    def hops(self) -> int:
        """Relays on a path."""
        return self.document.parameters.hops

    @property
    def distinct_subnets(self) -> bool:
        """Whether the relays of a path need different networks."""
        return self.document.parameters.distinct_subnets

    @property
    def total_weight(self) -> int:
        """Of all relays that the document lists, also those whose descriptor we don't have."""
        return self.document.total_weight

    def is_fresh(self, now: UnixTime) -> bool:
        """Whether there is no newer document to be expected yet."""
        return self.document.is_fresh(now)

    def is_usable(self, now: UnixTime) -> bool:
        """Whether paths may still be built from it."""
        return self.document.is_usable(now)

    @property
    def seen(self) -> SeenDocument:
        """What to remember, so that nobody takes us back behind it."""
        return SeenDocument.of(self.document, self.lineage)

    def encode(self) -> bytes:
        """The snapshot that a door keeps on disk."""
        successions = self.lineage.successions if self.lineage else ()
        first_version = self.document.root_version - len(successions)
        parts = [*successions, self.document.envelope, *self.envelopes.values()]
        return SNAPSHOT_MAGIC + bytes([first_version, len(successions)]) + encode_parts(parts)


def assemble(
    document: Document,
    envelopes: Iterable[bytes],
    *,
    known: Directory | None = None,
    lineage: Lineage | None = None,
) -> Directory:
    """Join a document and descriptors; the ones that it doesn't name are ignored.

    Args:
        known: an older directory, whose descriptors need not be given or parsed again.
        lineage: the trust root with which the document was verified, for the directory to keep.

    Raises:
        DirectoryError: too few descriptors, or one key under two names.
        MalformedError, SignatureThresholdError: the document names a descriptor that isn't one.
    """
    by_digest = {descriptor_digest(envelope): envelope for envelope in envelopes}
    relays: dict[RelayId, Relay] = {}
    used: dict[bytes, bytes] = {}
    parsed = {} if known is None else _by_digest(known)
    for listing in document.relays:
        found = parsed.get(listing.descriptor) or _parse(by_digest.get(listing.descriptor))
        if found is None:
            continue
        envelope, descriptor = found
        if descriptor.relay_id != listing.relay_id or descriptor.network_id != document.network_id:
            raise DirectoryError("the document lists a descriptor under a wrong name or of another network")
        relays[listing.relay_id] = Relay(descriptor, listing.weight)
        used[listing.descriptor] = envelope
    _check_weight(document, relays)
    _check_keys([relay.descriptor for relay in relays.values()])
    missing = len(document.relays) - len(relays)
    return Directory(document, MappingProxyType(relays), MappingProxyType(used), missing, lineage)


def decode_directory(
    snapshot: bytes, root: TrustRoot, *, now: UnixTime, seen: SeenDocument | None
) -> Directory:
    """Verify a snapshot as if it came from a stranger: a disk can be written by others, or be old.

    Raises:
        MalformedError: this is no snapshot.
        DirectoryError: what ``UnverifiedDocument.verify`` and ``assemble`` raise.
    """
    lineage, document, envelopes = _snapshot_parts(snapshot, root)
    verified = UnverifiedDocument(document).verify(lineage.root, now=now, seen=seen)
    return assemble(verified, envelopes, lineage=lineage)


def authenticate_directory(snapshot: bytes, root: TrustRoot) -> Directory:
    """A snapshot of any time, to look at and not to use.

    Raises:
        MalformedError, DirectoryError: as ``decode_directory``, but for time and order.
    """
    lineage, document, envelopes = _snapshot_parts(snapshot, root)
    return assemble(UnverifiedDocument(document).authenticate(lineage.root), envelopes, lineage=lineage)


def decode_seen(snapshot: bytes, root: TrustRoot) -> SeenDocument:
    """What an old snapshot proves to have been seen, however long ago it expired.

    Raises:
        MalformedError, SignatureThresholdError, WrongNetworkError, SuccessionError: it proves nothing.
    """
    lineage, document, _ = _snapshot_parts(snapshot, root)
    return SeenDocument.of(UnverifiedDocument(document).authenticate(lineage.root), lineage)


def encode_parts(parts: Iterable[bytes]) -> bytes:
    """Each part after its length in 4 bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def decode_parts(data: bytes, *, max_parts: int, max_size: int) -> list[bytes]:
    """What ``encode_parts`` joined.

    Raises:
        MalformedError: more or longer parts than allowed, or the data ends within one.
    """
    parts: list[bytes] = []
    offset = 0
    while offset < len(data):
        size = int.from_bytes(data[offset : offset + 4], "big")
        end = offset + 4 + size
        if end > len(data) or size > max_size or len(parts) >= max_parts:
            raise MalformedError("a part is too long, cut off, or one too many")
        parts.append(data[offset + 4 : end])
        offset = end
    return parts


def _document_first(parts: list[bytes]) -> tuple[bytes, list[bytes]]:
    if not parts or any(len(part) > MAX_DESCRIPTOR_SIZE for part in parts[1:]):
        raise MalformedError("there is no document, or a descriptor is too long")
    return parts[0], parts[1:]


def _snapshot_parts(snapshot: bytes, root: TrustRoot) -> tuple[Lineage, bytes, list[bytes]]:
    """The trust root to which the snapshot's successions lead, the document, and the descriptors."""
    if not snapshot.startswith(SNAPSHOT_MAGIC) or len(snapshot) < _SNAPSHOT_HEAD_SIZE:
        raise MalformedError("this is no snapshot of a directory")
    first_version, count = snapshot[len(SNAPSHOT_MAGIC) : _SNAPSHOT_HEAD_SIZE]
    max_parts = count + 1 + MAX_RELAYS
    parts = decode_parts(snapshot[_SNAPSHOT_HEAD_SIZE:], max_parts=max_parts, max_size=MAX_DOCUMENT_SIZE)
    successions, rest = parts[:count], parts[count:]
    if count > MAX_SUCCESSIONS or any(len(each) > MAX_SUCCESSION_SIZE for each in successions):
        raise MalformedError("a snapshot has too many successions, or too long ones")
    document, envelopes = _document_first(rest)
    return resume(root, first_version, successions), document, envelopes


def _by_digest(known: Directory) -> dict[bytes, tuple[bytes, Descriptor]]:
    return {
        listing.descriptor: (known.envelopes[listing.descriptor], known.relays[listing.relay_id].descriptor)
        for listing in known.document.relays
        if listing.relay_id in known.relays
    }


def _parse(envelope: bytes | None) -> tuple[bytes, Descriptor] | None:
    return None if envelope is None else (envelope, parse_descriptor(envelope))


def _check_weight(document: Document, relays: Mapping[RelayId, Relay]) -> None:
    present = sum(relay.weight for relay in relays.values())
    if 100 * present < USABLE_WEIGHT_PERCENT * document.total_weight:
        percent = 100 * present // document.total_weight
        raise DirectoryError(
            f"only {percent} % of the network's weight has a descriptor, {USABLE_WEIGHT_PERCENT} % are needed"
        )


def _check_keys(descriptors: Iterable[Descriptor]) -> None:
    seen: set[bytes] = set()
    for descriptor in descriptors:
        if not seen.isdisjoint(descriptor.all_keys):
            raise DirectoryError("the document lists one key under two names")
        seen.update(descriptor.all_keys)
