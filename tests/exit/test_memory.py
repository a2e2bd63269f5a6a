"""The streams' common memory: nobody is woken for nothing, and nobody is forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from relay.exit.memory import Account, Budget


class Steps(trio.abc.Instrument):
    """Counts how often any task runs."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1

    async def of_others(self) -> int:
        """Steps of other tasks until all of them wait again."""
        trio.lowlevel.add_instrument(self)
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.remove_instrument(self)
        return self.count - 1


@asynccontextmanager
async def waiting(budget: Budget, count: int, *, wanted: int) -> AsyncIterator[list[int]]:
    """That many accounts without a floor which wait for bytes; gives what they got, and cancels them at the end."""
    got: list[int] = []

    async def wait() -> None:
        got.append(await Account(budget, 0).hold_some(wanted))

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        yield got
        nursery.cancel_scope.cancel()


async def test_bytes_that_come_back_wake_only_as_many_streams_as_get_some() -> None:
    """With a thousand waiting, every call that frees a byte would otherwise run a thousand tasks."""
    budget = Budget(1000)
    holder = Account(budget, 16)
    assert holder.hold_all(1016)
    async with waiting(budget, 300, wanted=10) as got:
        holder.free(10)
        assert 1 == await Steps().of_others()
        assert [10] == got
        holder.free(25)
        assert 3 == await Steps().of_others()
        assert [10, 10, 10, 5] == got


async def test_bytes_of_a_streams_own_floor_wake_no_other_stream() -> None:
    budget = Budget(0)
    holder = Account(budget, 16)
    assert holder.hold_all(16)
    async with waiting(budget, 300, wanted=1) as got:
        holder.free(0)
        holder.free(16)
        assert 0 == await Steps().of_others()
        assert [] == got


async def test_a_stream_that_waits_goes_on_when_its_own_floor_is_free_again() -> None:
    account = Account(Budget(0), 16)
    assert account.hold_all(16)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(account.hold_some, 5)
        await trio.testing.wait_all_tasks_blocked()
        account.free(16)
    assert 5 == account.held


async def test_a_stream_that_is_cancelled_while_it_is_woken_leaves_its_turn_to_the_next() -> None:
    budget, cancelled = Budget(10), trio.CancelScope()
    holder = Account(budget, 0)
    assert holder.hold_all(10)

    async def wait() -> None:
        with cancelled:
            await Account(budget, 0).hold_some(10)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        async with waiting(budget, 1, wanted=10) as got:
            cancelled.cancel()
            holder.free(10)
            await trio.testing.wait_all_tasks_blocked()
            assert [10] == got


def test_all_or_nothing_takes_nothing_when_it_cannot_take_all() -> None:
    account = Account(Budget(10), 5)
    assert not account.hold_all(16)
    assert 0 == account.held
    assert account.hold_all(15)
