"""Published test vectors, through our wrappers and through the independent HPKE that our packets are held against."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import cryptography_vectors
import nacl.hash
import pytest
from Crypto.Hash import BLAKE2b
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from nacl.encoding import RawEncoder

from onionpath.crypto.hybrid import HybridPrivateKey, HybridPublicKey
from onionpath.crypto.identity import IdentityKey, is_signed_by
from onionpath.crypto.reply_keys import LABEL, derive_reply_key, open_with, seal_with
from onionpath.crypto.tags import TagKey, digest
from onionpath.errors import BadLayerError, MalformedError
from tests.onion.independent import hpke

PUBLISHED = Path(cryptography_vectors.__file__).parent
OURS = Path(__file__).parents[1] / "vectors"
HYBRID = json.loads((OURS / "xwing-draft-10.json").read_text())["vectors"]


def hpke_vectors(name: str) -> list[dict]:
    return json.loads((PUBLISHED / "HPKE" / name).read_text())


def hybrid_hpke() -> list[dict]:
    return [each for each in hpke_vectors("hpke-pq-test-vectors.json") if each["kem_id"] == hpke.XWING_KEM]


def base_mode() -> list[dict]:
    known = (1, 2, 3)
    return [
        each
        for each in hpke_vectors("test-vectors.json") + hybrid_hpke()
        if each["mode"] == 0 and each["aead_id"] in known and each["kdf_id"] in (1, 3)
    ]


def sections(path: str, *, split_at: str = "\n\n") -> Iterator[dict[str, str]]:
    """The blocks of ``key = value`` lines of a response file; a lone word such as FAIL is its own value."""
    for block in (PUBLISHED / path).read_text().replace("\r", "").split(split_at):
        lines = [line for line in block.split("\n") if line and line[0] not in "#["]
        fields = (line.partition("=") for line in lines)
        yield {name.strip(): value.strip() if sign else name for name, sign, value in fields}


@pytest.mark.parametrize("vector", HYBRID)
def test_the_drafts_keys_grow_from_their_seeds(vector: dict[str, str]) -> None:
    ours = HybridPrivateKey(bytes.fromhex(vector["seed"])).public.encoded

    for public in (ours, hpke.grow(bytes.fromhex(vector["seed"])).public):
        assert public.hex().startswith(vector["pk_starts"])
        assert public.hex().endswith(vector["pk_ends"])


@pytest.mark.parametrize("vector", HYBRID)
def test_the_drafts_shared_secrets_come_out_of_the_independent_encapsulation(vector: dict[str, str]) -> None:
    pair = hpke.grow(bytes.fromhex(vector["seed"]))

    secret, enc = hpke.encapsulate(pair.public, bytes.fromhex(vector["eseed"]))

    assert vector["ss"] == secret.hex() == hpke.decapsulate(pair, enc).hex()
    assert enc.hex().startswith(vector["ct_starts"])
    assert enc.hex().endswith(vector["ct_ends"])


@pytest.mark.parametrize("vector", HYBRID)
def test_our_wrapper_opens_what_the_drafts_encapsulation_seals(vector: dict[str, str]) -> None:
    private = HybridPrivateKey(bytes.fromhex(vector["seed"]))

    sealed = hpke.seal(private.public.encoded, b"body", b"info", eseed=bytes.fromhex(vector["eseed"]))

    assert b"body" == private.open(sealed, info=b"info")


@pytest.mark.parametrize("vector", hybrid_hpke(), ids=lambda each: f"kdf-{each['kdf_id']}")
def test_the_published_hybrid_kem_agrees_with_both_implementations(vector: dict) -> None:
    seed, enc = bytes.fromhex(vector["skRm"]), bytes.fromhex(vector["enc"])
    pair = hpke.grow(seed)

    assert vector["pkRm"] == pair.public.hex() == HybridPrivateKey(seed).public.encoded.hex()
    assert vector["shared_secret"] == hpke.decapsulate(pair, enc).hex()
    assert (vector["shared_secret"], vector["enc"]) == tuple(
        value.hex() for value in hpke.encapsulate(pair.public, bytes.fromhex(vector["ikmE"]))
    )


@pytest.mark.parametrize(
    "vector", base_mode(), ids=lambda each: "{kem_id:x}-{kdf_id}-{aead_id}".format(**each)
)
def test_the_independent_key_schedule_is_rfc_9180s(vector: dict) -> None:
    info, shared = bytes.fromhex(vector["info"]), bytes.fromhex(vector["shared_secret"])
    aead = vector["aead_id"]

    keys = hpke.schedule(shared, info, kem=vector["kem_id"], kdf=vector["kdf_id"], aead=aead)

    assert (vector["key"], vector["base_nonce"], vector["exporter_secret"]) == tuple(
        each.hex() for each in keys
    )
    first = {name: bytes.fromhex(value) for name, value in vector["encryptions"][0].items()}
    assert first["pt"] == hpke.aead_open(aead, keys.key, keys.base_nonce, first["ct"], first["aad"])
    assert first["ct"] == hpke.aead_seal(aead, keys.key, keys.base_nonce, first["pt"], first["aad"])


def test_published_hybrid_keys_are_accepted_as_public_keys() -> None:
    encoded = [bytes.fromhex(vector["pkRm"]) for vector in hybrid_hpke()]

    assert encoded == [HybridPublicKey(each).encoded for each in encoded]


def test_expand_is_rfc_5869s_and_the_reply_key_is_expand_with_our_label() -> None:
    vectors = [each for each in sections("KDF/rfc-5869-HKDF-SHA256.txt", split_at="COUNT") if "PRK" in each]
    assert 3 == len(vectors)
    for vector in vectors:
        secret, info, size = bytes.fromhex(vector["PRK"]), bytes.fromhex(vector["info"]), int(vector["L"])

        assert vector["OKM"] == HKDFExpand(SHA256(), size, info).derive(secret).hex()
        assert vector["OKM"] == hpke.hkdf_expand("sha256", secret, info, size).hex()
        seed = secret[:32]
        assert hpke.hkdf_expand("sha256", seed, LABEL, 32) == derive_reply_key(seed)


def reply_seals() -> list[dict[str, str]]:
    """NIST's AES-256-GCM answers with our nonce and tag sizes and nothing associated."""
    found = sections("ciphers/AES/GCM/gcmDecrypt256.rsp")
    right = (each for each in found if len(each.get("IV", "")) == 24 and len(each.get("Tag", "")) == 32)
    return [each for each in right if not each["AAD"]]


def test_nists_good_boxes_open_and_its_bad_ones_do_not() -> None:
    seals = reply_seals()
    assert {True, False} == {"FAIL" in each for each in seals}
    for each in seals:
        key = bytes.fromhex(each["Key"])
        nonce, tag = bytes.fromhex(each["IV"]), bytes.fromhex(each["Tag"])
        sealed = nonce + bytes.fromhex(each["CT"]) + tag
        if "FAIL" in each:
            with pytest.raises(BadLayerError):
                open_with(key, sealed)
        else:
            assert each["PT"] == open_with(key, sealed).hex()
            assert sealed == seal_with(key, bytes.fromhex(each["PT"]), entropy=lambda _, nonce=nonce: nonce)


def test_the_signatures_of_rfc_8032s_author_are_made_and_accepted_by_us() -> None:
    lines = (PUBLISHED / "asymmetric/Ed25519/sign.input").read_text().splitlines()
    assert 1024 == len(lines)
    # All the lengths up to 256 bytes, and then every eighth up to 1,023.
    for line in lines[:256] + lines[256::8]:
        secret, public, message, signed = (bytes.fromhex(field) for field in line.split(":")[:4])
        key = IdentityKey(secret[:32])

        assert public == key.public
        assert signed[:64] == key.sign(message)
        assert is_signed_by(public, signed[:64], message)
        assert not is_signed_by(public, signed[:64], message + b"!")
        assert not is_signed_by(public, bytes([signed[0] ^ 1]) + signed[1:64], message)


def test_the_coordinates_of_rfc_7748_are_keys_but_for_the_one_with_its_top_bit_set() -> None:
    """RFC 7748 has that bit ignored, which would give one key two names; ours have one."""
    lattice = bytes.fromhex(hybrid_hpke()[0]["pkRm"])[:1184]
    vectors = list(sections("asymmetric/X25519/rfc7748.txt", split_at="COUNT"))
    inputs = [bytes.fromhex(each["INPUT_U"]) for each in vectors if "INPUT_U" in each]
    outputs = [bytes.fromhex(each["OUTPUT_U"]) for each in vectors if "OUTPUT_U" in each]

    assert [False, True] == sorted({u[31] < 128 for u in inputs})
    for u in inputs + outputs:
        if u[31] < 128:
            assert lattice + u == HybridPublicKey(lattice + u).encoded
        else:
            with pytest.raises(MalformedError):
                HybridPublicKey(lattice + u)
            assert HybridPublicKey(lattice + u[:31] + bytes([u[31] & 127]))


def lattice_answers() -> list[dict[str, str]]:
    return [each for each in sections("asymmetric/MLKEM/kat_MLKEM_768.rsp", split_at="count") if "pk" in each]


def test_the_thousand_published_lattice_keys_are_taken_and_none_with_a_longer_coefficient() -> None:
    curve = bytes.fromhex(hybrid_hpke()[0]["pkRm"])[1184:]
    answers = lattice_answers()
    assert 1000 == len(answers)
    for number, each in enumerate(answers):
        public = bytes.fromhex(each["pk"]) + curve
        place = 3 * (number % 384)

        assert public == HybridPublicKey(public).encoded
        with pytest.raises(MalformedError):
            HybridPublicKey(public[:place] + b"\x01\xfd\xff" + public[place + 3 :])


def test_published_lattice_ciphertexts_open_no_box_of_ours() -> None:
    """Good ones for other keys, and damaged ones: decapsulation rejects silently, so the seal must not open."""
    private = HybridPrivateKey(bytes(32))
    sealed = private.public.seal(b"body", info=b"")
    for each in lattice_answers()[:200]:
        for ciphertext in (bytes.fromhex(each["ct"]), bytes.fromhex(each["ct_n"])):
            with pytest.raises(BadLayerError):
                private.open(ciphertext + sealed[1088:], info=b"")


def test_the_library_below_decapsulates_as_published_and_rejects_as_published() -> None:
    """Our keys are grown from another seed, so the published ones are asked of the library itself."""
    # Every fourth, because 1,000 last longer than a test should.
    for each in lattice_answers()[::4]:
        key = MLKEM768PrivateKey.from_seed_bytes(bytes.fromhex(each["d"] + each["z"]))

        assert each["pk"] == key.public_key().public_bytes_raw().hex()
        assert each["ss"] == key.decapsulate(bytes.fromhex(each["ct"])).hex()
        assert each["ss_n"] == key.decapsulate(bytes.fromhex(each["ct_n"])).hex()


def test_blake2b_is_rfc_7693s() -> None:
    for vector in sections("hashes/blake2/blake2b.txt"):
        if vector and int(vector["Len"]):
            assert vector["MD"] == hashlib.blake2b(bytes.fromhex(vector["Msg"])).hexdigest()


def test_tags_and_digests_are_other_libraries_blake2b() -> None:
    key, seed = bytes(range(32)), bytes(range(100, 132))
    tag = BLAKE2b.new(digest_bits=64, key=key, data=seed).digest()
    name = nacl.hash.blake2b(b"x", digest_size=32, person=b"onionpath/1 dig.", encoder=RawEncoder)

    assert int.from_bytes(tag, "little") == TagKey(key).tag(seed)
    assert name == digest(b"x")
