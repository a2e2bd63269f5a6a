"""The examples of the RFCs and another implementation's exchanges, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cryptography_vectors
import nacl.bindings
import pytest

from onionpath.crypto.oblivious import ObliviousAead, ObliviousPrivateKey
from onionpath.ohttp.binary import decode_request, decode_response, encode_request, encode_response
from onionpath.ohttp.encapsulation import GatewayKey, GatewayKeys, seal_request
from onionpath.ohttp.keys import KeyConfiguration, decode_key_configurations
from onionpath.ohttp.messages import REQUEST_LIMITS, RESPONSE_LIMITS
from tests.onion.independent import hpke

FOLDER = Path(__file__).parents[1] / "vectors/ohttp"
BINARY = json.loads((FOLDER / "rfc9292.json").read_text())
EXAMPLE = json.loads((FOLDER / "rfc9458.json").read_text())
OTHERS = json.loads((FOLDER / "hpke-js.json").read_text())["vectors"]
EXCHANGES = [{**EXAMPLE, "aead": 1, "key_id": 1}, *OTHERS]
PUBLISHED = Path(cryptography_vectors.__file__).parent / "HPKE/test-vectors.json"


def suites() -> list[dict[str, Any]]:
    """RFC 9180's vectors of base mode for X25519 and HKDF-SHA256."""
    wanted = (0, 0x20, 1)
    vectors = json.loads(PUBLISHED.read_text())
    return [
        each
        for each in vectors
        if (each["mode"], each["kem_id"], each["kdf_id"]) == wanted and each["aead_id"] < 4
    ]


def entropy(value: str) -> Any:
    """Gives exactly these bytes."""

    def give(size: int) -> bytes:
        given = bytes.fromhex(value)
        assert size == len(given)
        return given

    return give


def keys_of(vector: dict[str, Any]) -> tuple[GatewayKeys, KeyConfiguration]:
    private = ObliviousPrivateKey(bytes.fromhex(vector["gateway_secret"]))
    key = GatewayKey(vector["key_id"], private, (ObliviousAead(vector["aead"]),))
    return GatewayKeys([key]), key.configuration


def test_the_published_suites_are_all_three() -> None:
    assert [1, 2, 3] == [each["aead_id"] for each in suites()]


@pytest.mark.parametrize("vector", suites(), ids=lambda each: f"aead-{each['aead_id']}")
def test_our_hpke_opens_and_exports_what_rfc_9180_publishes(vector: dict[str, Any]) -> None:
    private = ObliviousPrivateKey(bytes.fromhex(vector["skRm"]))
    first = vector["encryptions"][0]
    suite = ObliviousAead(vector["aead_id"]).suite
    context = suite.create_recipient_context(
        bytes.fromhex(vector["enc"]), private._key, info=bytes.fromhex(vector["info"])
    )

    assert vector["pkRm"] == private.public.encoded.hex()
    assert first["pt"] == context.open(bytes.fromhex(first["ct"]), bytes.fromhex(first["aad"])).hex()
    for export in vector["exports"]:
        exported = context.export(bytes.fromhex(export["exporter_context"]), export["L"])
        assert export["exported_value"] == exported.hex()


@pytest.mark.parametrize("aead", ObliviousAead)
def test_an_independent_hpke_opens_what_ours_seals(aead: ObliviousAead) -> None:
    """The curve is libsodium's and the AEAD pycryptodome's, under the small HPKE that our packets are held against."""
    private, eseed = ObliviousPrivateKey(bytes(range(32))), bytes(range(1, 33))
    enc, sealed, _ = private.public.seal(
        b"body", aead=aead, info=b"info", export=b"", entropy=lambda _: eseed
    )

    shared = independent_decapsulate(private.reveal(), enc)
    keys = hpke.schedule(shared, b"info", kem=hpke.X25519_KEM, kdf=hpke.HKDF_SHA256, aead=int(aead))

    assert b"body" == hpke.aead_open(int(aead), keys.key, keys.base_nonce, sealed)


def independent_decapsulate(secret: bytes, enc: bytes) -> bytes:
    """DHKEM of RFC 9180 §4.1."""
    public = nacl.bindings.crypto_scalarmult_base(secret)
    suite = b"HPKE-v1KEM" + hpke.X25519_KEM.to_bytes(2, "big")
    dh = nacl.bindings.crypto_scalarmult(secret, enc)
    prk = hpke.hkdf_extract("sha256", b"", suite + b"eae_prk" + dh)
    return hpke.hkdf_expand("sha256", prk, b"\0\x20" + suite + b"shared_secret" + enc + public, 32)


@pytest.mark.parametrize("vector", EXCHANGES, ids=lambda each: f"key-{each['key_id']}")
def test_we_seal_a_published_request_to_the_same_bytes(vector: dict[str, Any]) -> None:
    _, configuration = keys_of(vector)

    sealed, _ = seal_request(
        bytes.fromhex(vector["request"]), configuration, entropy=entropy(vector["ephemeral_secret"])
    )

    assert vector["encapsulated_request"] == sealed.hex()


@pytest.mark.parametrize("vector", EXCHANGES, ids=lambda each: f"key-{each['key_id']}")
def test_a_gateway_opens_a_published_request_and_seals_its_response(vector: dict[str, Any]) -> None:
    keys, _ = keys_of(vector)

    opened = keys.open(bytes.fromhex(vector["encapsulated_request"]))
    sealed = opened.secret.seal(bytes.fromhex(vector["response"]), entropy=entropy(vector["response_nonce"]))

    assert vector["request"] == opened.message.hex()
    assert vector["encapsulated_response"] == sealed.hex()


@pytest.mark.parametrize("vector", EXCHANGES, ids=lambda each: f"key-{each['key_id']}")
def test_a_client_opens_a_published_response(vector: dict[str, Any]) -> None:
    _, configuration = keys_of(vector)
    _, secret = seal_request(b"", configuration, entropy=entropy(vector["ephemeral_secret"]))

    assert vector["response"] == secret.open(bytes.fromhex(vector["encapsulated_response"])).hex()


def test_the_published_key_configuration_is_read_and_written() -> None:
    encoded = bytes.fromhex(EXAMPLE["key_configuration"])

    (configuration,) = decode_key_configurations(len(encoded).to_bytes(2, "big") + encoded)

    assert encoded == configuration.encode()
    assert 1 == configuration.key_id
    assert (ObliviousAead.AES_128_GCM, ObliviousAead.CHACHA20_POLY1305) == configuration.aeads
    private = ObliviousPrivateKey(bytes.fromhex(EXAMPLE["gateway_secret"]))
    assert private.public == configuration.public


def test_the_published_messages_are_read() -> None:
    """The first two of RFC 9292 mean the same, and the third hides its answer behind two informational responses."""
    known = decode_request(bytes.fromhex(BINARY["known_request"]), REQUEST_LIMITS)
    other = decode_request(bytes.fromhex(BINARY["indeterminate_request"]), REQUEST_LIMITS)
    response = decode_response(bytes.fromhex(BINARY["informational_response"]), RESPONSE_LIMITS)
    chunked = decode_response(bytes.fromhex(BINARY["chunked_response"]), RESPONSE_LIMITS)

    assert (b"GET", b"https", b"", b"/hello.txt") == (known.method, known.scheme, known.authority, known.path)
    assert [b"user-agent", b"host", b"accept-language"] == [name for name, _ in known.fields]
    assert known == other
    assert (200, b"date", 51) == (response.status, response.fields[0][0], len(response.body))
    assert (200, (), b"This content contains CRLF.\r\n") == (chunked.status, chunked.fields, chunked.body)


def test_the_published_known_length_request_is_written_without_its_empty_trailers() -> None:
    data = bytes.fromhex(BINARY["known_request"])

    assert data[:-1] == encode_request(decode_request(data, REQUEST_LIMITS))


@pytest.mark.parametrize("vector", OTHERS, ids=lambda each: f"key-{each['key_id']}")
def test_another_implementations_messages_are_read_and_written(vector: dict[str, Any]) -> None:
    """bhttp-js writes the empty trailers that we leave out."""
    request, response = bytes.fromhex(vector["request"]), bytes.fromhex(vector["response"])

    assert request == encode_request(decode_request(request, REQUEST_LIMITS)) + b"\0"
    assert response == encode_response(decode_response(response, RESPONSE_LIMITS)) + b"\0"


def test_messages_cut_off_in_the_appendix_mean_the_same() -> None:
    """RFC 9458's example leaves out the empty header section as well."""
    request = decode_request(bytes.fromhex(EXAMPLE["request"]), REQUEST_LIMITS)
    response = decode_response(bytes.fromhex(EXAMPLE["response"]), RESPONSE_LIMITS)

    assert (b"example.com", b"/", (), b"") == (request.authority, request.path, request.fields, request.body)
    assert (200, (), b"") == (response.status, response.fields, response.body)
