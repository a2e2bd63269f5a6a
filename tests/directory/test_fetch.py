"""Fetching from honest relays and from relays that lie; the service here is the real one."""

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.tags import digest
from onionpath.directory.descriptor import sign_descriptor
from onionpath.directory.directory import Directory, encode_parts
from onionpath.directory.document import MAX_DOCUMENT_SIZE
from onionpath.errors import (
    DirectoryError,
    MalformedError,
    MissingDirectoryError,
    OnionPathError,
    RefusedError,
    RollbackError,
    SignatureThresholdError,
    StaleDirectoryError,
    UsageError,
)
from onionpath.injected import UnixTime
from onionpath.onion.statuses import Reason, ReplyStatus
from onionpath.service.calls import Call, Reply
from onionpath.service.directory import MAX_UNFINISHED, Collector, DirectoryService, Publication
from onionpath.service.directory_fetch import MAX_CALLS, DirectoryFetch
from onionpath.service.directory_wire import (
    DescriptorsCall,
    DirectoryReply,
    DocumentCall,
    Outcome,
    PublishCall,
    SuccessionsCall,
    check_published,
    decode_call,
    decode_reply,
    publish_calls,
)
from tests.directory.networks import NOW, PERIOD_S, descriptor, identity, network

GOOD = network([descriptor(name) for name in range(70)])  # more than one batch
CAPACITY = 8_032
LATER = UnixTime(NOW + PERIOD_S)


def call(body: bytes, *, capacity: int = CAPACITY, caller: int = 1) -> Call:
    return Call(2, body, bytes(16), capacity, caller, UnixTime(NOW + 10))


def serving(directory: Directory | None) -> DirectoryService:
    service = DirectoryService()
    if directory is not None:
        service.replace(Publication.of(directory))
    return service


async def fetch(
    service: DirectoryService, fetching: DirectoryFetch, *, now: float = NOW, capacity: int = CAPACITY
) -> Directory:
    while True:
        reply = await service.answer(call(fetching.next_call(), capacity=capacity))
        assert reply.status is ReplyStatus.ANSWERED
        assert len(reply.body) <= capacity
        directory = fetching.take(reply.body, now=UnixTime(now))
        if directory is not None:
            return directory


@pytest.mark.parametrize("capacity", [1_044, 8_032, 130_912])
async def test_a_fetch_ends_with_the_directory_whatever_the_capacity(capacity: int) -> None:
    small = network()

    assert small.directory() == await fetch(
        serving(small.directory()), DirectoryFetch(small.root), capacity=capacity
    )


async def test_more_relays_than_one_call_can_name_are_fetched_in_batches() -> None:
    assert GOOD.directory() == await fetch(serving(GOOD.directory()), DirectoryFetch(GOOD.root))


async def test_an_unchanged_document_costs_one_short_reply() -> None:
    known = GOOD.directory()
    fetching = DirectoryFetch(GOOD.root, known=known)

    reply = await serving(known).answer(call(fetching.next_call()))

    assert 20 == len(reply.body)
    assert known is fetching.take(reply.body, now=NOW)


async def test_only_changed_descriptors_are_fetched_again() -> None:
    relays = [descriptor(name) for name in range(69)]
    newer = network([*relays, descriptor(69, version="9")], number=GOOD.document.number + 1)
    fetching = DirectoryFetch(GOOD.root, known=GOOD.directory())
    service = serving(newer.directory())
    asked = 0
    directory = None
    while directory is None:
        body = fetching.next_call()
        match decode_call(body):
            case DescriptorsCall(digests):
                asked = len(digests)
        directory = fetching.take((await service.answer(call(body))).body, now=LATER)

    assert 1 == asked
    assert newer.directory() == directory


async def test_a_relay_that_always_says_unchanged_cannot_hold_us_past_expiry() -> None:
    """The freeze attack."""
    known = GOOD.directory()

    with pytest.raises(StaleDirectoryError):
        await fetch(
            serving(known), DirectoryFetch(GOOD.root, known=known), now=known.document.valid_until + 31
        )


async def test_a_relay_that_serves_last_weeks_document_is_refused() -> None:
    with pytest.raises(StaleDirectoryError):
        await fetch(serving(GOOD.directory()), DirectoryFetch(GOOD.root), now=NOW + 7 * 86_400)


async def test_a_relay_that_serves_an_older_document_than_one_seen_is_refused() -> None:
    seen = replace(GOOD.directory().seen, number=GOOD.document.number + 1)

    with pytest.raises(RollbackError):
        await fetch(serving(GOOD.directory()), DirectoryFetch(GOOD.root, seen=seen))


async def test_a_relay_without_a_document_says_so() -> None:
    with pytest.raises(MissingDirectoryError):
        await fetch(serving(None), DirectoryFetch(GOOD.root))


async def test_a_document_that_changes_during_the_fetch_is_fetched_anew() -> None:
    newer = network([descriptor(name) for name in range(70)], number=GOOD.document.number + 1)
    service = serving(GOOD.directory())
    fetching = DirectoryFetch(GOOD.root)
    fetching.take((await service.answer(call(fetching.next_call()))).body, now=LATER)

    service.replace(Publication.of(newer.directory(), before=GOOD.directory()))

    assert newer.directory() == await fetch(service, fetching, now=LATER)


async def test_descriptors_stay_available_while_the_document_changes() -> None:
    newer = network(number=GOOD.document.number + 1)
    service = serving(GOOD.directory())
    fetching = DirectoryFetch(GOOD.root)
    while not isinstance(decode_call(fetching.next_call()), DescriptorsCall):
        fetching.take((await service.answer(call(fetching.next_call()))).body, now=NOW)

    service.replace(Publication.of(newer.directory(), before=GOOD.directory()))

    assert GOOD.directory() == await fetch(service, fetching)


def content(total: int, offset: int = 0, number: int = 0, part: bytes = b"") -> bytes:
    return DirectoryReply(Outcome.CONTENT, total, offset, number, part).encode()


def test_a_document_longer_than_the_limit_is_refused_at_its_first_part() -> None:
    with pytest.raises(MalformedError, match="longer than"):
        DirectoryFetch(GOOD.root).take(content(MAX_DOCUMENT_SIZE + 1, part=bytes(5_000)), now=NOW)


def test_endless_data_ends_at_the_announced_length() -> None:
    with pytest.raises(MalformedError, match="contradicts"):
        DirectoryFetch(GOOD.root).take(content(100, part=bytes(101)), now=NOW)


def test_one_byte_at_a_time_is_refused() -> None:
    with pytest.raises(MalformedError, match="progress"):
        DirectoryFetch(GOOD.root).take(content(10_000, part=b"x"), now=NOW)


def test_an_empty_part_is_refused() -> None:
    for total in (0, 10):
        with pytest.raises(MalformedError, match="progress"):
            DirectoryFetch(GOOD.root).take(content(total), now=NOW)


def test_a_part_at_another_offset_than_asked_is_refused() -> None:
    with pytest.raises(MalformedError, match="asked for"):
        DirectoryFetch(GOOD.root).take(content(10_000, 5_000, part=bytes(5_000)), now=NOW)


def test_a_relay_whose_document_keeps_changing_is_given_up() -> None:
    fetching = DirectoryFetch(GOOD.root)

    def alternate() -> None:
        for number in range(20):
            fetching.take(content(10_000, 0, number + 1, bytes(2_000)), now=NOW)

    with pytest.raises(MalformedError, match="faster"):
        alternate()


def test_a_fetch_ends_after_a_bounded_number_of_calls() -> None:
    fetching = DirectoryFetch(GOOD.root)
    total = 4 * 1024 * 1024
    for step in range(MAX_CALLS):
        fetching.take(content(total, step * 1024, 1, bytes(1024)), now=NOW)

    with pytest.raises(MalformedError, match="calls"):
        fetching.next_call()


def test_a_document_with_a_wrong_signature_is_refused() -> None:
    forged = network(keys=[identity("stranger")]).envelope
    fetching = DirectoryFetch(GOOD.root)
    fetching.take(content(len(forged), part=forged), now=NOW)

    # Other authorities may have succeeded the ones that we know; the relay knows of none.
    assert SuccessionsCall(version=1) == decode_call(fetching.next_call())
    with pytest.raises(SignatureThresholdError):
        fetching.take(DirectoryReply(Outcome.UNCHANGED).encode(), now=NOW)


def at_descriptors() -> tuple[DirectoryFetch, int]:
    """A fetch that has the document of a network of five, and how many descriptors it asks for."""
    small = network()
    fetching = DirectoryFetch(small.root)
    fetching.take(content(len(small.envelope), part=small.envelope), now=NOW)
    return fetching, 5


def test_a_descriptor_that_was_not_asked_for_is_refused() -> None:
    fetching, count = at_descriptors()
    other = sign_descriptor(descriptor(99), identity(99))
    answer = encode_parts([other, *[b""] * (count - 1)])

    with pytest.raises(MalformedError, match="not asked for"):
        fetching.take(content(len(answer), part=answer), now=NOW)


def test_fewer_descriptors_than_asked_for_are_refused() -> None:
    fetching, count = at_descriptors()
    answer = encode_parts([b""] * (count - 1))

    with pytest.raises(MalformedError, match="another number"):
        fetching.take(content(len(answer), part=answer), now=NOW)


def test_withheld_descriptors_end_in_a_named_error() -> None:
    fetching, count = at_descriptors()
    answer = encode_parts([b""] * count)

    with pytest.raises(DirectoryError, match="0 %"):
        fetching.take(content(len(answer), part=answer), now=NOW)


@pytest.mark.parametrize("outcome", [Outcome.UNCHANGED, Outcome.CHANGED, Outcome.ACCEPTED, Outcome.REFUSED])
def test_an_answer_that_does_not_fit_the_question_is_refused(outcome: Outcome) -> None:
    reply = DirectoryReply(outcome).encode()

    with pytest.raises(MalformedError):
        DirectoryFetch(GOOD.root).take(reply, now=NOW)
    with pytest.raises(MalformedError):
        at_descriptors()[0].take(reply, now=NOW)


async def test_a_fetch_is_used_once() -> None:
    fetching = DirectoryFetch(GOOD.root)
    await fetch(serving(GOOD.directory()), fetching)

    with pytest.raises(UsageError):
        fetching.next_call()


ENVELOPE = sign_descriptor(descriptor(1), identity(1))


def into(collected: list[bytes]) -> Collector:
    return lambda envelope, caller: collected.append(envelope)


async def publish(service: DirectoryService, bodies: list[bytes], *, caller: int = 1) -> None:
    for body in bodies:
        check_published((await service.answer(call(body, caller=caller))).body)


@pytest.mark.parametrize("capacity", [1_000, 4_528, 127_408])
async def test_a_published_descriptor_reaches_the_collector_whole(capacity: int) -> None:
    collected: list[bytes] = []

    await publish(DirectoryService(collector=into(collected)), publish_calls(ENVELOPE, capacity=capacity))

    assert [ENVELOPE] == collected


async def test_a_relay_that_collects_nothing_refuses_descriptors() -> None:
    with pytest.raises(RefusedError):
        await publish(DirectoryService(), publish_calls(ENVELOPE, capacity=127_408))


async def test_a_descriptor_that_the_collector_refuses_is_refused() -> None:
    def refuse(envelope: bytes, caller: int) -> None:
        raise RefusedError("no", reason="no")

    with pytest.raises(RefusedError):
        await publish(DirectoryService(collector=refuse), publish_calls(ENVELOPE, capacity=127_408))


async def test_no_other_link_makes_a_relay_forget_a_descriptor_that_one_is_sending() -> None:
    """64 beginnings over one link once ended everybody's uploads."""
    collected: list[bytes] = []
    service = DirectoryService(collector=into(collected))
    first, *rest = publish_calls(ENVELOPE, capacity=3_000)
    await publish(service, [first], caller=1)
    for caller in range(2, MAX_UNFINISHED):
        for number in range(3):
            begun = PublishCall(bytes([number]) * 32, 16_384, 0, b"x").encode()
            await publish(service, [begun], caller=caller)

    await publish(service, rest, caller=1)

    assert [ENVELOPE] == collected
    assert len(service._unfinished) <= MAX_UNFINISHED


async def test_parts_out_of_order_or_from_another_link_are_refused() -> None:
    collected: list[bytes] = []
    service = DirectoryService(collector=into(collected))
    bodies = publish_calls(ENVELOPE, capacity=3_000)

    with pytest.raises(RefusedError):
        await publish(service, bodies[1:])
    await publish(service, bodies[:1], caller=1)
    with pytest.raises(RefusedError):
        await publish(service, bodies[1:], caller=2)
    assert [] == collected


async def test_a_descriptor_of_another_digest_than_announced_is_refused() -> None:
    collected: list[bytes] = []
    body = PublishCall(digest(b"other"), len(ENVELOPE), 0, ENVELOPE).encode()

    with pytest.raises(RefusedError):
        await publish(DirectoryService(collector=into(collected)), [body])
    assert [] == collected


async def test_unfinished_descriptors_are_bounded_and_the_oldest_is_forgotten() -> None:
    service = DirectoryService(collector=lambda envelope, caller: None)
    bodies = publish_calls(ENVELOPE, capacity=3_000)
    await publish(service, bodies[:1], caller=0)
    for caller in range(1, 1 + MAX_UNFINISHED):
        await publish(service, bodies[:1], caller=caller)

    with pytest.raises(RefusedError):
        await publish(service, bodies[1:], caller=0)
    await publish(service, bodies[1:], caller=MAX_UNFINISHED)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00" * 24,
        DocumentCall().encode()[:-1],
        DocumentCall().encode() + b"\0",
        b"\x01\x01" + DocumentCall().encode()[2:],
        DocumentCall(offset=4_000_000).encode(),
        DocumentCall(known=2**53 + 1).encode(),
        DescriptorsCall(()).encode(),
        DescriptorsCall((bytes(32),) * 65).encode(),
        DescriptorsCall((bytes(32),)).encode()[:-1],
        DescriptorsCall((bytes(32),), offset=4).encode(),
        PublishCall(bytes(32), 5, 0, b"").encode(),
        PublishCall(bytes(32), 5, 3, b"abc").encode(),
        PublishCall(bytes(32), 16_385, 0, b"abc").encode(),
        SuccessionsCall(0).encode(),
        SuccessionsCall(65).encode(),
        SuccessionsCall(1).encode() + b"\0",
    ],
)
async def test_a_bad_call_is_refused_by_value(body: bytes) -> None:
    assert Reply.refused(Reason.BAD_CALL) == await serving(GOOD.directory()).answer(call(body))


async def test_a_reply_without_room_for_a_part_is_refused_by_value() -> None:
    reply = await serving(GOOD.directory()).answer(call(DocumentCall().encode(), capacity=1_043))

    assert Reply.refused(Reason.BAD_CALL) == reply


def test_the_service_may_be_asked_at_every_depth() -> None:
    """Otherwise a client could not fetch its first directory."""
    assert DirectoryService().limits.any_depth


@given(
    st.binary(max_size=120).flatmap(
        lambda data: st.sampled_from([data, b"\x01" + data, b"\x02" + data, b"\x03" + data, b"\x04" + data])
    )
)
def test_arbitrary_calls_raise_nothing_but_our_errors(data: bytes) -> None:
    try:
        decoded = decode_call(data)
    except OnionPathError:
        return
    assert data == decoded.encode()


@given(st.binary(max_size=80), st.integers(0, 9), st.integers(0, 80))
def test_arbitrary_replies_raise_nothing_but_our_errors(part: bytes, outcome: int, total: int) -> None:
    body = struct.pack(">B3xIIQ", outcome, total, 0, 0) + part
    try:
        decoded = decode_reply(body)
    except OnionPathError:
        return
    assert body == decoded.encode()


@given(st.binary(max_size=80))
def test_arbitrary_bytes_as_a_reply_raise_nothing_but_our_errors(data: bytes) -> None:
    try:
        decode_reply(data)
    except OnionPathError:
        return
