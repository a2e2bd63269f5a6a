"""What a relay says about itself, signed by itself. Spec: docs/specs/directory.md §3."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from onionpath.crypto.certificates import HASH_SIZE
from onionpath.crypto.hybrid import HybridPublicKey
from onionpath.crypto.identity import IdentityKey, RelayId, parse_relay_id
from onionpath.crypto.tags import digest
from onionpath.directory.address import Address, AddressForm
from onionpath.directory.canonical import Count, Form, Time, check_text, decode_canonical, encode_canonical
from onionpath.directory.envelope import open_self_signed, sign
from onionpath.directory.session_door import SessionDoor, SessionDoorForm
from onionpath.errors import MalformedError, StaleDirectoryError, UsageError
from onionpath.injected import UnixTime

PAYLOAD_TYPE = "application/vnd.onionpath.descriptor.v1+json"

# Fixed by the specification (§3).
NETWORK_ID_SIZE = 32
MAX_DESCRIPTOR_SIZE = 16 * 1024  # bytes of the envelope: three keys take 6.5 KiB of it
MAX_ADDRESSES = 4
MAX_PACKET_KEYS = 3
MAX_FAMILY = 64
MAX_SERVICES = 32
MAX_RULES = 256
MAX_KEY_LIFETIME_S = 2 * 86_400
MAX_AGE_S = 24 * 3_600  # a relay publishes several times a day, so an older descriptor is a replayed one
# Wider than the clock tolerance of documents: a relay's clock may be worse than an authority's.
MAX_AHEAD_S = 5 * 60


@dataclass(frozen=True, slots=True)
class PacketKey:
    """The key to which packets are sealed from ``valid_from`` until ``valid_until``.

    Raises:
        MalformedError: the times are not in order, or too far apart.
    """

    epoch: int
    valid_from: UnixTime
    valid_until: UnixTime
    public: HybridPublicKey

    def __post_init__(self) -> None:
        if self.epoch < 0 or not 0 < self.valid_until - self.valid_from <= MAX_KEY_LIFETIME_S:
            raise MalformedError(f"a packet key ends after it starts, at most {MAX_KEY_LIFETIME_S} s later")

    @property
    def generation(self) -> int:
        """The one byte that names this key in a packet's header."""
        return self.epoch % 256

    def is_valid(self, now: UnixTime) -> bool:
        """Whether a sender should seal to this key now."""
        return self.valid_from <= now < self.valid_until


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A relay as it describes itself; whatever exists is of legal form.

    Args:
        relay_id: its Ed25519 public key, which also signs this.
        addresses: 1 to 4, in the order in which to try them.
        link_key_hash: 32 bytes, see ``crypto.certificates``.
        packet_keys: of this epoch and the next, ascending, 1 to 3.
        family: other relays under the same hand, ascending.
        services: the numbers it answers at the last hop, ascending.
        exit_policy: rules for ``service.exit_policy``; none means no exit.
        version: of the software that runs there.
        published_at: when it was signed, whole seconds.
        network_id: 32 bytes, the trust root's.
        session: where it takes Session's onions; only a relay with an IPv4 address can.

    Raises:
        MalformedError: a value is outside of the specification.
    """

    relay_id: RelayId
    addresses: tuple[Address, ...]
    link_key_hash: bytes
    packet_keys: tuple[PacketKey, ...]
    family: tuple[RelayId, ...]
    services: tuple[int, ...]
    exit_policy: tuple[str, ...]
    version: str
    published_at: UnixTime
    network_id: bytes
    session: SessionDoor | None = None

    def __post_init__(self) -> None:
        parse_relay_id(self.relay_id)
        _check(1 <= len(self.addresses) <= MAX_ADDRESSES, "number of addresses")
        _check(len(set(self.addresses)) == len(self.addresses), "repeated address")
        _check(len(self.link_key_hash) == HASH_SIZE, "link key hash")
        _check(len(self.network_id) == NETWORK_ID_SIZE, "network id")
        _check_keys(self.packet_keys)
        _check(len(self.family) <= MAX_FAMILY and _ascending(self.family), "family")
        _check(self.relay_id not in self.family, "family that names its own relay")
        _check(len(self.services) <= MAX_SERVICES and _ascending(self.services), "services")
        _check(all(1 <= service <= 65_535 for service in self.services), "service number")
        _check(len(self.exit_policy) <= MAX_RULES, "number of exit rules")
        for member in self.family:
            parse_relay_id(member)
        for rule in self.exit_policy:
            check_text(rule, what="an exit rule", longest=64)
        check_text(self.version, what="the version", longest=32)
        if self.session is not None:
            _check(self.session_address not in {None, *self.addresses}, "address of its Session door")
            _check(self.session.certificate_hash != self.link_key_hash, "hash of its Session certificate")

    @property
    def session_address(self) -> Address | None:
        """Where it takes Session's onions: clients of Session know no IPv6."""
        hosts = [one.host for one in self.addresses if ipaddress.ip_address(one.host).version == 4]
        return Address(hosts[0], self.session.port) if self.session and hosts else None

    @property
    def all_addresses(self) -> tuple[Address, ...]:
        """Every place where it listens; no two relays share one."""
        return self.addresses if self.session_address is None else (*self.addresses, self.session_address)

    @property
    def all_keys(self) -> tuple[bytes, ...]:
        """Every key, or hash of one, that belongs to no other relay."""
        session = (self.session.key.encoded, self.session.certificate_hash) if self.session else ()
        return (self.link_key_hash, *(key.public.encoded for key in self.packet_keys), *session)

    def packet_key(self, now: UnixTime) -> PacketKey | None:
        """The key to seal to now, the newest if there are several; none between or outside of the keys."""
        return next((key for key in reversed(self.packet_keys) if key.is_valid(now)), None)


def sign_descriptor(descriptor: Descriptor, key: IdentityKey) -> bytes:
    """The envelope that a relay publishes; times are cut to whole seconds.

    Raises:
        UsageError: it would be longer than 16 KiB; a long family or exit policy can do that.
    """
    envelope = sign(PAYLOAD_TYPE, encode_canonical(_form(descriptor)), [key])
    if len(envelope) > MAX_DESCRIPTOR_SIZE:
        raise UsageError(
            f"the descriptor has {len(envelope)} bytes, more than the {MAX_DESCRIPTOR_SIZE} allowed"
        )
    return envelope


def descriptor_digest(envelope: bytes) -> bytes:
    """The 32 bytes by which documents name this descriptor."""
    return digest(envelope)


def parse_descriptor(envelope: bytes) -> Descriptor:
    """Check signature and form, not the times: for descriptors that a valid document names.

    Raises:
        MalformedError: the form is wrong, or somebody else than the relay has signed.
        SignatureThresholdError: the signature is wrong.
    """
    signer, payload = open_self_signed(envelope, payload_type=PAYLOAD_TYPE, max_size=MAX_DESCRIPTOR_SIZE)
    form = decode_canonical(_DescriptorForm, payload, what="the descriptor", max_size=MAX_DESCRIPTOR_SIZE)
    if form.relay_id != signer:
        raise MalformedError("a descriptor is signed by another key than its relay's")
    return form.parse()


def verify_descriptor(envelope: bytes, *, now: UnixTime) -> Descriptor:
    """``parse_descriptor``, and it must be of the present: for whoever gets it from its relay.

    Raises:
        MalformedError, SignatureThresholdError: as above.
        StaleDirectoryError: older than 24 h, more than 5 min from the future, or without a key for now.
    """
    descriptor = parse_descriptor(envelope)
    check_present(descriptor, now=now)
    return descriptor


def check_present(descriptor: Descriptor, *, now: UnixTime) -> None:
    """Refuse a descriptor that is stale, from the future, or has no packet key for now.

    Raises:
        StaleDirectoryError: it is.
    """
    age = now - descriptor.published_at
    if age > MAX_AGE_S:
        raise StaleDirectoryError(f"the descriptor is {age:.0f} s old, more than {MAX_AGE_S} s")
    if age < -MAX_AHEAD_S:
        raise StaleDirectoryError(f"the descriptor is from {-age:.0f} s in the future; a clock may be wrong")
    if descriptor.packet_key(now) is None:
        raise StaleDirectoryError("the descriptor has no packet key for the present")


class _PacketKeyForm(Form, frozen=True):
    epoch: Count
    valid_from: Time
    valid_until: Time
    public: bytes

    def parse(self) -> PacketKey:
        times = UnixTime(self.valid_from), UnixTime(self.valid_until)
        return PacketKey(self.epoch, *times, HybridPublicKey(self.public))


class _DescriptorForm(Form, frozen=True):
    network_id: bytes
    relay_id: bytes
    addresses: tuple[AddressForm, ...]
    link_key_hash: bytes
    packet_keys: tuple[_PacketKeyForm, ...]
    family: tuple[bytes, ...]
    services: tuple[Count, ...]
    exit_policy: tuple[str, ...]
    version: str
    published_at: Time
    session: SessionDoorForm | None

    def parse(self) -> Descriptor:
        """The value; raises ``MalformedError`` if it is outside of the specification."""
        return Descriptor(
            relay_id=RelayId(self.relay_id),
            addresses=tuple(address.parse() for address in self.addresses),
            link_key_hash=self.link_key_hash,
            packet_keys=tuple(key.parse() for key in self.packet_keys[: MAX_PACKET_KEYS + 1]),
            family=tuple(RelayId(member) for member in self.family),
            services=self.services,
            exit_policy=self.exit_policy,
            version=self.version,
            published_at=UnixTime(self.published_at),
            network_id=self.network_id,
            session=None if self.session is None else self.session.parse(),
        )


def _form(descriptor: Descriptor) -> _DescriptorForm:
    return _DescriptorForm(
        network_id=descriptor.network_id,
        relay_id=descriptor.relay_id,
        addresses=tuple(AddressForm.of(address) for address in descriptor.addresses),
        link_key_hash=descriptor.link_key_hash,
        packet_keys=tuple(
            _PacketKeyForm(key.epoch, int(key.valid_from), int(key.valid_until), key.public.encoded)
            for key in descriptor.packet_keys
        ),
        family=tuple(descriptor.family),
        services=descriptor.services,
        exit_policy=descriptor.exit_policy,
        version=descriptor.version,
        published_at=int(descriptor.published_at),
        session=None if descriptor.session is None else SessionDoorForm.of(descriptor.session),
    )


def _check_keys(keys: tuple[PacketKey, ...]) -> None:
    _check(1 <= len(keys) <= MAX_PACKET_KEYS, "number of packet keys")
    _check(len({key.public for key in keys}) == len(keys), "repeated packet key")
    _check(_ascending([key.epoch for key in keys]), "order of packet keys")
    _check(len({key.generation for key in keys}) == len(keys), "repeated generation")
    _check(all(one.valid_until <= two.valid_from for one, two in pairwise(keys)), "overlap of packet keys")


def _ascending(values: Sequence[int] | Sequence[RelayId]) -> bool:
    return all(one < two for one, two in pairwise(values))  # type: ignore[operator]  # ints or ids, never mixed


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise MalformedError(f"a descriptor has an illegal {what}")
