"""The packets of a stream are read exactly as they are written, and nothing else is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.errors import MalformedError
from onionpath.service.stream import ReplyFlags, RequestFlags, StreamReply, StreamRequest

TOKEN = bytes(range(16))
OPEN, END, CLOSE = RequestFlags.OPEN, RequestFlags.END, RequestFlags.CLOSE

offsets = st.integers(0, 2**62)
counts = st.integers(0, 2**32 - 1)


@st.composite
def requests(draw: st.DrawFn) -> StreamRequest:
    opens = draw(st.booleans())
    low, high = sorted((draw(offsets), draw(offsets)))
    least, most = sorted((draw(counts), draw(counts)))
    return StreamRequest(
        token=draw(st.binary(min_size=16, max_size=16)),
        flags=(OPEN if opens else RequestFlags.NONE) | draw(st.sampled_from([RequestFlags.NONE, END])),
        host=draw(st.binary(min_size=1, max_size=253)) if opens else b"",
        port=draw(st.integers(1, 65535)) if opens else 0,
        upstream_offset=draw(offsets),
        data=draw(st.binary(max_size=300)),
        read_at=high,
        acknowledged=low,
        at_least=least,
        at_most=most,
        wait_ms=draw(counts),
    )


@given(requests())
def test_a_request_is_read_as_it_was_written(request: StreamRequest) -> None:
    assert request == StreamRequest.decode(request.encode())


@given(offsets, offsets, st.binary(max_size=300), st.sampled_from(list(ReplyFlags)))
def test_a_reply_is_read_as_it_was_written(up: int, down: int, data: bytes, flags: ReplyFlags) -> None:
    reply = StreamReply(up, down, data, flags)
    assert reply == StreamReply.decode(reply.encode())


@given(st.one_of(st.binary(max_size=100), requests().map(StreamRequest.encode)), st.data())
def test_whatever_is_read_is_written_back_to_the_same_bytes(body: bytes, data: st.DataObject) -> None:
    if body:
        at = data.draw(st.integers(0, len(body) - 1))
        body = body[:at] + data.draw(st.binary(min_size=1, max_size=1)) + body[at + 1 :]
    for form in (StreamRequest, StreamReply):
        try:
            read = form.decode(body)
        except MalformedError:
            continue
        assert body == read.encode()


def test_the_layouts_are_those_of_the_specification() -> None:
    request = StreamRequest(TOKEN, OPEN | END, b"ab", 443, 1, b"xyz", 3, 2, 4, 5, 6)
    head = "0300 01bb" + TOKEN.hex() + "0000000000000001 0000000000000003 0000000000000002"
    rest = "00000004 00000005 00000006 0002 0000 00000003"
    assert bytes.fromhex(head + rest) + b"abxyz" == request.encode()

    reply = StreamReply(7, 8, b"xyz", ReplyFlags.END)
    assert bytes.fromhex("01000000 0000000000000007 0000000000000008 00000003") + b"xyz" == reply.encode()


@pytest.mark.parametrize("at", [1, 58, 59])
def test_a_zero_of_a_request_is_checked(at: int) -> None:
    body = bytearray(StreamRequest(TOKEN).encode())
    body[at] = 1
    with pytest.raises(MalformedError):
        StreamRequest.decode(bytes(body))


@pytest.mark.parametrize(
    "change", [lambda body: body + b"\0", lambda body: body[:-1], lambda body: b"\x08" + body[1:]]
)
def test_a_request_of_another_length_or_with_unknown_flags_is_refused(change) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(MalformedError):
        StreamRequest.decode(change(StreamRequest(TOKEN, data=b"x").encode()))


@pytest.mark.parametrize(
    "fields",
    [
        {"flags": OPEN},
        {"flags": OPEN, "host": b"a"},
        {"flags": OPEN, "host": b"a" * 254, "port": 1},
        {"host": b"a"},
        {"port": 1},
        {"acknowledged": 1},
        {"at_least": 2, "at_most": 1},
        {"read_at": 2**63},
        {"upstream_offset": 2**63 - 1, "data": b"x"},
        {"flags": CLOSE, "data": b"x"},
        {"flags": CLOSE | END},
        {"flags": CLOSE, "read_at": 1},
        {"flags": CLOSE, "at_most": 1},
    ],
)
def test_a_request_that_contradicts_itself_cannot_be_made(fields: dict[str, object]) -> None:
    with pytest.raises(MalformedError):
        StreamRequest(TOKEN, **fields)  # type: ignore[arg-type]


def test_a_reply_cannot_end_and_break() -> None:
    with pytest.raises(MalformedError):
        StreamReply.decode(bytes([3]) + bytes(23))
