"""Relays that let the first exchange of a path live and kill what comes after it."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from onionpath.client.path_pool import PathPool
from onionpath.client.ready_path import NOTHING_LEFT_OUT, Need, ReadyPath
from onionpath.crypto.identity import RelayId
from onionpath.errors import Edge
from onionpath.injected import UnixTime
from onionpath.onion.geometry import SizeClass
from onionpath.path.ended import Ended
from onionpath.path.guards import primaries
from onionpath.service.calls import ServiceId
from tests.directory.networks import NOW
from tests.path.networks import directory_of, relay

DIRECTORY = directory_of([relay(name) for name in range(40)])
ECHO = Need(ServiceId.ECHO)
ANSWERED = Ended(SizeClass.SMALL, 1.0, 2, is_answered=True)
# As the guard says of a middle that keeps silent, and as nobody says of a guard that does.
MIDDLE_SILENT = Ended(SizeClass.SMALL, 1.0, 0, Edge(0, 1))
GUARD_SILENT = Ended(SizeClass.SMALL, 36.0)
# Eight destinations, each asked once a minute; the directory is valid for longer.
KEYS, MINUTES, MINUTE_S = "abcdefgh", 60, 60.0

Kills = Callable[[ReadyPath], Ended | None]


class Asking:
    """A program that asks its destinations each minute, and the guards that it has disabled."""

    def __init__(self, seed: int) -> None:
        self.paths = PathPool(random.Random(seed))
        self.paths.use(DIRECTORY, now=NOW)
        self._now = NOW
        self._used: set[ReadyPath] = set()

    def ask_everybody(self, kills: Kills) -> None:
        """An hour."""
        for _ in range(MINUTES):
            for key in KEYS:
                self._now = UnixTime(self._now + MINUTE_S / len(KEYS))
                self._ask(key, kills)

    def _ask(self, key: str, kills: Kills) -> None:
        """One call, with three attempts."""
        left_out = NOTHING_LEFT_OUT
        for _ in range(3):
            ready = self.paths.ready(DIRECTORY, ECHO, key, now=self._now, left_out=left_out)
            killed = kills(ready) if ready in self._used else None
            self._used.add(ready)
            ended = killed or ANSWERED
            is_first = self.paths.begin(ready)
            self.paths.learn(ready, ended, is_first=is_first, now=self._now)
            if ended.is_answered:
                return
            left_out = left_out.after(ready, ended.edge)

    @property
    def disabled(self) -> set[RelayId]:
        """The guards that this program uses no more."""
        return {guard.relay_id for guard in self.paths.memory.guards if guard.is_disabled}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("count", "only_over_the_first"),
    # Who has all four of a client can tell its guards apart, and let them look different.
    [(1, False), (2, False), (3, False), (4, False), (1, True), (2, True), (3, True)],
)
def test_middles_that_kill_late_disable_no_guard(count: int, only_over_the_first: bool, seed: int) -> None:
    """They know the guard that they stand behind, and would like to have another one of it."""
    asking = Asking(seed)
    killers = {middle.relay_id for middle in asking.paths.memory.middles[:count]}
    first = asking.paths.memory.guards[0].relay_id

    def kills(ready: ReadyPath) -> Ended | None:
        is_meant = ready.guard == first or not only_over_the_first
        return MIDDLE_SILENT if ready.relays[1] in killers and is_meant else None

    asking.ask_everybody(kills)

    assert set() == asking.disabled


@pytest.mark.parametrize("seed", range(2))
def test_a_guard_that_kills_late_is_disabled_beside_one_that_does_not(seed: int) -> None:
    asking = Asking(seed)
    places = asking.paths._draw.places(NOW)  # type: ignore[union-attr]
    killer = primaries(asking.paths.experience.guards, places.first)[0]
    own = set(list(DIRECTORY.relays)[:4])

    def kills(ready: ReadyPath) -> Ended | None:
        return GUARD_SILENT if ready.guard == killer and ready.exit not in own else None

    asking.ask_everybody(kills)

    assert {killer} == asking.disabled
