"""Authorities that show whatever documents a test gives them, on loopback, and keep the descriptors they are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor, descriptor_digest, sign_descriptor
from onionpath.directory.directory import Directory, assemble
from onionpath.directory.document import (
    NO_PREVIOUS,
    Document,
    Listing,
    UnverifiedDocument,
    sign_document,
)
from onionpath.directory.succession import Lineage
from onionpath.directory.trust import Authority, TrustRoot
from onionpath.injected import UnixTime
from onionpath.service.calls import ServiceId
from onionpath.service.directory import DirectoryService, Publication
from tests.relay.nodes import NETWORK_ID, PARAMETERS, PERIOD_S, Node

NOW = UnixTime(500_000 * PERIOD_S + 60)
NUMBER = 500_000


class Stand(Node):
    """One authority: ``show`` a directory, and read ``given``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.given: list[bytes] = []
        self.directory = DirectoryService(collector=lambda envelope, _: self.given.append(envelope))
        self.services[ServiceId.DIRECTORY] = self.directory

    def show(self, directory: Directory) -> None:
        self.directory.replace(Publication.of(directory))

    @property
    def signer(self) -> Authority:
        return Authority(self.identity.public, Address("127.0.0.1", self.port), self.key_hash)


def root_of(stands: Sequence[Stand], *, version: int = 1) -> TrustRoot:
    """All of these, of whom a majority must sign."""
    signers = tuple(stand.signer for stand in stands)
    return TrustRoot(NETWORK_ID, "test", signers, len(signers) // 2 + 1, PARAMETERS, version)


def directory_of(
    stands: Sequence[Stand],
    *,
    number: int = NUMBER,
    lineage: Lineage | None = None,
    weight: int = 1000,
) -> Directory:
    """What these sign of that number, listing themselves; another weight makes it another document."""
    lineage = lineage or Lineage(root_of(stands))
    listed = sorted(((describe(stand), stand) for stand in stands), key=lambda one: one[0].relay_id)
    envelopes = [sign_descriptor(descriptor, stand.identity) for descriptor, stand in listed]
    start = number * PERIOD_S
    document = Document(
        network_id=NETWORK_ID,
        number=number,
        previous=NO_PREVIOUS,
        valid_from=UnixTime(start),
        fresh_until=UnixTime(start + PERIOD_S),
        valid_until=UnixTime(start + 3 * PERIOD_S),
        parameters=PARAMETERS,
        relays=tuple(
            Listing(descriptor.relay_id, descriptor_digest(envelope), weight)
            for (descriptor, _), envelope in zip(listed, envelopes, strict=True)
        ),
        root_version=lineage.root.version,
    )
    envelope = sign_document(document, [stand.identity for stand in stands])
    verified = UnverifiedDocument(envelope).verify(lineage.root, now=UnixTime(document.valid_from), seen=None)
    return assemble(verified, envelopes, lineage=lineage)


def describe(node: Node) -> Descriptor:
    """As it is at ``NOW``."""
    epoch = int(NOW // PARAMETERS.epoch_s)
    (key,) = node.describe().packet_keys
    start = UnixTime(epoch * PARAMETERS.epoch_s)
    key = replace(key, epoch=epoch, valid_from=start, valid_until=UnixTime(start + 2 * PARAMETERS.epoch_s))
    return replace(node.describe(), packet_keys=(key,), published_at=UnixTime(int(NOW)))
