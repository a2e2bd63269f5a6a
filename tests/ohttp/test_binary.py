"""Binary HTTP: what is read, what is refused, and that both forms mean the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onionpath.errors import MalformedError
from onionpath.ohttp.binary import (
    MAX_CHUNKS,
    check_message,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from onionpath.ohttp.cursor import Cursor, encode_integer, encode_prefixed
from onionpath.ohttp.messages import Fields, HttpRequest, HttpResponse, Limits

LIMITS = Limits(body_bytes=256, head_bytes=512, fields=4)
HEAD = b"\x03GET\x05https\x0bexample.org\x01/"

names = st.from_regex(r"[a-z0-9-]{1,12}", fullmatch=True).map(str.encode)
values = st.from_regex(r"[!-~]([ -~]{0,20}[!-~])?|", fullmatch=True).map(str.encode)
fields = st.lists(st.tuples(names, values), max_size=4).map(tuple)
bodies = st.binary(max_size=256)


def indeterminate(control: bytes, lines: Fields, chunks: list[bytes], form: int) -> bytes:
    """What an encoder writes that does not know lengths before; empty chunks would end the body."""
    section = b"".join(encode_prefixed(part) for line in lines for part in line) + b"\0"
    content = b"".join(encode_prefixed(chunk) for chunk in chunks if chunk) + b"\0"
    return bytes([form]) + control + section + content + b"\0"


@given(st.integers(0, 2**62 - 1))
def test_an_integer_is_read_back_from_its_shortest_form(number: int) -> None:
    encoded = encode_integer(number)

    assert number == Cursor(encoded).integer()
    assert len(encoded) == 1 or number >= 1 << (8 * (len(encoded) // 2) - 2)


def test_an_integer_has_an_end() -> None:
    with pytest.raises(ValueError, match="above"):
        encode_integer(2**62)


@settings(max_examples=25, deadline=None)
@given(lines=fields, body=bodies, padding=st.integers(0, 40))
def test_a_request_is_read_back_whatever_its_padding(lines: Fields, body: bytes, padding: int) -> None:
    request = HttpRequest(b"POST", b"https", b"example.org:8443", b"/a?b=c", lines, body)

    # A request may end before its empty trailers, and zeros after it are first taken for these.
    assert request == decode_request(encode_request(request) + bytes(padding), LIMITS)


@settings(max_examples=25, deadline=None)
@given(lines=fields, chunks=st.lists(st.binary(max_size=30), max_size=8), cut=st.integers(0, 1))
def test_both_forms_mean_the_same(lines: Fields, chunks: list[bytes], cut: int) -> None:
    data = indeterminate(HEAD, lines, chunks, 2)

    read = decode_request(data[: len(data) - cut], LIMITS)

    assert HttpRequest(b"GET", b"https", b"example.org", b"/", lines, b"".join(chunks)) == read


@settings(max_examples=25, deadline=None)
@given(status=st.integers(200, 599), lines=fields, body=bodies)
def test_a_response_is_read_back(status: int, lines: Fields, body: bytes) -> None:
    response = HttpResponse(status, lines, body)

    assert response == decode_response(encode_response(response), LIMITS)
    assert response == decode_response(indeterminate(encode_integer(status), lines, [body], 3), LIMITS)


@settings(max_examples=25, deadline=None)
@given(lines=fields, body=bodies)
def test_what_may_be_written_can_be_read(lines: Fields, body: bytes) -> None:
    response = HttpResponse(200, lines, body)

    check_message(response, LIMITS)

    assert response == decode_response(encode_response(response), LIMITS)


def test_a_message_cut_off_inside_a_part_is_refused() -> None:
    whole = encode_request(HttpRequest(b"GET", b"https", b"a.example", b"/", ((b"a", b"b"),), b"body"))
    after_control = len(whole) - len(b"\x04\x01a\x01b\x04body")

    read = [size for size in range(len(whole)) if is_read(whole[:size])]

    assert [after_control, after_control + 5] == read


def is_read(data: bytes) -> bool:
    try:
        decode_request(data, LIMITS)
    except MalformedError:
        return False
    return True


BAD_REQUESTS = {
    "nothing": b"",
    "an unknown form": b"\x04" + HEAD,
    "a response": b"\x01\x40\xc8",
    "padding that is not zero": b"\0" + HEAD + b"\0\0\0\0\x01",
    "a method with a space": b"\0\x03G T\x05https\x0bexample.org\x01/",
    "no method": b"\0\0\x05https\x0bexample.org\x01/",
    "a user before the host": b"\0\x03GET\x05https\x0da@example.org\x01/",
    "a host with a line feed": b"\0\x03GET\x05https\x0cexample.org\n\x01/",
    "no path": b"\0\x03GET\x05https\x0bexample.org\x00",
    "a path without a slash": b"\0\x03GET\x05https\x0bexample.org\x01a",
    "a fragment": b"\0\x03GET\x05https\x0bexample.org\x03/#a",
    "a space in the path": b"\0\x03GET\x05https\x0bexample.org\x03/ a",
    "no scheme": b"\0\x03GET\x00\x0bexample.org\x01/",
    "a pseudo-field": b"\0" + HEAD + b"\x08\x05:path\x01/",
    "a name with a space": b"\0" + HEAD + b"\x06\x03a b\x01c",
    "an empty name": b"\0" + HEAD + b"\x03\x00\x01c",
    "a value with a line feed": b"\0" + HEAD + b"\x06\x01a\x03b\nc",
    "a value with NUL": b"\0" + HEAD + b"\x06\x01a\x03b\0c",
    "a value that begins with a space": b"\0" + HEAD + b"\x05\x01a\x02 b",
    "a value that ends with a tab": b"\0" + HEAD + b"\x05\x01a\x02b\t",
    "a field that leaves its section": b"\0" + HEAD + b"\x03\x01a\x05bcdef",
    "a bad trailer": b"\0" + HEAD + b"\0\0\x04\x01\n\x01a",
    "chunks without an end": b"\x02" + HEAD + b"\0\x01a",
    "fields without an end": b"\x02" + HEAD + b"\x01a\x01b",
    "a body of 2^62 - 1": b"\0" + HEAD + b"\0\xff\xff\xff\xff\xff\xff\xff\xff",
}


@pytest.mark.parametrize("data", BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_a_request_with_one_defect_is_refused(data: bytes) -> None:
    assert not is_read(data)


def test_the_same_request_without_a_defect_is_read() -> None:
    """Otherwise the test above could pass because its requests share another defect."""
    assert is_read(b"\0" + HEAD)
    assert is_read(b"\0" + HEAD + b"\x06\x01a\x03b c")
    assert is_read(b"\x02" + HEAD + b"\x01a\x01b\0\x01a\0")


@pytest.mark.parametrize("status", [0, 99, 101, 600, 1000])
def test_a_status_that_no_message_has_is_refused(status: int) -> None:
    with pytest.raises(MalformedError):
        decode_response(b"\x01" + encode_integer(status) + b"\0\0", LIMITS)


def line(number: int, size: int = 1) -> tuple[bytes, bytes]:
    return b"f%d" % number, b"v" * size


OVER = {
    "fields": HttpRequest(b"GET", b"https", b"a", b"/", tuple(map(line, range(5)))),
    "head by one value": HttpRequest(b"GET", b"https", b"a", b"/", (line(0, 512),)),
    "head by control data": HttpRequest(b"GET", b"https", b"a", b"/" + b"p" * 512),
    "body": HttpRequest(b"GET", b"https", b"a", b"/", (), bytes(257)),
}


@pytest.mark.parametrize("request_", OVER.values(), ids=OVER.keys())
def test_what_is_above_a_limit_is_neither_written_nor_read_in_either_form(request_: HttpRequest) -> None:
    control = b"".join(
        map(encode_prefixed, (request_.method, request_.scheme, request_.authority, request_.path))
    )

    with pytest.raises(MalformedError):
        check_message(request_, LIMITS)
    assert not is_read(encode_request(request_))
    assert not is_read(indeterminate(control, request_.fields, [request_.body], 2))


def test_a_change_of_protocols_is_refused_even_before_a_final_response() -> None:
    with pytest.raises(MalformedError, match="status"):
        decode_response(b"\x01\x40\x65\0\x40\xc8", LIMITS)


def test_chunks_count_together() -> None:
    assert is_read(indeterminate(HEAD, (), [bytes(128), bytes(128)], 2))
    assert not is_read(indeterminate(HEAD, (), [bytes(128), bytes(129)], 2))


def test_informational_responses_are_counted_too() -> None:
    """An endless row of them would otherwise cost a second of CPU time for each megabyte."""
    hints = b"\x40\x67\0"

    assert 200 == decode_response(b"\x01" + hints * 3 + b"\x40\xc8", LIMITS).status
    with pytest.raises(MalformedError, match="head"):
        decode_response(b"\x01" + hints * 200 + b"\x40\xc8", LIMITS)


def test_fields_of_all_sections_count_together() -> None:
    section = b"\x08" + b"\x01a\x01b" * 2
    trailers = section

    assert is_read(b"\0" + HEAD + section + b"\0" + trailers)
    assert not is_read(b"\0" + HEAD + section + b"\0" + b"\x0c" + b"\x01a\x01b" * 3)


def test_chunks_are_counted() -> None:
    limits = Limits(body_bytes=2 * MAX_CHUNKS)

    assert decode_request(indeterminate(HEAD, (), [b"a"] * MAX_CHUNKS, 2), limits).body
    with pytest.raises(MalformedError, match="chunks"):
        decode_request(indeterminate(HEAD, (), [b"a"] * (MAX_CHUNKS + 1), 2), limits)


def test_upper_case_names_become_lower_case() -> None:
    (field,) = decode_request(b"\0" + HEAD + b"\x04\x01A\x01B", LIMITS).fields

    assert (b"a", b"B") == field


def test_no_message_shows_itself() -> None:
    secret = HttpRequest(b"GET", b"https", b"secret.example", b"/secret", (), b"secret")

    assert "secret" not in repr(secret) + repr(HttpResponse(200, (), b"secret"))
