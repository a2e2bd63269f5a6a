"""How relays get to know each other: docs/specs/link.md §4. Whoever cannot prove a name stays a stranger."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from onionpath.crypto.identity import IdentityKey
from onionpath.link.frames import Kind, encode_frame
from onionpath.link.proof import Claim, Parties, sign_proof
from relay.limits import SwitchLimits
from tests.network.calls import echo
from tests.network.memory import MemoryClient, MemoryNetwork, MemoryRelay, memory_network


def claim(client: MemoryClient, caller: IdentityKey, nonce: bytes = bytes(32)) -> bytes:
    """Claim to be this relay and give the answerer's nonce."""
    client.send_frame(Kind.CLAIM, Claim(caller.relay_id, nonce).encode())
    client.network.run()
    (challenge,) = [frame for frame in client.received if frame.kind is Kind.CHALLENGE]
    return bytes(challenge.body)


def parties(network: MemoryNetwork, caller: MemoryRelay, answerer: MemoryRelay, nonce: bytes) -> Parties:
    return Parties(
        network.network_id,
        caller.relay_id,
        answerer.relay_id,
        answerer.link_key_hash,
        bytes(32),
        nonce,
    )


def prove(client: MemoryClient, signature: bytes) -> None:
    client.send_frame(Kind.PROOF, signature)
    client.network.run()


def test_a_relay_that_proves_itself_may_send_packets_of_any_depth() -> None:
    network = memory_network()
    stranger, caller = network.client(2), network.relays[0]
    nonce = claim(stranger, caller.identity)
    prove(stranger, sign_proof(parties(network, caller, network.relays[2], nonce), caller.identity))
    stranger.send_frame(Kind.REQUEST, bytes(5744), depth=2, generation=7, slot=6_000_000, exchange_id=5)
    network.run()

    # It is opened, and not refused as a client's.
    assert 1 == network.relays[2].counts["layer_bad"]
    assert "depth_from_client" not in network.relays[2].counts


def test_a_proof_with_another_key_closes_the_link() -> None:
    network = memory_network()
    stranger, caller = network.client(2), network.relays[0]
    nonce = claim(stranger, caller.identity)

    prove(stranger, sign_proof(parties(network, caller, network.relays[2], nonce), IdentityKey(bytes(32))))

    assert ["proof_wrong"] == network.relays[2].closes
    assert 1 == network.relays[2].counts["link_proof_wrong"]


def other_network(network: MemoryNetwork, whole: Parties) -> Parties:
    return whole._replace(network_id=bytes(32))


def other_answerer(network: MemoryNetwork, whole: Parties) -> Parties:
    """A relay that was called passes the proof on to another."""
    other = network.relays[1]
    return whole._replace(answerer=other.relay_id, answerer_key_hash=other.link_key_hash)


def other_key_hash(network: MemoryNetwork, whole: Parties) -> Parties:
    """Somebody else ended the TLS connection."""
    return whole._replace(answerer_key_hash=bytes(32))


def swapped(network: MemoryNetwork, whole: Parties) -> Parties:
    return whole._replace(caller_nonce=whole.answerer_nonce, answerer_nonce=whole.caller_nonce)


def other_caller(network: MemoryNetwork, whole: Parties) -> Parties:
    return whole._replace(caller=network.relays[1].relay_id)


@pytest.mark.parametrize("change", [other_network, other_answerer, other_key_hash, swapped, other_caller])
def test_a_proof_of_something_else_closes_the_link(
    change: Callable[[MemoryNetwork, Parties], Parties],
) -> None:
    network = memory_network()
    stranger, caller = network.client(2), network.relays[0]
    nonce = claim(stranger, caller.identity)

    prove(
        stranger,
        sign_proof(change(network, parties(network, caller, network.relays[2], nonce)), caller.identity),
    )

    assert ["proof_wrong"] == network.relays[2].closes


def test_a_proof_that_was_overheard_proves_nothing_on_another_link() -> None:
    network = memory_network()
    caller = network.relays[0]
    first, second = network.client(2), network.client(2, name="second")
    proof = sign_proof(
        parties(network, caller, network.relays[2], claim(first, caller.identity)), caller.identity
    )
    prove(first, proof)
    claim(second, caller.identity)
    prove(second, proof)

    assert ["proof_wrong"] == network.relays[2].closes


def test_a_relay_that_the_directory_does_not_list_is_refused() -> None:
    network = memory_network()
    unlisted = MemoryRelay(network, 9, SwitchLimits())
    stranger = network.client(2)
    nonce = claim(stranger, unlisted.identity)

    prove(stranger, sign_proof(parties(network, unlisted, network.relays[2], nonce), unlisted.identity))

    assert ["proof_unknown_relay"] == network.relays[2].closes


def test_nobody_may_claim_to_be_the_relay_that_was_called() -> None:
    """Reflection: without this a relay's own signature, asked of it elsewhere, would do."""
    network = memory_network()
    ours = network.relays[2]
    stranger = network.client(2)
    nonce = claim(stranger, ours.identity)

    prove(stranger, sign_proof(parties(network, ours, ours, nonce), ours.identity))

    assert ["proof_unknown_relay"] == ours.closes


def test_a_called_relay_signs_nothing() -> None:
    network = memory_network()
    stranger = network.client(2)
    stranger.send_frame(Kind.CHALLENGE, bytes(32))
    network.run()

    assert ["proof_out_of_order"] == network.relays[2].closes
    assert [] == stranger.received


@pytest.mark.parametrize(
    "frames",
    [
        [Kind.PROOF],
        [Kind.CHALLENGE],
        [Kind.CLAIM, Kind.CLAIM],
        [Kind.CLAIM, Kind.CHALLENGE],
    ],
    ids=lambda frames: "-".join(kind.name for kind in frames),
)
def test_frames_out_of_order_close_the_link(frames: list[Kind]) -> None:
    network = memory_network()
    stranger = network.client(2)
    bodies = {
        Kind.CLAIM: Claim(network.relays[0].relay_id, bytes(32)).encode(),
        Kind.CHALLENGE: bytes(32),
        Kind.PROOF: bytes(64),
    }
    for kind in frames:
        stranger.send_frame(kind, bodies[kind])
    network.run()

    assert ["proof_out_of_order"] == network.relays[2].closes


def test_a_claim_of_a_weak_key_closes_the_link() -> None:
    network = memory_network()
    stranger = network.client(2)
    stranger.send_frame(Kind.CLAIM, (1).to_bytes(32, "little") + bytes(32))
    network.run()

    assert 1 == len(network.relays[2].closes)


def test_a_second_claim_on_a_proven_link_closes_it() -> None:
    network = memory_network()
    network.client().request(echo())
    claim_again = encode_frame(network.geometry, Kind.CLAIM, bytes(64))
    network.transmit(network.link(0, 1), claim_again)
    network.run()

    assert 1 == len(network.relays[1].closes)


def test_a_relay_that_claims_and_never_proves_is_closed() -> None:
    network = memory_network()
    stranger = network.client(2)
    claim(stranger, network.relays[0].identity)
    network.advance(12)

    assert ["proof_too_slow"] == network.relays[2].closes


def test_a_called_relay_that_never_challenges_fails_what_waits_for_it() -> None:
    network = memory_network()
    network.tamper(1, 0, lambda data: () if data[0] == Kind.CHALLENGE else (data,))
    pending = network.client().send(echo())
    network.advance(12)

    assert ["proof_too_slow"] == network.relays[0].closes
    assert 0 == pending.answer().hop
    assert "NEXT_UNREACHABLE" == pending.answer().head.reason.name


def test_a_relay_that_hangs_up_instead_of_challenging_is_not_dialled_for_each_packet() -> None:
    """Otherwise one bad relay would have its neighbours shake hands at the rate of their clients' packets."""
    network = memory_network()
    network.tamper(1, 0, lambda data: ())
    client = network.client()
    for _ in range(5):
        client.send(echo())
        network.run()
        network.cut(0, 1)

    assert 1 == len([data for data in network.frames(0, 1) if data[0] == Kind.CLAIM])


def test_each_proof_is_fresh() -> None:
    network = memory_network()
    network.client().request(echo())
    first = network.frames(0, 1)[:2]
    network.cut(0, 1)
    network.advance(3)
    network.client(name="again").request(echo())
    second = [data for data in network.frames(0, 1)[2:] if data[0] in (Kind.CLAIM, Kind.PROOF)]

    assert [Kind.CLAIM, Kind.PROOF] == [data[0] for data in first] == [data[0] for data in second]
    assert first[0] != second[0]
    assert first[1] != second[1]
