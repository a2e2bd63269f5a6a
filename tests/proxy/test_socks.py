"""The SOCKS 5 handshake, byte by byte (RFC 1928, RFC 1929)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.proxy.failures import Failure, SocksCode
from onionpath.proxy.handshake import Access, Heard, Wanted
from onionpath.proxy.socks import SocksHandshake, refuse_version_4

OPEN, GUARDED = Access(), Access("secret")
NO_PASSWORD = b"\x05\x01\x00"
WITH_PASSWORD = b"\x05\x02\x00\x02"
NAME = b"\x03\x0bexample.org"
CONNECT = b"\x05\x01\x00"
PORT = b"\x01\xbb"


def heard(*parts: bytes, access: Access = OPEN) -> Heard:
    """All that is sent, and the outcome."""
    handshake, send, outcome = SocksHandshake(access), b"", None
    for part in parts:
        assert outcome is None
        answer = handshake.hear(part)
        send, outcome = send + answer.send, answer.outcome
    return Heard(send, outcome)


def code_of(answer: Heard) -> SocksCode:
    assert isinstance(answer.outcome, Failure)
    return answer.outcome.code


def credentials(user: bytes, password: bytes) -> bytes:
    return bytes([1, len(user)]) + user + bytes([len(password)]) + password


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("example.org", NAME),
        ("192.0.2.7", b"\x01\xc0\x00\x02\x07"),
        ("2001:db8::1", b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01"),
    ],
)
def test_names_and_addresses_are_taken_as_they_are(host: str, address: bytes) -> None:
    answer = heard(NO_PASSWORD, CONNECT + address + PORT)

    assert Heard(b"\x05\x00", Wanted(host, 443, None)) == answer


def test_a_name_is_none_by_number() -> None:
    assert not Wanted("example.org", 443, None).is_by_number
    assert Wanted("2001:db8::1", 443, None).is_by_number


@given(st.lists(st.integers(0, 40), max_size=8))
def test_it_does_not_matter_how_the_bytes_are_cut(cuts: list[int]) -> None:
    whole = WITH_PASSWORD + credentials(b"one", b"two") + CONNECT + NAME + PORT
    ends = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    parts = [whole[start:end] for start, end in pairwise(ends)]

    assert heard(whole) == heard(*parts)


@given(st.binary(min_size=1, max_size=600))
def test_whatever_comes_there_is_no_error(data: bytes) -> None:
    handshake = SocksHandshake(OPEN)
    answer = handshake.hear(data)
    if isinstance(answer.outcome, Failure):
        handshake.failed(answer.outcome)


def test_what_a_program_sends_before_it_is_connected_is_kept() -> None:
    handshake = SocksHandshake(OPEN)
    handshake.hear(NO_PASSWORD + CONNECT + NAME + PORT + b"early")

    assert (b"\x05\x00\x00\x01" + bytes(6), b"early") == handshake.connected()


@pytest.mark.parametrize("command", [2, 3, 0xF0, 0xF1], ids=["bind", "udp", "resolve", "resolve-ptr"])
def test_other_commands_are_refused_with_their_code(command: int) -> None:
    handshake = SocksHandshake(OPEN)
    answer = handshake.hear(NO_PASSWORD + bytes([5, command, 0]) + NAME + PORT)

    assert SocksCode.COMMAND_UNKNOWN is code_of(answer)
    assert isinstance(answer.outcome, Failure)
    assert b"\x05\x07\x00\x01" + bytes(6) == handshake.failed(answer.outcome)


def test_an_unknown_kind_of_address_is_refused_with_its_code() -> None:
    assert SocksCode.ADDRESS_TYPE_UNKNOWN is code_of(heard(NO_PASSWORD, CONNECT + b"\x02" + NAME + PORT))


@pytest.mark.parametrize(
    "request_", [CONNECT + NAME + b"\0\0", CONNECT + b"\x03\x00" + PORT, CONNECT + b"\x03\x02\xc3\xa9" + PORT]
)
def test_there_is_no_port_zero_and_no_name_that_is_no_text(request_: bytes) -> None:
    assert SocksCode.FAILED is code_of(heard(NO_PASSWORD, request_))


def test_before_a_request_there_is_no_reply_to_refuse_it_with() -> None:
    handshake = SocksHandshake(OPEN)
    answer = handshake.hear(b"\x06\x01\x00")

    assert isinstance(answer.outcome, Failure)
    assert b"" == handshake.failed(answer.outcome)


# Who may come in, and on which paths.


def test_user_name_and_password_make_paths_of_their_own() -> None:
    keys = set()
    for user, password in [(b"a", b""), (b"a", b"b"), (b"ab", b""), (b"b", b"a")]:
        answer = heard(WITH_PASSWORD, credentials(user, password), CONNECT + NAME + PORT)
        assert isinstance(answer.outcome, Wanted)
        keys.add(answer.outcome.isolation)

    assert 4 == len(keys - {None})


def test_a_guarded_proxy_takes_only_its_password() -> None:
    right = heard(WITH_PASSWORD, credentials(b"", b"secret"), CONNECT + NAME + PORT, access=GUARDED)
    wrong = heard(WITH_PASSWORD, credentials(b"", b"Secret"), access=GUARDED)
    without = heard(NO_PASSWORD, access=GUARDED)

    assert Wanted("example.org", 443, None) == right.outcome
    assert (b"\x05\x02\x01\x01", b"\x05\xff") == (wrong.send, without.send)
    assert SocksCode.NOT_ALLOWED is code_of(wrong) is code_of(without)


def test_who_speaks_version_4_is_told_so_in_its_words() -> None:
    assert b"\x00\x5b" + bytes(6) == refuse_version_4()
