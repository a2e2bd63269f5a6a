"""The proof by which one relay knows another: it is good for these parties and this once."""

from __future__ import annotations

import pytest

from onionpath.crypto.identity import IdentityKey
from onionpath.errors import MalformedError
from onionpath.link.proof import Claim, Parties, check_proof, sign_proof

CALLER, ANSWERER, OTHER = (IdentityKey(bytes([number]) * 32) for number in (1, 2, 3))
PARTIES = Parties(
    network_id=b"n" * 32,
    caller=CALLER.relay_id,
    answerer=ANSWERER.relay_id,
    answerer_key_hash=b"h" * 32,
    caller_nonce=b"c" * 32,
    answerer_nonce=b"a" * 32,
)


def test_a_proof_by_the_claimed_relay_is_accepted() -> None:
    check_proof(PARTIES, sign_proof(PARTIES, CALLER))


@pytest.mark.parametrize("field", [name for name in Parties._fields if name not in ("caller", "answerer")])
def test_a_proof_for_other_circumstances_is_refused(field: str) -> None:
    """Another network, another TLS key (somebody sits between), or a nonce of another day."""
    signed = sign_proof(PARTIES._replace(**{field: b"x" * 32}), CALLER)
    with pytest.raises(MalformedError):
        check_proof(PARTIES, signed)


def test_a_relay_cannot_pass_on_a_proof_that_was_made_for_it() -> None:
    signed = sign_proof(PARTIES._replace(answerer=OTHER.relay_id), CALLER)
    with pytest.raises(MalformedError):
        check_proof(PARTIES, signed)


def test_a_relay_cannot_sign_for_another() -> None:
    with pytest.raises(MalformedError):
        check_proof(PARTIES, sign_proof(PARTIES, OTHER))


def test_a_proof_cannot_be_turned_around() -> None:
    """What the caller signed must not prove the answerer's identity or a call in the other direction."""
    turned = PARTIES._replace(caller=PARTIES.answerer, answerer=PARTIES.caller)
    with pytest.raises(MalformedError):
        check_proof(turned, sign_proof(PARTIES, CALLER))


@pytest.mark.parametrize("size", [0, 63, 65])
def test_a_signature_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(MalformedError):
        check_proof(PARTIES, (sign_proof(PARTIES, CALLER) * 2)[:size])


def test_the_signed_message_has_a_label_and_fields_of_fixed_length() -> None:
    assert b"onionpath/1 link proof" + b"".join(PARTIES) == PARTIES.message()
    assert 22 + 6 * 32 == len(PARTIES.message())


def test_a_claim_comes_back() -> None:
    claim = Claim(CALLER.relay_id, b"c" * 32)

    assert claim == Claim.decode(claim.encode())
    assert 64 == len(claim.encode())


@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_a_claim_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(MalformedError):
        Claim.decode((Claim(CALLER.relay_id, b"c" * 32).encode() * 2)[:size])
