"""What an exit remembers of calls with effects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.injected import UnixTime
from onionpath.onion.statuses import Reason
from onionpath.service.call_keys import CallKey, new_call_key, repeated_call_key
from onionpath.service.call_memory import REMEMBER_S, CallMemory
from onionpath.service.call_shares import MAX_BYTES, MAX_CALLS
from onionpath.service.calls import Call, Limits, Reply
from onionpath.service.registry import Registry

SLOT_S = 300
START_SLOT = 1_000
KEY = new_call_key(START_SLOT + 2, lambda size: bytes(range(size)))
CALL = Call(7, b"pay", KEY, 100, 1, UnixTime(0.0))
AGAIN = replace(CALL, idempotency_key=repeated_call_key(KEY))
DONE = Reply(b"paid")


class Clock:
    def __init__(self) -> None:
        self.now = UnixTime(float(START_SLOT * SLOT_S))

    def __call__(self) -> UnixTime:
        return self.now


def memory(clock: Clock | None = None) -> CallMemory:
    return CallMemory(clock or Clock(), slot_s=SLOT_S)


def test_a_repetition_gets_the_first_reply() -> None:
    calls = memory()
    assert calls.begin(CALL) is None
    assert Reply.refused(Reason.SERVICE_BUSY) == calls.begin(AGAIN)
    calls.end(CALL, DONE)

    assert DONE == calls.begin(AGAIN)


def test_a_key_with_another_body_is_refused() -> None:
    calls = memory()
    calls.begin(CALL)
    calls.end(CALL, DONE)

    assert Reply.refused(Reason.BAD_CALL) == calls.begin(replace(AGAIN, body=b"pay more"))


@pytest.mark.parametrize(("slots", "runs"), [(-1, False), (0, False), (1, False), (2, True), (3, True)])
def test_a_repetition_that_could_be_of_an_earlier_boot_is_not_carried_out(slots: int, runs: bool) -> None:
    key = repeated_call_key(new_call_key(START_SLOT + slots, bytes))
    reply = memory().begin(replace(CALL, idempotency_key=key))

    assert (None if runs else Reply.refused(Reason.CALL_UNKNOWN)) == reply


def test_a_first_sending_is_carried_out_at_once_after_a_start() -> None:
    key = new_call_key(START_SLOT, bytes)

    assert memory().begin(replace(CALL, idempotency_key=key)) is None


def test_without_room_for_the_reply_nothing_is_carried_out_and_nothing_forgotten() -> None:
    calls = memory()
    calls.begin(CALL)
    calls.end(CALL, DONE)
    other = replace(CALL, idempotency_key=new_call_key(0, bytes), reply_capacity=MAX_BYTES)

    assert Reply.refused(Reason.SERVICE_BUSY) == calls.begin(other)
    assert DONE == calls.begin(AGAIN)


def test_calls_are_forgotten_after_a_quarter_of_an_hour_with_their_bytes() -> None:
    clock = Clock()
    calls = memory(clock)
    calls.begin(CALL)
    calls.end(CALL, DONE)
    clock.now = UnixTime(clock.now + REMEMBER_S)

    other = replace(CALL, idempotency_key=new_call_key(0, bytes), reply_capacity=MAX_BYTES // 2)
    assert calls.begin(other) is None
    assert 1 == len(calls)


def numbered(number: int, *, caller: int, reply_capacity: int = 0) -> Call:
    key = new_call_key(START_SLOT + 2, lambda size: number.to_bytes(size))
    return replace(CALL, idempotency_key=key, caller=caller, reply_capacity=reply_capacity)


def fill(calls: CallMemory, caller: int, *, reply_capacity: int = 0) -> int:
    """How many calls of one caller are taken before the first is refused."""
    for number in range(MAX_CALLS):
        begun = calls.begin(numbered(caller << 32 | number, caller=caller, reply_capacity=reply_capacity))
        if begun is not None:
            assert Reply.refused(Reason.SERVICE_BUSY) == begun
            return number
    return MAX_CALLS


def test_whoever_calls_most_is_refused_first_and_others_are_not() -> None:
    """Otherwise 18 calls a second over one link would deny an exit's calls with effects to everybody."""
    calls = memory()

    assert [MAX_CALLS // 2, MAX_CALLS // 4] == [fill(calls, caller) for caller in (1, 2)]
    assert calls.begin(numbered(0, caller=3)) is None


def test_whoever_takes_most_bytes_is_refused_first_and_others_are_not() -> None:
    calls = memory()
    each = MAX_BYTES // 64

    assert [32, 16] == [fill(calls, caller, reply_capacity=each) for caller in (1, 2)]
    assert calls.begin(numbered(0, caller=3, reply_capacity=each)) is None


def test_what_a_caller_held_is_free_again_when_it_is_forgotten() -> None:
    clock = Clock()
    calls = memory(clock)
    each = MAX_BYTES // 64
    fill(calls, 1, reply_capacity=each)
    clock.now = UnixTime(clock.now + REMEMBER_S)

    assert 32 == fill(calls, 1, reply_capacity=each)


def test_a_short_reply_gives_back_what_was_kept_for_a_long_one() -> None:
    calls = memory()
    long = numbered(0, caller=1, reply_capacity=MAX_BYTES // 2)
    calls.begin(long)
    assert Reply.refused(Reason.SERVICE_BUSY) == calls.begin(numbered(1, caller=1, reply_capacity=1))
    calls.end(long, DONE)

    assert calls.begin(numbered(1, caller=1, reply_capacity=1)) is None


@given(st.integers(0, 2**32 - 1), st.binary(min_size=11, max_size=11))
def test_a_repetition_has_the_name_and_slot_of_the_first(slot: int, chance: bytes) -> None:
    key = new_call_key(slot, lambda size: chance)
    first, second = CallKey.parse(key), CallKey.parse(repeated_call_key(key))

    assert (first.slot, first.name) == (second.slot, second.name)
    assert (slot, False, True) == (first.slot, first.is_repeated, second.is_repeated)


class Counter:
    """A service that must not do it twice."""

    def __init__(self) -> None:
        self.limits = Limits()
        self.done = 0

    async def answer(self, call: Call) -> Reply:
        self.done += 1
        return Reply(b"%d" % self.done)


async def at_once(answer: Callable[[], Awaitable[Reply]], timeout_s: float) -> Reply | None:
    return await answer()


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


async def test_a_registry_carries_a_repeated_call_out_once() -> None:
    service = Counter()
    registry = Registry({7: service}, at_once, memory=memory())
    replies = [
        await registry.answer(call, from_client=False, last_depth=True) for call in (CALL, AGAIN, AGAIN)
    ]

    assert [Reply(b"1")] * 3 == replies
    assert 1 == service.done


async def test_a_registry_without_memory_refuses_repetitions_and_carries_out_first_calls() -> None:
    registry = Registry({7: Counter()}, at_once)

    assert Reply(b"1") == await registry.answer(CALL, from_client=False, last_depth=True)
    assert Reply.refused(Reason.CALL_UNKNOWN) == await registry.answer(
        AGAIN, from_client=False, last_depth=True
    )


async def test_a_service_that_is_called_over_links_without_keys_carries_out_every_call() -> None:
    """Relays publish to an authority by calls that all have a key of zeros."""
    service = Counter()
    service.limits = Limits(any_depth=True)
    registry = Registry({7: service}, at_once, memory=memory())
    calls = [replace(CALL, idempotency_key=bytes(16), body=body) for body in (b"one", b"two")]
    replies = [await registry.answer(call, from_client=True, last_depth=False) for call in calls]

    assert [Reply(b"1"), Reply(b"2")] == replies
