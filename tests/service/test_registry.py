"""Every call gets an answer, and nothing but cancellation is raised."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import trio
import trio.testing

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.onion.statuses import Reason
from onionpath.service.call_memory import CallMemory
from onionpath.service.calls import Call, Limits, Reply
from onionpath.service.echo import EchoService
from onionpath.service.registry import Registry

CALL = Call(1, b"hello", bytes(16), 100, 1, UnixTime(0.0))


class Told:
    """A service that answers with what it is told to do."""

    def __init__(self, answer: Callable[[], Awaitable[Reply]], limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._answer = answer

    async def answer(self, call: Call) -> Reply:
        return await self._answer()


async def with_deadline(answer: Callable[[], Awaitable[Reply]], timeout_s: float) -> Reply | None:
    with trio.move_on_after(timeout_s):
        return await answer()
    return None


async def ask(
    registry: Registry, call: Call = CALL, *, from_client: bool = False, last_depth: bool = True
) -> Reply:
    return await registry.answer(call, from_client=from_client, last_depth=last_depth)


async def fine() -> Reply:
    return Reply(b"fine")


async def broken() -> Reply:
    raise KeyError("a bug")


async def test_echo_answers_everywhere_with_the_same_bytes() -> None:
    registry = Registry({1: EchoService()}, with_deadline)

    assert Reply(b"hello") == await ask(registry)
    assert Reply(b"hello") == await ask(registry, from_client=True, last_depth=False)
    assert Reply.refused(Reason.BAD_CALL) == await ask(registry, replace(CALL, reply_capacity=4))


async def test_an_unknown_service_and_a_wrong_depth_are_refused() -> None:
    registry = Registry({1: Told(fine)}, with_deadline)

    assert Reply.refused(Reason.SERVICE_UNKNOWN) == await ask(registry, replace(CALL, service=9))
    assert Reply.refused(Reason.WRONG_DEPTH) == await ask(registry, from_client=True)
    assert Reply.refused(Reason.WRONG_DEPTH) == await ask(registry, last_depth=False)
    assert Reply(b"fine") == await ask(registry)


async def test_a_service_that_was_made_later_is_answered_as_the_others_are() -> None:
    registry = Registry({}, with_deadline)
    registry.offer(1, Told(fine))

    assert Reply(b"fine") == await ask(registry)


async def test_a_bug_costs_its_caller_an_answer_and_is_counted_by_name() -> None:
    registry = Registry({1: Told(broken)}, with_deadline)

    assert Reply.refused(Reason.SERVICE_FAILED) == await ask(registry)
    assert ({"KeyError": 1}, {1: 0}) == (registry.statistics().failed, registry.statistics().running)


async def test_a_reply_that_does_not_fit_is_a_bug() -> None:
    registry = Registry({1: Told(fine)}, with_deadline)

    assert Reply.refused(Reason.SERVICE_FAILED) == await ask(registry, replace(CALL, reply_capacity=3))


async def test_more_calls_than_a_service_takes_are_refused_as_busy() -> None:
    go_on = trio.Event()

    async def wait() -> Reply:
        await go_on.wait()
        return Reply()

    registry = Registry({1: Told(wait, Limits(concurrent=1))}, with_deadline)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, registry)
        await trio.testing.wait_all_tasks_blocked()
        assert Reply.refused(Reason.SERVICE_BUSY) == await ask(registry)
        go_on.set()
    assert Reply() == await ask(registry)


def test_a_call_that_takes_too_long_is_cancelled() -> None:
    async def main() -> None:
        registry = Registry({1: Told(never, Limits(timeout_s=3))}, with_deadline)
        assert Reply.refused(Reason.SERVICE_TIMED_OUT) == await ask(registry)
        assert (3.0, {1: 0}) == (trio.current_time() - began, registry.statistics().running)

    async def never() -> Reply:
        await trio.sleep_forever()
        raise AssertionError

    clock = trio.testing.MockClock(autojump_threshold=0)
    began = clock.current_time()
    trio.run(main, clock=clock)


async def test_a_service_for_relays_only_answers_those_that_ask_for_themselves_and_nobody_else() -> None:
    registry = Registry({1: Told(fine, Limits(relays_only=True))}, with_deadline)
    of_a_relay = replace(CALL, peer=RelayId(bytes(32)))

    assert Reply(b"fine") == await ask(registry, of_a_relay, last_depth=False)
    # A client, by itself or through a relay that is the first or the last of an onion.
    for from_client in (True, False):
        for last_depth in (True, False):
            refused = await ask(registry, from_client=from_client, last_depth=last_depth)
            assert Reply.refused(Reason.WRONG_DEPTH) == refused


async def test_calls_of_relays_that_ask_for_themselves_have_no_key_to_tell_a_repetition_by() -> None:
    memory = CallMemory(lambda: UnixTime(0.0), slot_s=300)
    registry = Registry({1: EchoService(Limits(relays_only=True))}, with_deadline, memory=memory)
    call = replace(CALL, peer=RelayId(bytes(32)))

    for body in (b"one", b"two"):
        assert Reply(body) == await ask(registry, replace(call, body=body), last_depth=False)


async def test_a_service_for_the_end_of_onions_is_refused_to_relays_that_ask_for_themselves() -> None:
    registry = Registry({1: Told(fine)}, with_deadline)

    refused = await ask(registry, replace(CALL, peer=RelayId(bytes(32))), last_depth=False)

    assert Reply.refused(Reason.WRONG_DEPTH) == refused
