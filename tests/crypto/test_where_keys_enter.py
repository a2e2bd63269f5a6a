"""Keys of small order and second spellings of keys are refused by every decoder through which one can enter."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from onionpath.crypto.hybrid import HybridPublicKey
from onionpath.crypto.identity import is_signed_by, parse_public_key, parse_relay_id
from onionpath.directory.descriptor import PAYLOAD_TYPE, parse_descriptor
from onionpath.directory.document import UnverifiedDocument, decode_document, encode_document
from onionpath.directory.envelope import sign
from onionpath.directory.trust import TrustRoot
from onionpath.errors import MalformedError, SettingsError, SignatureThresholdError
from onionpath.link.proof import Claim
from relay.settings import RelaySettings
from relay.settings_files import load_settings
from tests.crypto.bad_keys import BAD_ED25519, BAD_X25519
from tests.crypto.test_keys import PUBLIC
from tests.directory.networks import NOW, descriptor, identity, network, root

RELAY, MEMBER = descriptor(0), descriptor(1).relay_id
NETWORK = network([descriptor(0, family=(MEMBER,)), descriptor(1)])
REFUSALS = (MalformedError, SignatureThresholdError, SettingsError)


def _payload(envelope: bytes) -> bytes:
    return base64.b64decode(msgspec.json.decode(envelope, type=dict)["payload"])


def _text(value: bytes) -> bytes:
    return base64.b64encode(value)


def _exchanged(data: bytes, ours: bytes, theirs: bytes) -> bytes:
    assert ours in data, "the key does not stand where this test looks for it"
    return data.replace(ours, theirs)


def _self_signed(key: bytes) -> bytes:
    """A descriptor whose relay is this key, with the signature that a careless verifier takes for a small one."""
    payload = _exchanged(_payload(NETWORK.descriptors[0]), _text(RELAY.relay_id), _text(key))
    return msgspec.json.encode(
        {
            "payload": payload,
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": key.hex(), "sig": (key + bytes(64))[:64]}],
        }
    )


def _descriptor_with(ours: bytes, theirs: bytes) -> None:
    payload = _exchanged(_payload(NETWORK.descriptors[0]), _text(ours), _text(theirs))
    parse_descriptor(sign(PAYLOAD_TYPE, payload, [identity(0)]))


def _packet_key(half: bytes) -> None:
    public = RELAY.packet_keys[0].public.encoded
    _descriptor_with(public, public[:1184] + half)


def _listing(key: bytes) -> None:
    payload = encode_document(NETWORK.document)
    decode_document(_exchanged(payload, _text(RELAY.relay_id), _text(key)))


def _authority(key: bytes) -> None:
    encoded = root().encode()
    TrustRoot.decode(_exchanged(encoded, root().authorities[0].identity.hex().encode(), key.hex().encode()))


def _document_signer(key: bytes) -> None:
    ours = identity("authority", 0).public.hex().encode()
    envelope = _exchanged(NETWORK.envelope, ours, key.hex().encode())
    UnverifiedDocument(envelope).verify(NETWORK.root, now=NOW, seen=None)


def _signature(key: bytes) -> None:
    for message in range(8):
        if is_signed_by(key, (key + bytes(64))[:64], bytes([message])):
            return
    raise MalformedError("a signature by this key is by nobody")


SIGNING_KEYS_ENTER: dict[str, Callable[[bytes], object]] = {
    "a public key": parse_public_key,
    "a relay's name": parse_relay_id,
    "the key of a signature": _signature,
    "a claim on a link": lambda key: Claim.decode(key + bytes(32)),
    "a descriptor's relay": lambda key: parse_descriptor(_self_signed(key)),
    "a descriptor's family": lambda key: _descriptor_with(MEMBER, key),
    "a document's listing": _listing,
    "a document's signer": _document_signer,
    "a trust root's authority": _authority,
}

PACKET_KEYS_ENTER: dict[str, Callable[[bytes], object]] = {
    "a packet key": lambda half: HybridPublicKey(PUBLIC[:1184] + half),
    "a descriptor's packet key": _packet_key,
}


@pytest.mark.parametrize("kind", BAD_ED25519)
@pytest.mark.parametrize("place", SIGNING_KEYS_ENTER)
def test_a_bad_signing_key_enters_nowhere(place: str, kind: str) -> None:
    for encoded in BAD_ED25519[kind]:
        with pytest.raises(REFUSALS):
            SIGNING_KEYS_ENTER[place](encoded)


@pytest.mark.parametrize("kind", BAD_X25519)
@pytest.mark.parametrize("place", PACKET_KEYS_ENTER)
def test_a_bad_packet_key_enters_nowhere(place: str, kind: str) -> None:
    for encoded in BAD_X25519[kind]:
        with pytest.raises(MalformedError):
            PACKET_KEYS_ENTER[place](encoded)


@pytest.mark.parametrize("kind", BAD_ED25519)
def test_a_bad_signing_key_enters_no_settings(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    for encoded in BAD_ED25519[kind]:
        file.write_text(f'[relay]\nfamily = ["{encoded.hex()}"]\n')
        with pytest.raises(SettingsError) as refusal:
            load_settings(file, RelaySettings, environment={})
        assert "relay.family[0]" == refusal.value.key


def test_good_keys_enter_everywhere(tmp_path: Path) -> None:
    """Otherwise the tests above could pass because nothing enters at all."""
    good, half = descriptor(2).relay_id, descriptor(2).packet_keys[0].public.encoded[1184:]
    for place, enter in SIGNING_KEYS_ENTER.items():
        if place not in ("the key of a signature", "a descriptor's relay", "a document's signer"):
            enter(_in_order(place, good))
    for enter in PACKET_KEYS_ENTER.values():
        enter(half)
    file = tmp_path / "relay.toml"
    file.write_text(f'[relay]\nfamily = ["{good.hex()}"]\n')
    assert (good.hex(),) == load_settings(file, RelaySettings, environment={}).relay.family
    parse_descriptor(NETWORK.descriptors[0])
    UnverifiedDocument(NETWORK.envelope).verify(NETWORK.root, now=NOW, seen=None)


def _in_order(place: str, good: bytes) -> bytes:
    """Listings ascend, so there the good key must be one that leaves them in order."""
    if place != "a document's listing":
        return good
    others = [each.relay_id for each in NETWORK.document.relays]
    at = others.index(RELAY.relay_id)
    low = others[at - 1] if at else bytes(32)
    high = others[at + 1] if at + 1 < len(others) else b"\xff" * 32
    return next(key for number in range(2, 1000) if low < (key := identity(number).public) < high)
