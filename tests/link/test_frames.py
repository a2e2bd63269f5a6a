"""Frames: two sizes, one encoding each, and a reader that keeps nothing it doesn't need."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.errors import MalformedError
from onionpath.link.frames import (
    AnswerBody,
    CallBody,
    Frame,
    FrameReader,
    Kind,
    call_capacity,
    decode_answer,
    decode_call,
    encode_answer,
    encode_call,
    encode_frame,
)
from onionpath.onion.geometry import Geometry, SizeClass

SIZES = Geometry(3, 4096, 16384)
SMALL, LARGE = SizeClass.SMALL, SizeClass.LARGE
EMPTY = {Kind.REJECT, Kind.PING, Kind.PONG, Kind.GOING_AWAY, Kind.PADDING}
FIXED = {Kind.CLAIM: 64, Kind.CHALLENGE: 32, Kind.PROOF: 64, **dict.fromkeys(EMPTY, 0)}


def legal_frames() -> list[Frame]:
    """One of each legal (kind, class, depth), its body full of a byte of its own."""
    frames = [Frame(kind, SMALL, 0, 0, 0, 7, b"\1" * size) for kind, size in FIXED.items()]
    for size_class in SizeClass:
        body = SIZES.frame_size(size_class) - 16
        frames += [Frame(kind, size_class, 0, 0, 0, 8, b"\2" * body) for kind in (Kind.CALL, Kind.ANSWER)]
        for depth in range(3):
            request = SIZES.request_layer_size(size_class, depth)
            frames.append(Frame(Kind.REQUEST, size_class, depth, 255, 2**32 - 1, 2**64 - 1, b"\3" * request))
            reply = SIZES.reply_layer_size(size_class, depth)
            frames.append(Frame(Kind.REPLY, size_class, depth, 0, 0, 0, b"\4" * reply))
    return frames


def encoded(frame: Frame) -> bytes:
    return encode_frame(
        SIZES,
        frame.kind,
        frame.body,
        size_class=frame.size_class,
        depth=frame.depth,
        generation=frame.generation,
        slot=frame.slot,
        exchange_id=frame.exchange_id,
    )


def read_all(reader: FrameReader) -> list[Frame]:
    frames = []
    while (frame := reader.next_frame()) is not None:
        frames.append(frame._replace(body=bytes(frame.body)))
    return frames


def header(kind: int, size_class: int = 0, depth: int = 0, generation: int = 0, slot: int = 0) -> bytes:
    return bytes([kind, size_class, depth, generation]) + slot.to_bytes(4, "big") + bytes(8)


def read_one(data: bytes) -> Frame | None:
    reader = FrameReader(SIZES)
    reader.feed(data)
    return reader.next_frame()


@pytest.mark.parametrize(
    "frame", legal_frames(), ids=lambda each: f"{each.kind.name}-{each.size_class}-{each.depth}"
)
def test_every_legal_frame_has_the_size_of_its_class_and_comes_back(frame: Frame) -> None:
    data = encoded(frame)

    assert SIZES.frame_size(frame.size_class) == len(data)
    read = read_one(data)
    assert read is not None
    assert frame == read._replace(body=bytes(read.body))


@given(
    order=st.lists(st.sampled_from(range(len(legal_frames()))), max_size=6),
    sizes=st.lists(st.integers(1, 20_000), max_size=50),
)
def test_frames_come_back_however_the_stream_is_cut(order: list[int], sizes: list[int]) -> None:
    sent = [legal_frames()[each] for each in order]
    stream, reader = b"".join(map(encoded, sent)), FrameReader(SIZES)
    read: list[Frame] = []
    cuts, longest = iter(sizes), 0
    while stream:
        cut = next(cuts, len(stream))
        reader.feed(stream[:cut])
        read += read_all(reader)
        reader.keep()
        longest = max(longest, reader.waiting)
        stream = stream[cut:]

    assert sent == read
    assert 0 == reader.waiting
    assert longest < SIZES.large


def test_a_frame_can_be_put_back_to_come_again() -> None:
    reader = FrameReader(SIZES)
    reader.feed(encoded(legal_frames()[0]) + encoded(legal_frames()[1]))
    before = reader.waiting
    first = reader.next_frame()
    reader.unread(before)

    assert first == reader.next_frame()
    assert legal_frames()[1].kind == reader.next_frame().kind  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", [0, 13, 99, 255])
def test_an_unknown_kind_is_refused(kind: int) -> None:
    with pytest.raises(MalformedError):
        read_one(header(kind))


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("size_class", [2, 255])
def test_an_unknown_class_is_refused(kind: Kind, size_class: int) -> None:
    with pytest.raises(MalformedError):
        read_one(header(kind, size_class))


@pytest.mark.parametrize("kind", list(FIXED))
def test_what_is_short_never_takes_a_large_frame(kind: Kind) -> None:
    with pytest.raises(MalformedError):
        read_one(header(kind, 1))


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("depth", [3, 4, 5, 255])
def test_a_depth_beyond_the_path_is_refused(kind: Kind, depth: int) -> None:
    with pytest.raises(MalformedError):
        read_one(header(kind, 0, depth))


@pytest.mark.parametrize("kind", sorted(set(Kind) - {Kind.REQUEST, Kind.REPLY}))
def test_only_requests_and_replies_have_a_depth(kind: Kind) -> None:
    with pytest.raises(MalformedError):
        read_one(header(kind, 0, 1))


@pytest.mark.parametrize("kind", sorted(set(Kind) - {Kind.REQUEST}))
@pytest.mark.parametrize("stray", [{"generation": 1}, {"slot": 1}], ids=str)
def test_only_requests_have_a_generation_and_a_slot(kind: Kind, stray: dict[str, int]) -> None:
    with pytest.raises(MalformedError):
        read_one(header(kind, **stray))


@pytest.mark.parametrize(
    "frame", legal_frames(), ids=lambda each: f"{each.kind.name}-{each.size_class}-{each.depth}"
)
def test_a_stray_byte_in_the_zeros_is_refused_wherever_it_stands(frame: Frame) -> None:
    """Otherwise two relays could mark packets for each other."""
    data = encoded(frame)
    start = 16 + len(frame.body)
    for place in {start, (start + len(data)) // 2, len(data) - 1} if start < len(data) else ():
        with pytest.raises(MalformedError):
            read_one(data[:place] + b"\1" + data[place + 1 :])


def test_a_bad_header_is_refused_before_its_frame_is_complete() -> None:
    """Nobody can make us wait for 128 KiB of something that we will not take."""
    with pytest.raises(MalformedError):
        read_one(header(99, 1))


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 4095])
def test_an_incomplete_frame_is_waited_for(length: int) -> None:
    assert read_one(encoded(legal_frames()[0])[:length]) is None


def test_a_frame_of_a_large_network_is_padded_and_checked_to_its_end() -> None:
    sizes = Geometry(2, 8192, 1_000_000)
    layer = bytes(sizes.request_layer_size(LARGE, 1))
    data = encode_frame(sizes, Kind.REQUEST, layer, size_class=LARGE, depth=1)
    reader = FrameReader(sizes)
    reader.feed(data)

    assert 1_000_000 == len(data)
    assert reader.next_frame() is not None
    reader.feed(data[:-1] + b"\1")
    with pytest.raises(MalformedError):
        reader.next_frame()


@given(st.integers(0, 65535), st.sampled_from(SizeClass), st.binary(max_size=4072))
def test_calls_come_back(service: int, reply_class: SizeClass, body: bytes) -> None:
    call = CallBody(service, reply_class, body)
    padded = encode_call(call).ljust(4096 - 16, b"\0")

    assert call == decode_call(padded)
    assert call == decode_call(memoryview(padded))


@given(st.integers(0, 255), st.integers(0, 65535), st.binary(max_size=4072))
def test_answers_come_back(status: int, reason: int, body: bytes) -> None:
    answer = AnswerBody(status, reason, body)

    assert answer == decode_answer(encode_answer(answer).ljust(4096 - 16, b"\0"))


def test_the_capacity_of_a_call_is_what_fits_its_frame() -> None:
    capacity = call_capacity(SIZES, SMALL)

    assert 4096 == len(encode_frame(SIZES, Kind.CALL, encode_call(CallBody(1, SMALL, bytes(capacity)))))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        bytes(7),
        bytes.fromhex("0001 02 00 00000000") + bytes(8),
        bytes.fromhex("0001 00 01 00000000") + bytes(8),
        bytes.fromhex("0001 00 00 00000009") + bytes(8),
        bytes.fromhex("0001 00 00 ffffffff") + bytes(8),
        bytes.fromhex("0001 00 00 00000004") + b"bodyX" + bytes(3),
        bytes.fromhex("0001 00 00 00000000") + bytes(7) + b"X",
    ],
)
def test_a_bad_call_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_call(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        bytes(7),
        bytes.fromhex("00 01 0000 00000000") + bytes(8),
        bytes.fromhex("00 00 0000 00000009") + bytes(8),
        bytes.fromhex("00 00 0000 00000004") + b"bodyX" + bytes(3),
    ],
)
def test_a_bad_answer_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_answer(body)
