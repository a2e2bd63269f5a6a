"""Session's layer seals against a second implementation, and what their keys may not be."""

from __future__ import annotations

import hmac
from hashlib import blake2b

import pytest
from Crypto.Cipher import AES, ChaCha20_Poly1305
from nacl.bindings import crypto_scalarmult

from onionpath.crypto.points import FIELD_PRIME
from onionpath.crypto.session_channels import Cipher, SessionPrivateKey, SessionPublicKey
from onionpath.crypto.tags import TagKey
from onionpath.errors import BadLayerError, MalformedError
from onionpath.injected import UnixTime
from onionpath.onion.replay import DEFAULT_SLOT_S, MemoryTables, Remembered, ReplayMemory
from onionpath.onion.session_packets import SessionServe
from onionpath.onion.session_replay import remember_layer
from tests.crypto.bad_keys import BAD_X25519
from tests.onion.session_paths import ONION, entropy, hop_key, packet_to

OURS, THEIRS = (SessionPrivateKey.generate(entropy(seed)) for seed in (1, 2))
FINAL = b"\4\0\0\0call" + b'{"headers":""}'


def other_key(cipher: Cipher) -> bytes:
    """The layer's key by libsodium's X25519 and Python's own hashes."""
    shared = crypto_scalarmult(OURS.reveal(), THEIRS.public.encoded)
    if cipher is Cipher.AES_GCM:
        return hmac.digest(b"LOKI", shared, "sha256")
    return blake2b(shared + OURS.public.encoded + THEIRS.public.encoded, digest_size=32).digest()


def other_opening(cipher: Cipher, sealed: bytes) -> bytes:
    nonce, text, tag = sealed[: cipher.nonce_size], sealed[cipher.nonce_size : -16], sealed[-16:]
    if cipher is Cipher.AES_GCM:
        return AES.new(other_key(cipher), AES.MODE_GCM, nonce=nonce).decrypt_and_verify(text, tag)
    return ChaCha20_Poly1305.new(key=other_key(cipher), nonce=nonce).decrypt_and_verify(text, tag)


@pytest.mark.parametrize("cipher", Cipher)
def test_another_implementation_opens_what_we_seal(cipher: Cipher) -> None:
    sealed = OURS.secret_to(THEIRS.public, cipher).seal(b"a layer", entropy=entropy(3))

    assert b"a layer" == other_opening(cipher, sealed)
    assert len(b"a layer") + cipher.overhead == len(sealed)
    assert entropy(3)(cipher.nonce_size) == sealed[: cipher.nonce_size]


@pytest.mark.parametrize("cipher", Cipher)
def test_both_ends_derive_one_secret_and_the_other_direction_another(cipher: Cipher) -> None:
    sent = OURS.secret_to(THEIRS.public, cipher)

    assert sent == THEIRS.secret_from(OURS.public, cipher)
    assert (cipher is Cipher.AES_GCM) is (sent == THEIRS.secret_to(OURS.public, cipher))


def test_a_layer_opens_under_its_own_cipher_only() -> None:
    for cipher, other in ((Cipher.AES_GCM, Cipher.XCHACHA20), (Cipher.XCHACHA20, Cipher.AES_GCM)):
        sealed = OURS.secret_to(THEIRS.public, cipher).seal(bytes(100), entropy=entropy(3))
        with pytest.raises(BadLayerError):
            THEIRS.secret_from(OURS.public, other).open(sealed)


@pytest.mark.parametrize("kind", BAD_X25519)
def test_a_key_of_small_order_or_in_a_second_spelling_is_refused(kind: str) -> None:
    for encoded in BAD_X25519[kind]:
        with pytest.raises(MalformedError):
            SessionPublicKey(encoded)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_private_key_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(MalformedError):
        SessionPrivateKey(bytes(size))


def alias_of(key: SessionPublicKey) -> SessionPublicKey:
    """The key plus the point of order two: another good key, with which every relay shares the same secret."""
    u = int.from_bytes(key.encoded, "little")
    return SessionPublicKey(pow(u, -1, FIELD_PRIME).to_bytes(32, "little"))


def test_another_spelling_of_the_ephemeral_key_is_still_the_same_layer_to_the_replay_memory() -> None:
    """AES-GCM's key is not bound to it, so that whoever sees a layer could send it twice under two names."""
    memory = ReplayMemory(MemoryTables(), TagKey(bytes(32)))
    now = UnixTime(5_000_000 * DEFAULT_SLOT_S)
    packet = packet_to(0, FINAL, cipher=Cipher.AES_GCM)
    renamed = packet._replace(ephemeral=alias_of(packet.ephemeral))
    assert packet.ephemeral != renamed.ephemeral

    first, second = (ONION.peel(each, hop_key(0)) for each in (packet, renamed))

    assert isinstance(second, SessionServe)
    assert Remembered.FRESH is remember_layer(memory, first.seed, now=now)
    assert Remembered.REPLAYED is remember_layer(memory, second.seed, now=now)


def test_xchacha20_binds_the_ephemeral_key() -> None:
    packet = packet_to(0, FINAL)

    with pytest.raises(BadLayerError):
        ONION.peel(packet._replace(ephemeral=alias_of(packet.ephemeral)), hop_key(0))


def test_a_layer_is_refused_for_a_slot_and_forgotten_after_two() -> None:
    """No time stands in it, so this is all that can be promised."""
    memory = ReplayMemory(MemoryTables(), TagKey(bytes(32)))
    start = 5_000_000 * DEFAULT_SLOT_S
    seen = [
        remember_layer(memory, bytes(32), now=UnixTime(start + after))
        for after in (0, 1, DEFAULT_SLOT_S, 2 * DEFAULT_SLOT_S - 1, 2 * DEFAULT_SLOT_S)
    ]

    assert [Remembered.FRESH, *[Remembered.REPLAYED] * 3, Remembered.FRESH] == seen


def test_a_layer_without_room_in_the_memory_is_not_fresh() -> None:
    memory = ReplayMemory(MemoryTables(capacity=8), TagKey(bytes(32)))
    now = UnixTime(5_000_000 * DEFAULT_SLOT_S)

    seen = [remember_layer(memory, bytes([number]) * 32, now=now) for number in range(8)]

    assert [Remembered.FRESH] * 6 + [Remembered.FULL] * 2 == seen
