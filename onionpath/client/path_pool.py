"""Ready paths, one set per isolation key and need; decisions only, no waiting.

| a ready path is … | until … |
|---|---|
| taken by everything that shares its key and need | one fails or proves a lie, the first is slow, or the path is old |
| taken by attempts after or beside one that left it out | the same |
| retired: nothing new takes it, and what is under way over it goes on | those have ended |

What is learned from exchanges is ``onionpath.path.experience``; the draw itself, ``path_draw``.
Spec: docs/specs/paths.md and guards.md.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from dataclasses import dataclass

from onionpath.client.path_draw import PathDraw
from onionpath.client.path_report import PathReport, report_of
from onionpath.client.ready_path import NOTHING_LEFT_OUT, LeftOut, Need, ReadyPath, has_current_keys
from onionpath.errors import MissingDirectoryError
from onionpath.injected import UnixTime
from onionpath.onion.geometry import SizeClass
from onionpath.path.constraints import Constraints
from onionpath.path.ended import Ended
from onionpath.path.experience import Experience
from onionpath.path.path_memory import PathMemory, merge
from onionpath.path.relays import RelayList
from onionpath.path.roles import NO_CONSTRAINTS
from onionpath.path.timeouts import Waits

# Tor's MaxCircuitDirtiness: long enough to be worth building, short enough not to link a day's requests.
PATH_LIFETIME_S = 600.0
# Two for a call and what runs beside it, and a spare for when one of them fails.
MAX_PATHS_OF_ONE = 3
# Sets; each holds at most three paths of a few hundred bytes.
MAX_SETS = 256
# Given up, and not known yet why.
MAX_LEFT = 256


@dataclass(slots=True)
class _Kept:
    """A path of a set.

    Args:
        begun: exchanges over it.
        last: how the latest of them ended.
        has_carried: whether one was answered.
    """

    ready: ReadyPath
    begun: int = 0
    last: Ended | None = None
    has_carried: bool = False

    def note(self, ended: Ended) -> None:
        """One more exchange over it has ended."""
        self.last, self.has_carried = ended, self.has_carried or ended.is_answered


class PathPool:
    """Chooses paths, remembers the ones in use, and learns from what happens on them.

    Args:
        choice: unpredictable in the world (``random.SystemRandom``), seeded in simulations.
        constraints: the application's, for all paths.
        memory: guards and middles of an earlier run.
    """

    def __init__(
        self,
        choice: random.Random,
        *,
        constraints: Constraints = NO_CONSTRAINTS,
        memory: PathMemory | None = None,
    ) -> None:
        self._choice = choice
        self._constraints = constraints
        self._sets: OrderedDict[tuple[str, Need], list[_Kept]] = OrderedDict()
        self._left: OrderedDict[ReadyPath, _Kept] = OrderedDict()
        self._draw: PathDraw | None = None
        self.experience = Experience().with_memory(memory or PathMemory())

    def __len__(self) -> int:
        return sum(len(kept) for kept in self._sets.values())

    # The memory.

    @property
    def memory(self) -> PathMemory:
        """What outlives the process."""
        return self.experience.memory

    def join(self, saved: PathMemory, *, base: PathMemory) -> None:
        """Go on with what is on disk; ``base`` is what was given to be saved, and may have changed since."""
        self.experience = self.experience.with_memory(merge(saved, self.memory, base=base))

    def use(self, directory: RelayList, *, now: UnixTime) -> None:
        """Take a directory into account: guards and middles are drawn as they are missing.

        Raises:
            MissingDirectoryError: it has expired.
        """
        self._current(directory, now)

    def waits(self, reply_class: SizeClass) -> Waits:
        """How long to wait for a reply of this class now."""
        return self.experience.timeouts.waits(reply_class)

    def report(self, directory: RelayList, need: Need, *, now: UnixTime) -> PathReport:
        """What is known of guards, middles and a path for this need; nothing keeps the path.

        Raises:
            MissingDirectoryError: the directory has expired, or too little of it can be used.
        """
        draw = self._current(directory, now)
        return report_of(draw, need, self.experience, choice=self._choice, now=now)

    # Paths.

    def ready(
        self,
        directory: RelayList,
        need: Need,
        isolation: str,
        *,
        now: UnixTime,
        left_out: LeftOut = NOTHING_LEFT_OUT,
    ) -> ReadyPath:
        """A path for this need that nothing with another isolation key uses.

        Args:
            left_out: by earlier attempts of the same call, and those beside it.

        Raises:
            NoPathError: no path satisfies the constraints.
            MissingDirectoryError: the directory has expired, or too little of it can be used.
        """
        draw = self._current(directory, now)
        key = (isolation, need)
        self._retire_old(key, directory, now)
        for each in self._sets.get(key, ()):
            if left_out.allows(each.ready):
                self._sets.move_to_end(key)
                return each.ready
        ready = draw.draw(need, self.experience, left_out, choice=self._choice, now=now)
        self._keep(key, ready)
        return ready

    def _current(self, directory: RelayList, now: UnixTime) -> PathDraw:
        if not directory.is_usable(now):
            raise MissingDirectoryError("the directory has expired and no newer one could be fetched")
        if self._draw is None or self._draw.directory is not directory:
            self._draw = PathDraw(directory, self._constraints, now=now)
            places = self._draw.places(now)
            self.experience = self.experience.after_directory(places, now=now, choice=self._choice)
        return self._draw

    def _retire_old(self, key: tuple[str, Need], directory: RelayList, now: UnixTime) -> None:
        for each in list(self._sets.get(key, ())):
            is_old = now - each.ready.made_at >= PATH_LIFETIME_S
            if is_old or not has_current_keys(directory, each.ready, now=now):
                self._take_out(each.ready)
                self._count_use(each)

    def _keep(self, key: tuple[str, Need], ready: ReadyPath) -> None:
        kept = self._sets.setdefault(key, [])
        self._sets.move_to_end(key)
        kept.append(_Kept(ready))
        surplus = [kept.pop(0)] if len(kept) > MAX_PATHS_OF_ONE else []
        if len(self._sets) > MAX_SETS:
            surplus += self._sets.popitem(last=False)[1]
        for each in surplus:
            self._count_use(each)

    def retire(self, ready: ReadyPath) -> None:
        """Let nothing new take this path; what its guard is to be told of it shows when its exchanges end."""
        kept = self._take_out(ready)
        if kept is not None:
            self._left[ready] = kept
            while len(self._left) > MAX_LEFT:
                _, oldest = self._left.popitem(last=False)
                self._count_use(oldest)

    def begin(self, ready: ReadyPath) -> bool:
        """An exchange over this path begins; gives whether it is the first."""
        kept = self._find(ready)
        if kept is None:
            return False
        kept.begun += 1
        return kept.begun == 1

    def learn(self, ready: ReadyPath, ended: Ended, *, is_first: bool, now: UnixTime) -> None:
        """Take note of how an exchange over this path ended, also when the path was retired long ago."""
        if self._draw is None:
            return
        is_slow = is_first and ended.took_s > self.waits(ended.reply_class).slow_after_s
        candidates = self._draw.places(now).first
        self.experience = self.experience.after_exchange(
            ready.relays, ended, candidates, is_first=is_first, now=now, choice=self._choice
        )
        kept = self._find(ready)
        if kept is None:
            return
        kept.note(ended)
        if not ended.is_answered or ended.edge is not None or is_slow or ready in self._left:
            self._left.pop(ready, None)
            self._take_out(ready)
            self._count_use(kept)

    def _find(self, ready: ReadyPath) -> _Kept | None:
        left = self._left.get(ready)
        return left or next((one for kept in self._sets.values() for one in kept if one.ready is ready), None)

    def _take_out(self, ready: ReadyPath) -> _Kept | None:
        for key, kept in self._sets.items():
            for each in kept:
                if each.ready is ready:
                    kept.remove(each)
                    if not kept:
                        del self._sets[key]
                    return each
        return None

    def _count_use(self, retired: _Kept) -> None:
        if retired.begun > 1 and retired.has_carried and retired.last is not None:
            self.experience = self.experience.after_path(retired.ready.relays, retired.last)
