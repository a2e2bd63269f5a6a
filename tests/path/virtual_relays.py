"""What a directory offers for guards and middles, and a client of it whose days pass at will."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Relay
from onionpath.injected import UnixTime
from onionpath.path.candidates import Candidates
from onionpath.path.constraints import Taken
from onionpath.path.guard_numbers import DAY_S, GUARD_NUMBERS, GuardNumbers
from onionpath.path.guards import (
    Guards,
    NoneAllowed,
    NoneReachable,
    after_directory,
    after_success,
    guard_for,
)
from tests.directory.networks import NOW
from tests.path.networks import relay

START = UnixTime(float(int(NOW)))
NOBODY_TAKEN = Candidates({}, frozenset(), frozenset(), True).taken_by(())


def days(count: float) -> UnixTime:
    """So many days after the start."""
    return UnixTime(START + count * DAY_S)


@cache
def plain_relay(name: int) -> Relay:
    return relay(name)


def candidates(
    relays: Iterable[Relay], *, excluded: Iterable[RelayId] = (), unusable: Iterable[RelayId] = ()
) -> Candidates:
    """Those relays as a directory would offer them."""
    listed: Mapping[RelayId, Relay] = {each.relay_id: each for each in relays}
    out = frozenset(excluded)
    return Candidates(listed, out, frozenset(listed) - out - frozenset(unusable), True)


def all_of(count: int, *, without: Sequence[int] = ()) -> Candidates:
    return candidates(plain_relay(name) for name in range(count) if name not in without)


def name_of(found: Relay | NoneReachable | NoneAllowed) -> RelayId:
    assert isinstance(found, Relay), found
    return found.relay_id


@dataclass
class Client:
    """A client that sends some requests a day over its guards in use, and notes each guard that carried one."""

    seed: int
    numbers: GuardNumbers = GUARD_NUMBERS
    entries: dict[RelayId, UnixTime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.choice = random.Random(self.seed)
        self.guards = Guards(numbers=self.numbers)

    def spend_day(self, listed: Candidates, now: UnixTime) -> None:
        """Take the day's directory, then send over the first guard, and over another where that one is taken."""
        self.guards = after_directory(self.guards, listed, now=now, choice=self.choice)
        first = self.send(listed, now, taken=NOBODY_TAKEN)
        self.send(listed, now, taken=listed.taken_by([first]))

    def send(self, listed: Candidates, now: UnixTime, *, taken: Taken) -> RelayId:
        """One request over the guard that its path shall use; gives the guard."""
        used = name_of(guard_for(self.guards, listed, taken=taken, now=now))
        self.entries.setdefault(used, now)
        self.guards = after_success(self.guards, used, listed, now=now, choice=self.choice)
        return used
