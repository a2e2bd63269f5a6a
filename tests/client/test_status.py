"""What a client says of itself: *ready* is never older than it says."""

from __future__ import annotations

import anyio
import pytest

from onionpath.client.status import RECENT_S, State, Status, StatusBoard, status_at
from onionpath.injected import UnixTime

READY = Status(State.READY, last_success_at=UnixTime(1000.0), relays=4)
FRESH, OLD = UnixTime(1000.0 + RECENT_S - 0.01), UnixTime(1000.0 + RECENT_S)


def test_ready_ends_a_minute_after_the_last_success() -> None:
    assert 60.0 == RECENT_S
    assert State.READY is status_at(READY, now=FRESH).state
    assert State.WAITING is status_at(READY, now=OLD).state


def test_only_the_state_is_forgotten() -> None:
    faded = status_at(READY, now=OLD)

    assert (1000.0, 4) == (faded.last_success_at, faded.relays)


@pytest.mark.parametrize("state", [state for state in State if state is not State.READY])
def test_all_other_states_stay_what_they_are(state: State) -> None:
    status = Status(state, last_success_at=UnixTime(1000.0))

    assert status is status_at(status, now=OLD)


def test_ready_without_a_success_is_not_believed() -> None:
    assert State.WAITING is status_at(Status(State.READY), now=FRESH).state


async def test_whoever_follows_is_told_when_ready_ends() -> None:
    """Nothing happens then, so nobody else would wake him."""
    now = [FRESH]
    board = StatusBoard(lambda: now[0])
    board.show(READY)
    changes = board.follow()

    with anyio.fail_after(5):
        assert State.READY is (await anext(changes)).state
        now[0] = OLD
        assert State.WAITING is (await anext(changes)).state
        board.show(Status(State.CLOSED))
        assert State.CLOSED is (await anext(changes)).state
        with pytest.raises(StopAsyncIteration):
            await anext(changes)


async def test_a_success_while_he_waits_is_news() -> None:
    now = [OLD]
    board = StatusBoard(lambda: now[0])
    board.show(READY)
    changes = board.follow()

    with anyio.fail_after(5):
        assert State.WAITING is (await anext(changes)).state
        board.show(Status(State.READY, last_success_at=OLD))
        assert State.READY is (await anext(changes)).state
