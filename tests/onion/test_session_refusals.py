"""What a relay answers outside of the seal: one answer for all that cannot be read, and the original's for the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.identity import RelayId
from onionpath.errors import UsageError
from onionpath.onion.session_framing import encode_framing
from onionpath.onion.session_messages import encode_hop_message, encode_post
from onionpath.onion.session_packets import ForwardToRelay, SessionPacket, SessionServe
from onionpath.onion.session_refusals import (
    PASSED_STATUSES,
    Hint,
    Refusal,
    Refuse,
    decide_hop_message,
    decide_post,
    passed_status,
    read_hint,
    refuse,
)
from tests.onion.session_paths import ONION, hop_key, packet_to, wrap

UNREADABLE = Refuse(400, b"Invalid ciphertext")
TOO_LONG = Refuse(400, b"onion request max path length exceeded")
KEY = hop_key(5).private.public.encoded.hex()
NEXT = hop_key(1).relay_id


def layer_of(fields: dict[str, object]) -> bytes:
    return encode_post(packet_to(0, encode_framing(b"blob", fields)))


FAULTS = {
    "nothing": b"",
    "a length that is too long": b"\xff\0\0\0\xaa\xbb",
    "no JSON": b"\4\0\0\0blob",
    "an unknown cipher": encode_framing(b"blob", {"ephemeral_key": KEY, "enc_type": "aes-cbc"}),
    "no ephemeral key": encode_framing(b"blob", {"enc_type": "aes-gcm"}),
    "a seal that does not open": encode_framing(b"blob" * 30, {"ephemeral_key": KEY}),
    "a layer without JSON": encode_post(packet_to(0, b"\4\0\0\0blob")),
    "a layer of two instructions": layer_of({"headers": "", "host": "example.org"}),
    "a loop": layer_of({"destination": hop_key(0).relay_id.hex(), "ephemeral_key": KEY}),
    "a host of many meanings": layer_of({"host": "127.1", "target": "/oxen/v4/lsrpc", "ephemeral_key": KEY}),
}


@pytest.mark.parametrize("body", FAULTS.values(), ids=FAULTS.keys())
def test_whatever_cannot_be_read_gets_the_same_answer(body: bytes) -> None:
    """Otherwise the answer would tell what was found at fault, to whoever tries."""
    assert UNREADABLE == decide_post(ONION, body, hop_key(0))


@given(data=st.binary(max_size=200))
def test_nothing_that_a_stranger_posts_does_more_than_be_refused(data: bytes) -> None:
    assert UNREADABLE == decide_post(ONION, data, hop_key(0))
    assert UNREADABLE == decide_hop_message(ONION, data, hop_key(0))


def test_a_path_that_is_too_long_is_told_so_as_in_the_original() -> None:
    packet = wrap(hops=2).packet

    assert TOO_LONG == decide_post(ONION, encode_post(packet._replace(depth=15)), hop_key(0))
    assert TOO_LONG == decide_hop_message(ONION, encode_hop_message(packet._replace(depth=5)), hop_key(0))


def test_a_depth_that_somebody_else_has_written_tells_nobody_where_a_layer_leads() -> None:
    leads_on = wrap(hops=2).packet._replace(depth=4)
    damaged = leads_on._replace(layer=leads_on.layer[:-1] + bytes([leads_on.layer[-1] ^ 1]))

    assert UNREADABLE == decide_post(ONION, encode_post(damaged), hop_key(0))
    assert UNREADABLE == decide_post(ONION, encode_post(leads_on), hop_key(0))
    assert UNREADABLE == decide_hop_message(ONION, encode_hop_message(leads_on), hop_key(0))


def test_a_good_packet_is_decided_alike_over_both_ways() -> None:
    packet = wrap(hops=2).packet._replace(depth=1)

    posted = decide_post(ONION, encode_post(packet), hop_key(0))
    received = decide_hop_message(ONION, encode_hop_message(packet), hop_key(0))

    assert posted == received
    assert isinstance(posted, ForwardToRelay)
    assert isinstance(posted.packet, SessionPacket)
    assert isinstance(decide_post(ONION, encode_post(posted.packet), hop_key(1)), SessionServe)


@pytest.mark.parametrize(
    ("refusal", "status", "body"),
    [
        (Refusal.UNREADABLE, 400, "Invalid ciphertext"),
        (Refusal.PATH_TOO_LONG, 400, "onion request max path length exceeded"),
        (Refusal.TOO_LARGE, 413, "Request body too large"),
        (Refusal.NEXT_MALFORMED, 500, "Invalid response from snode"),
        (Refusal.NEXT_UNKNOWN, 502, f"Next node not found: {NEXT.hex()}"),
        (Refusal.SERVER_UNREACHABLE, 502, "Server unreachable"),
        (Refusal.BUSY, 503, "Server busy, try again later"),
        (Refusal.NOT_READY, 503, f"Snode not ready: {NEXT.hex()}"),
        (Refusal.NEXT_TIMED_OUT, 504, "Request time out"),
        (Refusal.SERVER_TIMED_OUT, 504, "Server time out"),
    ],
)
def test_refusals_read_as_sessions_clients_expect_them_and_ours_reads_them_again(
    refusal: Refusal, status: int, body: str
) -> None:
    named = NEXT if "{}" in refusal.text else None
    answer = refuse(refusal, named=named)

    assert Refuse(status, body.encode()) == answer
    assert Hint(refusal, named) == read_hint(answer.status, answer.body)


def test_the_table_is_tested_as_a_whole() -> None:
    assert 10 == len(Refusal)
    assert 10 == len({(each.status, each.text) for each in Refusal})


@pytest.mark.parametrize(
    ("refusal", "status", "body"),
    [
        (Refusal.UNREADABLE, 400, b"Error parsing onion request: Invalid encryption type foo"),
        (Refusal.UNREADABLE, 400, b"Invalid internal onion request: bad dict"),
        (Refusal.NOT_READY, 503, b"Service node is not ready: not active\n"),
    ],
)
def test_what_only_the_original_says_is_understood(refusal: Refusal, status: int, body: bytes) -> None:
    assert Hint(refusal, None) == read_hint(status, body)
    assert read_hint(status + 1, body) is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"Invalid ciphertext"),
        (400, b"Invalid ciphertext!"),
        (400, b""),
        (502, b"Next node not found: "),
        (502, b"Next node not found: " + b"1" * 63),
        (502, b"Next node not found: " + b"00" * 32),
        (502, b"Next node not found: " + b"\xff" * 64),
        (502, b"Failed to connect to 127.0.0.2 port 1"),
    ],
)
def test_an_answer_that_we_do_not_know_hints_at_nothing(status: int, body: bytes) -> None:
    assert read_hint(status, body) is None


@pytest.mark.parametrize(("refusal", "named"), [(Refusal.NEXT_UNKNOWN, None), (Refusal.UNREADABLE, NEXT)])
def test_a_refusal_names_a_relay_exactly_if_its_text_does(refusal: Refusal, named: RelayId | None) -> None:
    with pytest.raises(UsageError):
        refuse(refusal, named=named)


def test_only_statuses_that_the_original_passes_on_are_passed_on() -> None:
    passed = {status for status in range(100, 600) if passed_status(status) == status}

    assert (
        {200, 400, 401, 403, 404, 406, 410, 413, 421, 429, 500, 502, 503, 504}
        == passed
        == PASSED_STATUSES | {500}
    )
    assert 500 == passed_status(207)
