from __future__ import annotations

import pytest

from onionpath.injected import UnixTime
from simulations.virtual.chance import stream
from simulations.virtual.clocks import MachineClock
from simulations.virtual.heap import EventHeap, Process, Promise


def heap() -> EventHeap:
    return EventHeap(UnixTime(1000.0))


def test_events_of_one_instant_happen_in_the_order_of_their_scheduling() -> None:
    time, seen = heap(), list[str]()
    for name in "abc":
        time.at(1001.0, seen.append, name)
    time.at(1000.5, seen.append, "early")

    time.run_until(1001.0)

    assert ["early", "a", "b", "c"] == seen
    assert 1001.0 == time.now


def test_a_cancelled_event_does_not_happen() -> None:
    time, seen = heap(), list[str]()
    time.after(1.0, seen.append, "never").cancel()

    time.run_until(1002.0)

    assert [] == seen


def test_time_never_goes_back_for_an_event_that_is_scheduled_too_late() -> None:
    time, seen = heap(), list[float]()
    time.at(5.0, lambda: seen.append(time.now))

    time.run_until(1001.0)

    assert [1000.0] == seen


def test_a_coroutine_sleeps_in_virtual_time() -> None:
    time, seen = heap(), list[float]()

    async def sleeper() -> None:
        for _ in range(2):
            await time.sleep(10.0)
            seen.append(time.now)

    time.spawn(sleeper())
    time.run_until(1100.0)

    assert [1010.0, 1020.0] == seen


def test_a_deadline_cancels_what_it_waits_for_and_runs_its_finally() -> None:
    time, seen = heap(), list[str]()

    async def slow() -> None:
        try:
            await time.sleep(10.0)
            seen.append("too late")
        finally:
            seen.append(f"ended at {time.now}")

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            await time.within(3.0, slow())
        seen.append("given up")

    time.spawn(impatient())
    time.run_until(1100.0)

    assert ["ended at 1003.0", "given up"] == seen


def test_a_deadline_that_is_kept_gives_the_value_and_raises_the_error() -> None:
    time, seen = heap(), list[object]()

    async def value() -> int:
        await time.sleep(1.0)
        return 7

    async def error() -> int:
        await time.sleep(1.0)
        raise KeyError("x")

    async def caller() -> None:
        seen.append(await time.within(3.0, value()))
        with pytest.raises(KeyError):
            await time.within(3.0, error())
        seen.append("raised")

    time.spawn(caller())
    time.run_until(1100.0)

    assert [7, "raised"] == seen


def test_a_promise_counts_its_first_settling_only() -> None:
    time, seen = heap(), list[int]()
    promise: Promise[int] = Promise(time)

    async def waiter() -> None:
        seen.append(await promise)

    time.spawn(waiter())
    promise.keep(1)
    promise.keep(2)
    promise.break_off(TimeoutError())
    time.run_until(1001.0)

    assert [1] == seen


def test_an_error_of_a_task_ends_the_simulation_loudly() -> None:
    time = heap()

    async def bug() -> None:
        await time.sleep(1.0)
        raise ZeroDivisionError

    time.spawn(bug())
    with pytest.raises(ZeroDivisionError):
        time.run_until(1002.0)


def test_streams_of_chance_depend_on_seed_and_every_name_and_on_nothing_else() -> None:
    def first(seed: int, *names: str) -> float:
        return stream(seed, *names).random()

    assert first(7, "latency", "a") == first(7, "latency", "a")
    different = {first(7, "latency", "a"), first(8, "latency", "a"), first(7, "latency", "b"),
                 first(7, "latencya"), first(7, "latenc", "ya")}  # fmt: skip
    assert 5 == len(different)


def test_a_clock_that_is_set_back_stands_by_the_monotonic_one_until_the_process_restarts() -> None:
    """As the programs' clock does; otherwise a replay window could be opened again by setting the time."""
    time = heap()
    machine = MachineClock(time)
    steady = machine.steady()
    time.run_until(1010.0)

    machine.skew_s = -100.0

    assert 1010.0 == steady.now()
    assert 910.0 == machine.steady().now()
    machine.skew_s = 50.0
    assert 1060.0 == steady.now()


def test_a_drifting_clock_gains_by_its_rate_and_does_not_jump_when_the_rate_changes() -> None:
    time = heap()
    machine = MachineClock(time, drift=0.01)
    time.run_until(1100.0)
    assert pytest.approx(1101.0) == machine.wall()

    machine.set_drift(0.0)
    time.run_until(1200.0)

    assert pytest.approx(1201.0) == machine.wall()
    assert pytest.approx(201.0) == machine.monotonic()


def test_a_paused_process_does_nothing_and_then_everything_in_its_order() -> None:
    heap = EventHeap(UnixTime(0.0))
    process = Process(heap)
    done: list[tuple[float, str]] = []
    for time, name in ((1.0, "before"), (2.0, "first"), (3.0, "second"), (5.0, "after")):
        process.at(time, lambda name=name: done.append((heap.now, name)))
    heap.at(1.5, process.pause)
    heap.at(4.0, process.resume)

    heap.run_until(10.0)

    assert [(1.0, "before"), (4.0, "first"), (4.0, "second"), (5.0, "after")] == done


def test_an_event_that_is_cancelled_during_a_pause_does_not_happen() -> None:
    heap = EventHeap(UnixTime(0.0))
    process = Process(heap)
    done: list[float] = []
    timer = process.at(1.0, lambda: done.append(heap.now))
    process.pause()
    heap.run_until(2.0)
    timer.cancel()
    process.resume()
    heap.run_until(3.0)

    assert [] == done


def test_a_process_whose_clock_runs_fast_waits_for_less_than_true_time() -> None:
    heap = EventHeap(UnixTime(100.0))
    process = Process(heap, rate=lambda: 1.25)
    done: list[float] = []

    process.after(10.0, lambda: done.append(heap.now))
    heap.run_until(200.0)

    assert [108.0] == done
