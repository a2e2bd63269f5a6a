"""A client whose paths are killed: the production draw, retry rule and experience, without packets.

Whoever kills decides what the client hears; what it makes of that is its own. Each attempt goes over a new path, so
that all of them are judged; real clients use a path for ten minutes.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, field

from onionpath.client.path_draw import PathDraw
from onionpath.client.ready_path import NOTHING_LEFT_OUT, Need
from onionpath.crypto.identity import RelayId
from onionpath.errors import Edge
from onionpath.injected import UnixTime
from onionpath.onion.geometry import SizeClass
from onionpath.path.ended import Ended
from onionpath.path.experience import Experience
from onionpath.path.guards import primaries
from onionpath.service.calls import ServiceId
from simulations.adversary.networks import START

ANY_EXIT = Need(ServiceId.STREAM)
ATTEMPTS = 3
# A client that asks twice a minute; the packet keys of the start are good for six hours of it.
PAUSE_S = 30.0


@dataclass(frozen=True, slots=True)
class Killer:
    """How bad relays at one position kill paths.

    Args:
        hop: 0 for guards, 1 for middles, 2 for exits.
        relays: the adversary's.
        kills: the part of the paths that they don't like.
        lies: they accuse the next relay, where they could keep silent.
        spares: exits with which a path lives.
    """

    hop: int
    relays: Collection[RelayId]
    kills: float
    lies: bool = False
    spares: Collection[RelayId] = ()

    def end(self, path: tuple[RelayId, ...], dice: random.Random) -> Ended:
        """What the client hears at the end of an exchange; whoever is honest names the silent one behind it."""
        wants = path[self.hop] in self.relays and path[-1] not in self.spares
        if not wants or dice.random() >= self.kills:
            return Ended(SizeClass.SMALL, 1.0, speaker=len(path) - 1, is_answered=True)
        speaker = self.hop if self.lies else self.hop - 1
        if speaker < 0:
            return Ended(SizeClass.SMALL, 10.0)
        return Ended(SizeClass.SMALL, 1.0, speaker=speaker, edge=Edge(speaker, speaker + 1))


NOBODY = Killer(0, (), 0.0)


@dataclass(frozen=True, slots=True)
class Walk:
    """One attempt: its relays, first hop first, and whether it was answered."""

    relays: tuple[RelayId, ...]
    is_answered: bool


@dataclass(slots=True)
class Victim:
    """A client that asks over and over, and learns from what it hears.

    Args:
        walks: all its attempts.
        first_guards: its primaries at its start, whatever becomes of them.
    """

    draw: PathDraw
    choice: random.Random
    killer: Killer = NOBODY
    experience: Experience = field(default_factory=Experience)
    now: UnixTime = START
    walks: list[Walk] = field(default_factory=list)
    first_guards: tuple[RelayId, ...] = field(init=False)

    def __post_init__(self) -> None:
        places = self.draw.places(self.now)
        self.experience = self.experience.after_directory(places, now=self.now, choice=self.choice)
        self.first_guards = primaries(self.experience.guards, places.first)

    def ask(self, need: Need = ANY_EXIT) -> None:
        """One call, with as many attempts as a call has."""
        left_out = NOTHING_LEFT_OUT
        for _ in range(ATTEMPTS):
            self.now = UnixTime(self.now + PAUSE_S)
            ready = self.draw.draw(need, self.experience, left_out, choice=self.choice, now=self.now)
            ended = self.killer.end(ready.relays, self.choice)
            self._learn(ready.relays, ended)
            if ended.is_answered:
                break
            left_out = left_out.after(ready, ended.edge)

    def _learn(self, relays: tuple[RelayId, ...], ended: Ended) -> None:
        places = self.draw.places(self.now)
        self.experience = self.experience.after_exchange(
            relays, ended, places.first, is_first=True, now=self.now, choice=self.choice
        )
        self.walks.append(Walk(relays, ended.is_answered))

    @property
    def disabled(self) -> frozenset[RelayId]:
        """The guards that the bias of their paths has ended."""
        return frozenset(guard.relay_id for guard in self.experience.guards.sample if guard.is_disabled)
