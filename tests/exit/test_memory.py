"""The streams' common memory: nobody is woken for nothing, and nobody is forgotten."""

from __future__ import annotations

from collections.abc import Callable

from relay.exit.memory import Account, Budget


class Line:
    """Accounts without a floor that wait for bytes; those that were woken look again in ``turn``."""

    def __init__(self, budget: Budget, count: int, *, wanted: int) -> None:
        self.got: list[int] = []
        self._wanted = wanted
        self._woken: list[int] = []
        self._accounts = [Account(budget, 0, link=1, woken=self._waker(number)) for number in range(count)]
        for account in self._accounts:
            assert 0 == account.hold_in_turn(wanted)

    def _waker(self, number: int) -> Callable[[], None]:
        return lambda: self._woken.append(number)

    def turn(self) -> int:
        """Let everybody who was woken look again, and those whom they wake; says how many that were."""
        turns = 0
        while self._woken:
            turns += 1
            granted = self._accounts[self._woken.pop(0)].hold_in_turn(self._wanted)
            if granted:
                self.got.append(granted)
        return turns

    def leave(self, number: int) -> None:
        """One of them waits no more."""
        self._woken = [each for each in self._woken if each != number]
        self._accounts[number].leave()


def test_bytes_that_come_back_wake_only_as_many_streams_as_get_some() -> None:
    """With a thousand waiting, every call that frees a byte would otherwise run a thousand tasks."""
    budget = Budget(2000)
    holder = Account(budget, 16, link=1)
    assert holder.hold_all(1016)
    line = Line(budget, 300, wanted=10)

    holder.free(10)
    assert (1, [10]) == (line.turn(), line.got)
    holder.free(25)
    assert (3, [10, 10, 10, 5]) == (line.turn(), line.got)


def test_bytes_of_a_streams_own_floor_wake_no_other_stream() -> None:
    budget = Budget(0)
    holder = Account(budget, 16, link=1)
    assert holder.hold_all(16)
    line = Line(budget, 300, wanted=1)

    holder.free(0)
    holder.free(16)

    assert (0, []) == (line.turn(), line.got)


def test_a_stream_that_waits_is_woken_when_its_own_floor_is_free_again() -> None:
    woken: list[bool] = []
    account = Account(Budget(0), 16, link=1, woken=lambda: woken.append(True))
    assert account.hold_all(16)
    assert 0 == account.hold_in_turn(5)

    account.free(16)

    assert ([True], 5) == (woken, account.hold_in_turn(5))


def test_a_stream_that_leaves_after_it_was_woken_leaves_its_turn_to_the_next() -> None:
    budget = Budget(20)
    holder = Account(budget, 0, link=1)
    assert holder.hold_all(10)
    line = Line(budget, 2, wanted=10)

    holder.free(10)
    line.leave(0)

    assert (1, [10]) == (line.turn(), line.got)


def test_all_or_nothing_takes_nothing_when_it_cannot_take_all() -> None:
    account = Account(Budget(20), 5, link=1)
    assert not account.hold_all(16)
    assert 0 == account.held
    assert account.hold_all(15)


def test_no_link_takes_more_than_it_leaves_so_that_there_is_some_for_each_that_comes() -> None:
    budget = Budget(1600)
    several = [Account(budget, 0, link=1) for _ in range(4)]
    assert [800, 0, 0, 0] == [account.hold(1600) for account in several]
    assert [400, 200, 100] == [Account(budget, 0, link=link).hold(1600) for link in (2, 3, 4)]


def test_what_comes_back_goes_first_to_the_link_that_holds_least() -> None:
    budget, got = Budget(1600), list[str]()
    holder = Account(budget, 0, link=1)
    assert holder.hold_all(800)
    greedy = Account(budget, 0, link=2, woken=lambda: got.append("greedy"))
    modest = Account(budget, 0, link=3, woken=lambda: got.append("modest"))
    assert (400, 200) == (greedy.hold(1600), modest.hold(1600))
    # Links that together leave nothing, as many small ones do.
    assert Account(budget, 0, link=4).hold_all(100)
    assert (0, 0) == (greedy.hold_in_turn(1), modest.hold_in_turn(1))

    holder.free(800)

    assert ["modest"] == got
    assert 350 == modest.hold_in_turn(1600)
    assert ["modest", "greedy"] == got
    assert 75 == greedy.hold_in_turn(1600)
