"""Drawing paths from one directory by everything that is known: guards in order, sticky middles, wishes, blame.

Spec: docs/specs/paths.md §1, guards.md §4 and §6.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from onionpath.client.ready_path import NOTHING_LEFT_OUT, LeftOut, Need, ReadyPath
from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import USABLE_WEIGHT_PERCENT
from onionpath.errors import MissingDirectoryError, NoPathError
from onionpath.injected import UnixTime
from onionpath.path.blame import Avoided
from onionpath.path.candidates import Candidates
from onionpath.path.choose import Chooser, Path, Refusals
from onionpath.path.constraints import Constraints
from onionpath.path.experience import Experience, Places
from onionpath.path.guards import NoneReachable, guard_for, reachable
from onionpath.path.middles import usable_middles
from onionpath.path.relays import RelayList
from onionpath.path.roles import Purpose

# Packet keys change by the hour; who may stand where is looked up again after so long.
LOOK_AGAIN_S = 60.0
FIRST, SECOND = 0, 1


class PathDraw:
    """Draws from one directory; keep it as long as the directory.

    Args:
        directory: verified.
        constraints: the application's.
    """

    def __init__(self, directory: RelayList, constraints: Constraints, *, now: UnixTime) -> None:
        self.directory = directory
        self._constraints = constraints
        self._chooser = Chooser(directory)
        self._look(now)

    def places(self, now: UnixTime) -> Places:
        """Who may be guard and who middle."""
        if now - self._looked_at >= LOOK_AGAIN_S:
            self._look(now)
        return self._places

    def _look(self, now: UnixTime) -> None:
        first, second = (
            Candidates.of(self.directory, position=position, constraints=self._constraints, now=now)
            for position in (FIRST, SECOND)
        )
        self._places, self._looked_at = Places(first, second), now
        self._usable_percent = usable_percent(self.directory, now)

    def draw(
        self, need: Need, experience: Experience, left_out: LeftOut, *, choice: random.Random, now: UnixTime
    ) -> ReadyPath:
        """A new path.

        Raises:
            NoPathError: nothing satisfies the constraints, or every guard is down.
            MissingDirectoryError: too little of the network can be used.
        """
        places = self.places(now)
        self._check_share()
        purpose = self._purpose(need, experience, places, now)
        avoided = _avoided(need, experience, left_out, now)
        few, others = self._guards(experience, left_out, places.first, now)
        choose = partial(self._chooser.choose, purpose, choice=choice, now=now, avoided=avoided)
        try:
            # What is avoided moves a path between the first guards at most: whoever gets everybody blamed must not
            # make us meet one guard after the other.
            path = choose(guards=few)
        except NoPathError:
            if not others:
                raise
            path = choose(guards=others)
        return ReadyPath.of(path, now=now)

    def explain(
        self, need: Need, experience: Experience, path: Path, *, now: UnixTime
    ) -> tuple[Refusals, ...]:
        """For each position of a path that was drawn for this need, in the order of drawing, who was refused and why.

        Raises:
            NoPathError: every guard is down by now.
        """
        places = self.places(now)
        few, others = self._guards(experience, NOTHING_LEFT_OUT, places.first, now)
        guards = few if path.relays[0].relay_id in few else others
        purpose = replace(self._purpose(need, experience, places, now), guards=frozenset(guards))
        avoided = _avoided(need, experience, NOTHING_LEFT_OUT, now)
        return self._chooser.explain(purpose, path, now=now, avoided=avoided)

    def exits(self, need: Need, *, now: UnixTime) -> frozenset[RelayId]:
        """All relays that may be last on a path for this need."""
        hops = need.hops or self.directory.hops
        purpose = Purpose(need.service, need.port, need.exit, constraints=self._constraints, hops=hops)
        return frozenset(
            relay.relay_id
            for relay in self.directory.relays.values()
            if relay.weight > 0
            and relay.descriptor.packet_key(now) is not None
            and purpose.refusal(relay, hops - 1, hops=hops) is None
        )

    def _purpose(self, need: Need, experience: Experience, places: Places, now: UnixTime) -> Purpose:
        middles = usable_middles(experience.middles, places.second, now=now)
        return Purpose(need.service, need.port, need.exit, None, middles, self._constraints, need.hops)

    def _guards(
        self, experience: Experience, left_out: LeftOut, candidates: Candidates, now: UnixTime
    ) -> tuple[Sequence[RelayId], Sequence[RelayId]]:
        """The guards that can be reached, in order: the first few, which paths take, and the others."""
        guards = experience.guards
        order = reachable(guards, candidates, now=now)
        if order:
            few, others = order[: guards.numbers.primaries], order[guards.numbers.primaries :]
            return sorted(few, key=left_out.guards.__contains__), others
        nothing_taken = candidates.taken_by(())
        match guard_for(guards, candidates, taken=nothing_taken, now=now):
            case NoneReachable(retry_at):
                raise NoPathError(f"no guard can be reached; the next is tried in {retry_at - now:.0f} s")
            case _:
                raise NoPathError("no guard may be used", reasons={"not-a-guard": len(candidates.listed)})

    def _check_share(self) -> None:
        if self._usable_percent < USABLE_WEIGHT_PERCENT:
            raise MissingDirectoryError(
                f"only {self._usable_percent} % of the network's weight has keys for now in our directory; "
                f"paths need {USABLE_WEIGHT_PERCENT} %"
            )


def usable_percent(directory: RelayList, now: UnixTime) -> int:
    """How much of the document's weight has a packet key for now."""
    usable = (relay for relay in directory.relays.values() if relay.descriptor.packet_key(now) is not None)
    return 100 * sum(relay.weight for relay in usable) // max(directory.total_weight, 1)


def _avoided(need: Need, experience: Experience, left_out: LeftOut, now: UnixTime) -> Avoided:
    avoided = experience.blame.avoided(now)
    # Another exit wouldn't know what goes on at this one.
    required = frozenset() if need.exit is None else frozenset({need.exit})
    return Avoided((avoided.relays | left_out.relays) - required, avoided.edges)
