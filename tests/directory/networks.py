"""Small real networks for the tests of directories and paths: real keys, real signatures, no sockets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from onionpath.crypto.hybrid import HybridPrivateKey
from onionpath.crypto.identity import IdentityKey
from onionpath.crypto.session_channels import SessionPrivateKey
from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor, PacketKey, descriptor_digest, sign_descriptor
from onionpath.directory.directory import Directory, assemble
from onionpath.directory.document import (
    NO_PREVIOUS,
    Document,
    Listing,
    UnverifiedDocument,
    sign_document,
)
from onionpath.directory.parameters import Parameters
from onionpath.directory.session_door import SessionDoor
from onionpath.directory.trust import Authority, TrustRoot
from onionpath.injected import UnixTime

EPOCH_S = 21_600
PERIOD_S = 3_600
NOW = UnixTime(EPOCH_S * 80_000 + 60)
NETWORK_ID = hashlib.sha256(b"test network").digest()


def bytes_of(*name: object) -> bytes:
    """32 bytes that this name always gives."""
    return hashlib.sha256(repr(name).encode()).digest()


@lru_cache(maxsize=1024)
def identity(*name: object) -> IdentityKey:
    return IdentityKey(bytes_of("identity", *name))


@lru_cache(maxsize=1024)
def packet_key(name: object, epoch: int) -> PacketKey:
    start = epoch * EPOCH_S
    public = HybridPrivateKey(bytes_of("packet key", name, epoch)).public
    return PacketKey(epoch, UnixTime(start), UnixTime(start + EPOCH_S), public)


def door(name: object) -> SessionDoor:
    """Where this relay takes Session's onions."""
    key = SessionPrivateKey(bytes_of("session", name)).public
    return SessionDoor(key, 22_021, bytes_of("session certificate", name))


def descriptor(name: int, *, now: UnixTime = NOW, **changes: object) -> Descriptor:
    """A relay in a /16 of its own that offers echo, directory and streams."""
    epoch = int(now // EPOCH_S)
    relay = Descriptor(
        relay_id=identity(name).relay_id,
        addresses=(Address(f"{20 + name // 200}.{name % 200}.0.1", 443),),
        link_key_hash=bytes_of("link", name),
        packet_keys=(packet_key(name, epoch), packet_key(name, epoch + 1)),
        family=(),
        services=(1, 2, 3),
        exit_policy=(),
        version="0.1",
        published_at=UnixTime(int(now)),
        network_id=NETWORK_ID,
    )
    return replace(relay, **changes)  # type: ignore[arg-type]


def root(authorities: int = 1, threshold: int = 1) -> TrustRoot:
    return TrustRoot(
        NETWORK_ID,
        "test",
        tuple(
            Authority(
                identity("authority", number).public,
                Address(f"9.{number}.0.1", 443),
                bytes_of("a link", number),
            )
            for number in range(authorities)
        ),
        threshold,
    )


def authority_keys(count: int) -> list[IdentityKey]:
    return [identity("authority", number) for number in range(count)]


@dataclass(frozen=True)
class Network:
    """A signed document and everything in it."""

    root: TrustRoot
    document: Document
    envelope: bytes
    descriptors: tuple[bytes, ...]

    def directory(self) -> Directory:
        return assemble(self.verified(), self.descriptors)

    def verified(self) -> Document:
        return UnverifiedDocument(self.envelope).verify(
            self.root, now=UnixTime(self.document.valid_from + 60), seen=None
        )


def network(
    descriptors: Iterable[Descriptor] = (),
    *,
    weights: Sequence[int] = (),
    keys: Sequence[IdentityKey] = (),
    trust: TrustRoot | None = None,
    parameters: Parameters | None = None,
    number: int = int(NOW // PERIOD_S),
    **changes: object,
) -> Network:
    """A network of these relays (five by default), whose document is valid from a minute before NOW.

    Args:
        number: of another period, to which the times then belong.
    """
    relays = list(descriptors) or [descriptor(name) for name in range(5)]
    envelopes = [
        sign_descriptor(
            relay, next(key for key in map(identity, range(1000)) if key.relay_id == relay.relay_id)
        )
        for relay in relays
    ]
    listings = [
        Listing(relay.relay_id, descriptor_digest(envelope), weight)
        for relay, envelope, weight in zip(
            relays, envelopes, list(weights) or [1000] * len(relays), strict=True
        )
    ]
    start = number * PERIOD_S
    document = Document(
        network_id=NETWORK_ID,
        number=number,
        previous=NO_PREVIOUS,
        valid_from=UnixTime(start),
        fresh_until=UnixTime(start + PERIOD_S),
        valid_until=UnixTime(start + 3 * PERIOD_S),
        parameters=parameters or Parameters(),
        relays=tuple(sorted(listings, key=lambda listing: listing.relay_id)),
    )
    document = replace(document, **changes)  # type: ignore[arg-type]
    envelope = sign_document(document, list(keys) or authority_keys(1))
    trust = replace(trust or root(), parameters=document.parameters)
    return Network(trust, document, envelope, tuple(envelopes))
