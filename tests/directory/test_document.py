"""Documents that must not be used, each with one defect (after the attacks that TUF lists)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.directory.descriptor import sign_descriptor
from onionpath.directory.document import (
    PAYLOAD_TYPE,
    Document,
    EquivocationError,
    SeenDocument,
    UnverifiedDocument,
    encode_document,
    sign_document,
)
from onionpath.directory.envelope import sign
from onionpath.directory.parameters import Parameters
from onionpath.directory.trust import TrustRoot
from onionpath.errors import (
    MalformedError,
    OnionPathError,
    RollbackError,
    SignatureThresholdError,
    StaleDirectoryError,
    WrongNetworkError,
)
from onionpath.injected import UnixTime
from onionpath.onion.geometry import Geometry
from tests.directory.networks import NOW, PERIOD_S, authority_keys, descriptor, identity, network, root

GOOD = network()
KEYS = authority_keys(3)


def verify(
    envelope: bytes, *, trust: TrustRoot = GOOD.root, now: float = NOW, seen: SeenDocument | None = None
) -> Document:
    return UnverifiedDocument(envelope).verify(trust, now=UnixTime(now), seen=seen)


def test_a_good_document_is_accepted_and_keeps_its_envelope() -> None:
    document = verify(GOOD.envelope)

    assert GOOD.document == document
    assert GOOD.envelope == document.envelope


def test_one_signature_too_few_is_refused() -> None:
    with pytest.raises(SignatureThresholdError):
        verify(sign_document(GOOD.document, KEYS[:1]), trust=root(3, 2))

    assert GOOD.document == verify(sign_document(GOOD.document, KEYS[:2]), trust=root(3, 2))


def test_enough_signatures_by_one_signer_are_refused() -> None:
    with pytest.raises(SignatureThresholdError):
        verify(sign_document(GOOD.document, [KEYS[0], KEYS[0]]), trust=root(3, 2))


def test_a_signer_who_is_not_in_the_root_is_refused() -> None:
    with pytest.raises(SignatureThresholdError):
        verify(sign_document(GOOD.document, [identity("stranger")]))


def test_a_descriptor_is_not_taken_for_a_document() -> None:
    with pytest.raises(MalformedError):
        verify(sign_descriptor(descriptor(1), identity(1)))


def test_a_document_of_another_network_is_refused() -> None:
    """The same authorities may run a test network, whose documents must not pass here."""
    with pytest.raises(WrongNetworkError):
        verify(network(network_id=bytes(32)).envelope)


def test_a_document_with_other_parameters_than_the_trust_root_is_refused() -> None:
    """Links are already set up with the root's sizes, and nobody may be given a shorter path."""
    with pytest.raises(WrongNetworkError, match="parameters"):
        verify(network(parameters=Parameters(hops=2)).envelope)


def test_an_expired_document_is_refused_with_both_times() -> None:
    late = GOOD.document.valid_until + 30

    with pytest.raises(StaleDirectoryError, match=r"0:00:30 ago.*UTC.*UTC.*clock"):
        verify(GOOD.envelope, now=late)
    assert verify(GOOD.envelope, now=late - 1)


def test_a_document_from_the_future_is_refused_with_both_times() -> None:
    early = GOOD.document.valid_from - 31

    with pytest.raises(StaleDirectoryError, match=r"future by 0:00:31.*UTC.*UTC.*clock"):
        verify(GOOD.envelope, now=early)
    assert verify(GOOD.envelope, now=early + 1)


def test_a_lower_number_than_one_seen_is_refused() -> None:
    seen = SeenDocument.of(network(number=GOOD.document.number + 1).document)

    with pytest.raises(RollbackError) as caught:
        verify(GOOD.envelope, seen=seen)
    assert not isinstance(caught.value, EquivocationError)


def test_the_same_number_with_other_content_keeps_the_pair_as_evidence() -> None:
    other = network(weights=[1, 2, 3, 4, 5])

    with pytest.raises(EquivocationError) as caught:
        verify(other.envelope, seen=SeenDocument.of(verify(GOOD.envelope)))
    assert (GOOD.envelope, other.envelope) == caught.value.pair


def test_the_same_document_with_another_set_of_signatures_is_the_same_document() -> None:
    """Mirrors may hold different signatures of one document; that is no evidence of anything."""
    seen = SeenDocument.of(verify(GOOD.envelope))

    assert verify(sign_document(GOOD.document, KEYS[:2]), seen=seen)


def test_a_truncated_document_is_refused() -> None:
    for size in (0, 1, len(GOOD.envelope) // 2, len(GOOD.envelope) - 1):
        with pytest.raises(MalformedError):
            verify(GOOD.envelope[:size])


@pytest.mark.parametrize(
    ("defect", "old", "new"),
    [
        ("an extra key", b'{"network_id"', b'{"extra":1,"network_id"'),
        ("an extra key in a listing", b'{"relay_id"', b'{"extra":[],"relay_id"'),
        ("a repeated key", b'"hops":3', b'"hops":2,"hops":3'),
        ("too many hops", b'"hops":3', b'"hops":6'),
        ("impossible frames", b'"small":8192', b'"small":3000'),
        ("a negative weight", b'"weight":1000', b'"weight":-1'),
        ("a huge weight", b'"weight":1000', b'"weight":1000001'),
        ("a huge number", b'"number":', b'"number":9999999999'),
        ("a weight with an exponent", b'"weight":1000', b'"weight":1e3'),
    ],
)
def test_a_signed_document_with_one_defect_is_refused(defect: str, old: bytes, new: bytes) -> None:
    payload = encode_document(GOOD.document)
    assert old in payload

    with pytest.raises(MalformedError):
        verify(sign(PAYLOAD_TYPE, payload.replace(old, new, 1), KEYS[:1]))


@pytest.mark.parametrize("order", ["reversed", "repeated", "one-descriptor"])
def test_relays_out_of_order_or_repeated_are_refused(order: str) -> None:
    one, two, *rest = GOOD.document.relays
    relays = {
        "reversed": (two, one, *rest),
        "repeated": (one, one, *rest),
        "one-descriptor": (one, replace(two, descriptor=one.descriptor), *rest),
    }[order]

    with pytest.raises(MalformedError):
        replace(GOOD.document, relays=relays)


def test_a_document_without_relays_or_weight_is_refused() -> None:
    with pytest.raises(MalformedError):
        replace(GOOD.document, relays=())
    with pytest.raises(MalformedError):
        replace(GOOD.document, relays=tuple(replace(one, weight=0) for one in GOOD.document.relays))


def test_times_out_of_order_are_refused() -> None:
    with pytest.raises(MalformedError):
        replace(GOOD.document, fresh_until=GOOD.document.valid_from)
    with pytest.raises(MalformedError):
        replace(GOOD.document, valid_until=GOOD.document.fresh_until)


@pytest.mark.parametrize(
    "changes",
    [
        {"number": GOOD.document.number + 1},
        {"number": GOOD.document.number - 1},
        {"valid_from": GOOD.document.valid_from - 1},
        {"fresh_until": GOOD.document.fresh_until + 1},
        {"valid_until": GOOD.document.valid_until + 1},
        {"parameters": Parameters(period_s=PERIOD_S - 1)},
    ],
    ids=str,
)
def test_numbers_and_times_that_are_not_of_one_period_are_refused(changes: dict[str, object]) -> None:
    """Otherwise stolen keys could sign a number so high that no honest document comes after it."""
    with pytest.raises(MalformedError, match="period"):
        replace(GOOD.document, **changes)  # type: ignore[arg-type]  # of any type


def test_the_geometry_follows_from_the_parameters() -> None:
    assert Geometry(2, 4096, 65_536) == Parameters(hops=2, small=4096, large=65_536).geometry


def test_freshness_ends_before_usability() -> None:
    document = GOOD.document

    assert document.is_fresh(UnixTime(document.fresh_until - 1))
    assert not document.is_fresh(document.fresh_until)
    assert document.is_usable(UnixTime(document.valid_until + 29))
    assert not document.is_usable(UnixTime(document.valid_until + 30))
    assert not document.is_usable(UnixTime(document.valid_from - 31))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_but_our_errors(data: bytes) -> None:
    with pytest.raises(OnionPathError):
        verify(data)


@given(st.binary(max_size=300))
def test_arbitrary_signed_bytes_raise_nothing_but_our_errors(data: bytes) -> None:
    with pytest.raises(MalformedError):
        verify(sign(PAYLOAD_TYPE, data, KEYS[:1]))


@given(st.data())
def test_a_signed_payload_with_any_byte_changed_raises_nothing_but_our_errors(data: st.DataObject) -> None:
    payload = bytearray(encode_document(GOOD.document))
    position = data.draw(st.integers(0, len(payload) - 1))
    payload[position] ^= data.draw(st.integers(1, 255))

    try:
        changed = verify(sign(PAYLOAD_TYPE, bytes(payload), KEYS[:1]))
    except OnionPathError:
        return
    assert bytes(payload) == encode_document(changed)
