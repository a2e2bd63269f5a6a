"""A relay's keys on disk, and the rotation of its packet keys.

```text
state/identity.key          Ed25519 seed: the relay's name; the operator keeps a copy
state/link.pem link.key     the links' certificate and its key; the descriptor pins them
state/packet-keys/EPOCH.key X-Wing seeds: current and next, and the last one for a slot after its epoch
```

Epochs have one length since 1970, so everybody can compute them: epoch = floor(now / epoch_s). A packet key
is published for its epoch, and accepted from one slot before it until one slot after, because clocks differ
and packets are under way. Then it's erased, and nobody who takes the disk later can open what was recorded.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from onionpath.crypto.certificates import LinkCertificate, make_link_certificate, pem_key_hash
from onionpath.crypto.hybrid import HybridPrivateKey
from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.directory.descriptor import PacketKey
from onionpath.disk.private_files import (
    check_private_dir,
    create_private,
    erase_file,
    make_private_dir,
    read_private,
    temporary_name,
)
from onionpath.errors import KeyFileError, MalformedError, SettingsError
from onionpath.injected import Entropy, UnixTime
from onionpath.onion.packets import HopKey
from relay.state_folder import CERTIFICATE_NAME, IDENTITY_NAME, LINK_KEY_NAME, PACKET_KEYS_NAME

GENERATIONS = 256  # the frame's generation has one byte
PACKET_KEY_SUFFIX = ".key"
_IDENTITY_HEADER = "onionpath identity key, keep it secret"
_PACKET_HEADER = "onionpath packet key, keep it secret"


def encode_seed(header: str, seed: bytes) -> bytes:
    """Two lines: what this is, and 64 hex digits."""
    return f"{header}\n{seed.hex()}\n".encode()


def decode_seed(header: str, content: bytes, *, file: Path) -> bytes:
    """The 32 bytes of a file that ``encode_seed`` wrote.

    Raises:
        KeyFileError: it is not exactly of that form.
    """
    try:
        lines = content.decode("ascii").split("\n")
        seed = bytes.fromhex(lines[1]) if len(lines) == 3 else b""
    except ValueError:
        seed = b""
    if len(seed) != 32 or content != encode_seed(header, seed):
        raise KeyFileError(f'{file}: is damaged or no file of "{header}"', file=str(file))
    return seed


class Rotation(NamedTuple):
    """What is to be done to the packet keys, by epoch."""

    create: tuple[int, ...]
    erase: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeySchedule:
    """When packet keys are valid; all times follow from the two lengths.

    Raises:
        SettingsError: an epoch so short that two accepted keys could share a generation.
    """

    epoch_s: float
    slot_s: float

    def __post_init__(self) -> None:
        if not 0 < self.slot_s <= 100 * self.epoch_s:
            raise SettingsError(
                f"an epoch of {self.epoch_s} s is shorter than a hundredth of a slot of {self.slot_s} s",
                key="network.trust_root",
            )

    def epoch(self, now: UnixTime) -> int:
        """The epoch that contains ``now``."""
        return int(now // self.epoch_s)

    def valid_from(self, epoch: int) -> UnixTime:
        """From here clients use the epoch's key."""
        return UnixTime(epoch * self.epoch_s)

    def valid_until(self, epoch: int) -> UnixTime:
        """From here clients use the next one."""
        return UnixTime((epoch + 1) * self.epoch_s)

    def accepted_from(self, epoch: int) -> UnixTime:
        """From here we open packets for this key."""
        return UnixTime(self.valid_from(epoch) - self.slot_s)

    def accepted_until(self, epoch: int) -> UnixTime:
        """From here we don't, and the key is erased."""
        return UnixTime(self.valid_until(epoch) + self.slot_s)

    def next_change(self, now: UnixTime) -> UnixTime:
        """The next time, after ``now``, at which a key is to be made, accepted, published or erased."""
        # Epochs that are shorter than a slot leave several old keys, and the first of them to go comes next.
        oldest, current = self.epoch(UnixTime(now - self.slot_s)) - 1, self.epoch(now)
        begins = (
            self.accepted_from(each) for each in range(current, self.epoch(UnixTime(now + self.slot_s)) + 2)
        )
        ends = (self.accepted_until(each) for each in range(oldest, current + 1))
        return min(time for time in (self.valid_until(current), *begins, *ends) if time > now)


def rotate(epochs: Collection[int], now: UnixTime, schedule: KeySchedule) -> Rotation:
    """Decide: the current epoch and the next have a key, those accepted no more have none.

    Keys of slightly later epochs stay: a clock that was set back must not break what is published. Those of a
    far future were made by a wrong clock, or for a network with other epochs, and would lie here for ever.
    """
    current = schedule.epoch(now)
    create = tuple(each for each in (current, current + 1) if each not in epochs)
    far = current + GENERATIONS // 2
    erase = tuple(each for each in sorted(epochs) if each > far or schedule.accepted_until(each) <= now)
    return Rotation(create, erase)


@dataclass(frozen=True, slots=True)
class PacketKeys:
    """The packet keys that exist, by epoch."""

    schedule: KeySchedule
    by_epoch: Mapping[int, HybridPrivateKey] = field(default_factory=dict)

    def published(self, now: UnixTime) -> tuple[PacketKey, ...]:
        """What the descriptor says: the current key and the next."""
        current, times = self.schedule.epoch(now), self.schedule
        return tuple(
            PacketKey(epoch, times.valid_from(epoch), times.valid_until(epoch), self.by_epoch[epoch].public)
            for epoch in (current, current + 1)
            if epoch in self.by_epoch
        )

    def accepted(self, relay_id: RelayId, now: UnixTime) -> dict[int, HopKey]:
        """What the switch opens packets with, by generation; true until ``schedule.next_change(now)``."""
        times = self.schedule
        return {
            epoch % GENERATIONS: HopKey(relay_id, epoch % GENERATIONS, key)
            for epoch, key in self.by_epoch.items()
            if times.accepted_from(epoch) <= now < times.accepted_until(epoch)
        }


def has_packet_keys(state: Path) -> bool:
    """Whether any packet key lies on disk; asked before the replay files are opened."""
    folder = state / PACKET_KEYS_NAME
    return folder.is_dir() and any(folder.glob(f"*{PACKET_KEY_SUFFIX}"))


def erase_packet_keys(state: Path) -> None:
    """Erase every packet key, so that nothing that was recorded can ever be opened again.

    Raises:
        KeyFileError: one cannot be erased.
    """
    for path in sorted((state / PACKET_KEYS_NAME).glob(f"*{PACKET_KEY_SUFFIX}")):
        erase_file(path)


class PacketKeyFiles:
    """The door of ``PacketKeys``: loads them, and carries rotations out on disk.

    Args:
        state: the relay's state folder, locked for us.
        entropy: for new keys.

    Raises:
        KeyFileError: the folder or a file is damaged, foreign or open to others.
    """

    def __init__(self, state: Path, schedule: KeySchedule, *, entropy: Entropy) -> None:
        self._folder = state / PACKET_KEYS_NAME
        self._entropy = entropy
        make_private_dir(self._folder)
        self.keys = PacketKeys(schedule, {epoch: self._load(epoch) for epoch in self._epochs_on_disk()})

    def _epochs_on_disk(self) -> list[int]:
        epochs = []
        for path in sorted(self._folder.iterdir()):
            epoch = path.name.removesuffix(PACKET_KEY_SUFFIX)
            if epoch.isascii() and epoch.isdecimal() and path == self._path(int(epoch)):
                epochs.append(int(epoch))
            elif path.name.startswith(".") and path.name.endswith(temporary_name(self._path(0)).suffix):
                # A process was killed before this key got its name, so nobody has seen its public half.
                erase_file(path)
            else:
                # A copy of a packet key would outlive its erasure, so we don't overlook one.
                raise KeyFileError(f"{path}: does not belong here; remove it", file=str(path))
        return epochs

    def _path(self, epoch: int) -> Path:
        return self._folder / f"{epoch}{PACKET_KEY_SUFFIX}"

    def _load(self, epoch: int) -> HybridPrivateKey:
        path = self._path(epoch)
        return HybridPrivateKey(decode_seed(_PACKET_HEADER, read_private(path), file=path))

    def rotate(self, now: UnixTime) -> Rotation:
        """Do what is due, durably, and say what it was; ``keys`` is replaced if anything changed.

        New keys are on disk before ``keys`` has them, old ones gone from disk before they leave it.

        Raises:
            KeyFileError: the disk refused; ``keys`` is as before, and the call can be repeated.
        """
        schedule = self.keys.schedule
        rotation = rotate(self.keys.by_epoch.keys(), now, schedule)
        if not any(rotation):
            return rotation
        keys = dict(self.keys.by_epoch)
        for epoch in rotation.create:
            keys[epoch] = self._create(epoch)
        for epoch in rotation.erase:
            erase_file(self._path(epoch))
            keys.pop(epoch)
        self.keys = PacketKeys(schedule, keys)
        return rotation

    def _create(self, epoch: int) -> HybridPrivateKey:
        path = self._path(epoch)
        if os.path.lexists(path):
            # An earlier rotation failed after this one was written; it's whole, since files come whole.
            return self._load(epoch)
        key = HybridPrivateKey.generate(self._entropy)
        create_private(path, encode_seed(_PACKET_HEADER, key.reveal()))
        return key


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """The lasting keys of a relay or an authority."""

    identity: IdentityKey
    link: LinkCertificate


def ensure_relay_keys(state_dir: Path, entropy: Entropy) -> NodeKeys:
    """Make whichever lasting key is missing, and load all; also those of an authority.

    Packet keys are left to ``PacketKeyFiles``: the first run makes them, after it has opened the replay
    files.

    Raises:
        KeyFileError: the folder or a file is damaged or open to others, or half a certificate is missing.
    """
    make_private_dir(state_dir)
    if not os.path.lexists(state_dir / IDENTITY_NAME):
        seed = IdentityKey.generate(entropy).reveal()
        create_private(state_dir / IDENTITY_NAME, encode_seed(_IDENTITY_HEADER, seed))
    ensure_certificate(state_dir / CERTIFICATE_NAME, state_dir / LINK_KEY_NAME)
    return load_relay_keys(state_dir)


def ensure_certificate(certificate: Path, key: Path) -> None:
    """Make a certificate and its key, unless the certificate is there.

    Raises:
        KeyFileError: the disk refuses.
    """
    if os.path.lexists(certificate):
        return
    made = make_link_certificate()
    # A key without its certificate was never in a descriptor: whoever wrote it was killed here.
    erase_file(key)
    create_private(key, made.key_pem)
    create_private(certificate, made.certificate_pem)


def load_relay_keys(state_dir: Path) -> NodeKeys:
    """The lasting keys as they lie there.

    Raises:
        KeyFileError: one is missing, damaged, open to others, or the certificate is another key's.
    """
    check_private_dir(state_dir)
    path = state_dir / IDENTITY_NAME
    identity = IdentityKey(decode_seed(_IDENTITY_HEADER, read_private(path), file=path))
    link = load_certificate(
        state_dir / CERTIFICATE_NAME,
        state_dir / LINK_KEY_NAME,
        remedy="run `onionpath-relay init` on the folder again",
    )
    return NodeKeys(identity, link)


def load_certificate(certificate: Path, key: Path, *, remedy: str) -> LinkCertificate:
    """A certificate and its key as they lie there.

    Args:
        remedy: how new ones are made, once what is left of the old ones is gone.

    Raises:
        KeyFileError: one is missing, damaged, open to others, or the certificate is another key's.
    """
    for file, other in ((certificate, key), (key, certificate)):
        if not os.path.lexists(file):
            also = f"remove {other.name} and " if os.path.lexists(other) else ""
            message = f"{file}: does not exist; {also}{remedy}"
            raise KeyFileError(message, file=str(file))
    pem, key_pem = read_private(certificate), read_private(key)
    try:
        link = LinkCertificate(pem, key_pem, pem_key_hash(pem))
        # The one question that only TLS itself answers: do the two belong together?
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (MalformedError, ssl.SSLError) as error:
        raise KeyFileError(
            f"{certificate}: is damaged or does not fit {key.name}; remove both and {remedy}",
            file=str(certificate),
        ) from error
    return link
