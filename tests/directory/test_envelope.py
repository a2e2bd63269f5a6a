import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.identity import IdentityKey
from onionpath.crypto.points import FIELD_PRIME
from onionpath.directory.envelope import open_self_signed, open_signed, pae, sign
from onionpath.errors import MalformedError, OnionPathError, SignatureThresholdError
from tests.directory.networks import authority_keys, identity

TYPE = "text/plain"
KEYS = authority_keys(3)
SIGNERS = [key.public for key in KEYS]


def opened(envelope: bytes, *, threshold: int = 2) -> bytes:
    return open_signed(envelope, payload_type=TYPE, signers=SIGNERS, threshold=threshold, max_size=16 * 1024)


def test_the_signed_bytes_are_those_of_the_dsse_specification() -> None:
    """The example of the DSSE protocol document, so that other implementations can check ours."""
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"

    assert expected == pae("http://example.com/HelloWorld", b"hello world")


def test_a_payload_with_enough_signatures_comes_out_as_it_went_in() -> None:
    assert b"hello" == opened(sign(TYPE, b"hello", KEYS[:2]))


def with_signatures(*keys: IdentityKey) -> bytes:
    """An envelope whose signatures stand in this order."""
    separate = [sign(TYPE, b"hello", [key]) for key in keys]
    start, end = separate[0].index(b"[") + 1, -len(b"]}")
    return separate[0][:start] + b",".join(each[start:end] for each in separate) + separate[0][end:]


def test_signatures_stand_in_ascending_order_of_key() -> None:
    first, second = sorted(KEYS[:2], key=lambda key: key.public)

    assert sign(TYPE, b"hello", [second, first]) == with_signatures(first, second)
    assert b"hello" == opened(with_signatures(first, second))


def test_signatures_that_are_repeated_or_out_of_order_are_refused() -> None:
    """So the same signatures make the same envelope, and no key has two votes."""
    first, second = sorted(KEYS[:2], key=lambda key: key.public)

    for keys in ((first, first), (second, first)):
        with pytest.raises(MalformedError, match="repeated or out of order"):
            opened(with_signatures(*keys))


def test_a_signature_by_a_stranger_is_no_vote() -> None:
    with pytest.raises(SignatureThresholdError):
        open_signed(
            sign(TYPE, b"hello", KEYS), payload_type=TYPE, signers=SIGNERS[:1], threshold=2, max_size=9999
        )


def test_a_changed_payload_has_no_valid_signature() -> None:
    envelope = sign(TYPE, b"hello", KEYS[:2]).replace(b"aGVsbG8=", b"aGVsbG9=")

    with pytest.raises((SignatureThresholdError, MalformedError)):
        opened(envelope)

    with pytest.raises(SignatureThresholdError):
        opened(sign(TYPE, b"hello", KEYS[:2]).replace(b"aGVsbG8=", b"amVsbG8="))


def test_a_signature_over_another_type_does_not_count() -> None:
    with pytest.raises(MalformedError):
        opened(sign("text/html", b"hello", KEYS[:2]))

    with pytest.raises(SignatureThresholdError):
        opened(sign("text/html!", b"hello", KEYS[:2]).replace(b"text/html!", b"text/plain"))


@pytest.mark.parametrize(
    ("defect", "old", "new"),
    [
        ("an unsigned extra field", b'{"payload"', b'{"extra":1,"payload"'),
        ("an unsigned extra field in a signature", b'{"keyid"', b'{"extra":1,"keyid"'),
        ("a repeated key", b'{"payload"', b'{"payload":"aGVsbG8=","payload"'),
        ("white space", b'{"payload"', b'{ "payload"'),
        ("trailing bytes", b"]}", b"]}\n"),
        ("a second document", b"]}", b"]}{}"),
        ("a capital in a keyid", KEYS[0].public.hex().encode(), KEYS[0].public.hex().upper().encode()),
        ("a missing payload", b'"payload":"aGVsbG8=",', b""),
        ("base64 without padding", b"aGVsbG8=", b"aGVsbG8"),
        ("an escaped spelling", b"text/plain", b"text\\/plain"),
    ],
)
def test_an_envelope_with_one_defect_is_refused(defect: str, old: bytes, new: bytes) -> None:
    envelope = sign(TYPE, b"hello", KEYS[:1])
    assert old in envelope

    with pytest.raises(MalformedError):
        opened(envelope.replace(old, new), threshold=1)


def test_an_envelope_over_the_size_limit_is_refused_unread() -> None:
    with pytest.raises(MalformedError, match="more than"):
        opened(sign(TYPE, bytes(16 * 1024), KEYS[:2]))


def test_no_signature_and_too_many_signatures_are_refused() -> None:
    for keys in ([], [identity(name) for name in range(33)]):
        with pytest.raises(MalformedError, match="signatures"):
            opened(sign(TYPE, b"hello", keys))


def test_deeply_nested_json_is_malformed_and_not_a_crash() -> None:
    """The decoder recurses, and Python's own error for that must not get out."""
    with pytest.raises(MalformedError):
        opened(b'{"payload":' + b"[" * 16_000)


def test_the_all_zero_key_signs_nothing() -> None:
    """A key of small order would verify signatures that nobody made."""
    small_order = (FIELD_PRIME - 1).to_bytes(32, "little")
    forged = sign(TYPE, b"hello", KEYS[:1]).replace(KEYS[0].public.hex().encode(), small_order.hex().encode())

    with pytest.raises(SignatureThresholdError):
        open_self_signed(forged, payload_type=TYPE, max_size=9999)


def test_a_self_signed_envelope_has_exactly_one_signer() -> None:
    assert (KEYS[0].public, b"hello") == open_self_signed(
        sign(TYPE, b"hello", KEYS[:1]), payload_type=TYPE, max_size=9999
    )
    with pytest.raises(MalformedError):
        open_self_signed(sign(TYPE, b"hello", KEYS[:2]), payload_type=TYPE, max_size=9999)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_but_our_errors(data: bytes) -> None:
    with pytest.raises(OnionPathError):
        opened(data)


@given(st.data())
def test_an_envelope_with_any_byte_changed_is_refused(data: st.DataObject) -> None:
    envelope = bytearray(sign(TYPE, b"hello", KEYS[:2]))
    position = data.draw(st.integers(0, len(envelope) - 1))
    envelope[position] ^= data.draw(st.integers(1, 255))

    with pytest.raises(OnionPathError):
        opened(bytes(envelope))
