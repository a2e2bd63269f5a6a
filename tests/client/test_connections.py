"""Which of a client's connections are closed when it has too many."""

from __future__ import annotations

from onionpath.client.connections import MAX_CONNECTIONS, surplus
from onionpath.link.neighbour import Neighbour


def somebody(number: int) -> Neighbour:
    return Neighbour("192.0.2.1", 1 + number, bytes(32))


def test_the_oldest_idle_connection_makes_room_for_the_newest() -> None:
    in_flight = {somebody(number): int(number == 0) for number in range(MAX_CONNECTIONS + 1)}

    assert [somebody(1)] == surplus(in_flight, newest=somebody(MAX_CONNECTIONS))


def test_as_many_as_are_allowed_stay_open() -> None:
    in_flight = {somebody(number): 0 for number in range(MAX_CONNECTIONS)}

    assert [] == surplus(in_flight, newest=somebody(0))


def test_nothing_that_is_in_use_or_was_just_made_is_closed() -> None:
    in_flight = {somebody(number): 1 for number in range(2 * MAX_CONNECTIONS)} | {somebody(99): 0}

    assert [] == surplus(in_flight, newest=somebody(99))
