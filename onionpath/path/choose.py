"""Drawing a path: the last hop first, because it has the most conditions, then the first, then the middles.

Nothing here remembers what happened; sticky guards and middles and what to avoid come in as arguments.
Spec: docs/specs/paths.md §1.6.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from onionpath.crypto.identity import RelayId
from onionpath.errors import NoPathError
from onionpath.injected import UnixTime
from onionpath.path.avoidance import bearable
from onionpath.path.blame import NOTHING_AVOIDED, Avoided
from onionpath.path.relays import ListedRelay, RelayList
from onionpath.path.roles import Purpose
from onionpath.path.rules import Refusal, Rules, drawing_order

# In a network of ten relays that is every choice; in a larger one, where so many choices have failed, the
# constraints leave next to nothing, and the caller should hear so in time.
MAX_DEAD_ENDS = 256
# What is avoided is only a wish, and not worth as much time.
MAX_DEAD_ENDS_AVOIDING = 64
# Where half of the weight is ruled out, one draw in 65,000 falls back to looking at every relay.
QUICK_DRAWS = 16
# One for each port and required exit in use; a table of 2,000 relays takes 32 KB.
MAX_TABLES = 64


@dataclass(frozen=True, slots=True)
class Path:
    """The relays of a path, from the first hop to the last."""

    relays: tuple[ListedRelay, ...]

    @classmethod
    def drawn(cls, relays: Sequence[ListedRelay]) -> Path:
        """The path of relays that are given in the order of drawing."""
        last, *others = relays
        return cls((*others, last))


@dataclass(frozen=True, slots=True)
class Refusals:
    """Why how many relays could not stand at one position, beside the relays drawn before it.

    Args:
        position: from 0 for the first hop.
        relays: how many the directory has.
        reasons: how many of them were refused for what; one that breaks several constraints counts for the first.
    """

    position: int
    relays: int
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class WeightTable:
    """Relays of positive weight with the sums of their weights, so that a draw costs one number and a bisection."""

    relays: tuple[ListedRelay, ...]
    sums: tuple[int, ...]

    @classmethod
    def of(cls, relays: Sequence[ListedRelay]) -> WeightTable:
        """The table of these relays, in this order."""
        return cls(tuple(relays), tuple(accumulate(relay.weight for relay in relays)))

    def draw(self, choice: random.Random) -> ListedRelay:
        """One of them, with the probability of its weight; there is at least one."""
        # randrange draws again instead of taking a remainder, so that no relay is favoured.
        return self.relays[bisect_right(self.sums, choice.randrange(self.sums[-1]))]


def weighted_choice(relays: Sequence[ListedRelay], choice: random.Random) -> ListedRelay:
    """One of them, with the probability of its weight; the weights are positive."""
    return WeightTable.of(relays).draw(choice)


class Chooser:
    """Draws paths from one directory; keep it as long as the directory, because it makes its tables once.

    Args:
        directory: verified, and checked by the caller to be usable.
    """

    def __init__(self, directory: RelayList) -> None:
        self._directory = directory
        self._tables: OrderedDict[Purpose, tuple[WeightTable, ...]] = OrderedDict()

    def choose(
        self,
        purpose: Purpose,
        *,
        choice: random.Random,
        now: UnixTime,
        excluded: Collection[RelayId] = (),
        avoided: Avoided = NOTHING_AVOIDED,
        guards: Sequence[RelayId] | None = None,
    ) -> Path:
        """Draw a path, each relay with the probability of its weight.

        Args:
            choice: ``random.SystemRandom()`` in the world, seeded in simulations.
            excluded: relays that may stand nowhere.
            avoided: what stands on no path as long as another path is possible.
            guards: the only relays that may be first; not drawn, but the first in this order that leaves a path.

        Raises:
            NoPathError: nothing satisfies all of it; ``reasons`` counts the relays refused at the last dead end.
        """
        tables = self._tables_for(purpose)
        first = None if guards is None else self._first_table(purpose, guards)
        if avoided:
            avoided = self._bearable(avoided, purpose, tables, first)
            rules = self._rules(purpose, excluded, avoided, now)
            if drawn := _Search(tables, rules, choice, first, MAX_DEAD_ENDS_AVOIDING).extend(()):
                return Path.drawn(drawn)
        rules = self._rules(purpose, excluded, NOTHING_AVOIDED, now)
        search = _Search(tables, rules, choice, first, MAX_DEAD_ENDS)
        if drawn := search.extend(()):
            return Path.drawn(drawn)
        reasons = search.reasons()
        raise NoPathError(f"no path: {_sentence(reasons)}", reasons=reasons)

    def explain(
        self,
        purpose: Purpose,
        path: Path,
        *,
        now: UnixTime,
        excluded: Collection[RelayId] = (),
        avoided: Avoided = NOTHING_AVOIDED,
    ) -> tuple[Refusals, ...]:
        """For each position of a path, in the order of drawing, who was refused there and why."""
        rules = self._rules(purpose, excluded, avoided, now)
        *others, last = path.relays
        drawn = (last, *others)
        return tuple(
            Refusals(rules.positions[count], len(self._directory.relays), rules.count(drawn[:count]))
            for count in range(len(drawn))
        )

    def _bearable(
        self,
        avoided: Avoided,
        purpose: Purpose,
        tables: tuple[WeightTable, ...],
        first: tuple[ListedRelay, ...] | None,
    ) -> Avoided:
        last, *others = (table.relays for table in tables)
        is_guarded = first is not None or purpose.guards is not None
        if first is not None:
            others[0] = first
        return bearable(avoided, (*others, last), is_guarded=is_guarded)

    def _rules(
        self, purpose: Purpose, excluded: Collection[RelayId], avoided: Avoided, now: UnixTime
    ) -> Rules:
        return Rules(self._directory, purpose, excluded, avoided, now)

    def _tables_for(self, purpose: Purpose) -> tuple[WeightTable, ...]:
        """What may stand at each position, in the order of drawing, as far as that never changes."""
        tables = self._tables.pop(purpose, None) or tuple(
            self._table(purpose, position) for position in drawing_order(self._hops(purpose))
        )
        self._tables[purpose] = tables
        while len(self._tables) > MAX_TABLES:
            self._tables.popitem(last=False)
        return tables

    def _first_table(self, purpose: Purpose, guards: Sequence[RelayId]) -> tuple[ListedRelay, ...]:
        """The guards that this directory lists and this purpose allows, in their order."""
        listed = [self._directory.relays[each] for each in guards if each in self._directory.relays]
        hops = self._hops(purpose)
        return tuple(each for each in listed if purpose.refusal(each, 0, hops=hops) is None)

    def _table(self, purpose: Purpose, position: int) -> WeightTable:
        hops = self._hops(purpose)
        return WeightTable.of(
            [
                relay
                for relay in self._directory.relays.values()
                if relay.weight > 0 and purpose.refusal(relay, position, hops=hops) is None
            ]
        )

    def _hops(self, purpose: Purpose) -> int:
        return purpose.hops or self._directory.hops


class _Search:
    """A depth-first search that draws instead of enumerating."""

    def __init__(
        self,
        tables: tuple[WeightTable, ...],
        rules: Rules,
        choice: random.Random,
        first: tuple[ListedRelay, ...] | None,
        most_dead_ends: int,
    ) -> None:
        self._tables, self._rules, self._choice = tables, rules, choice
        self._first, self._most_dead_ends = first, most_dead_ends
        self._dead_end: tuple[ListedRelay, ...] = ()
        self._dead_ends = 0

    def extend(self, drawn: tuple[ListedRelay, ...]) -> tuple[ListedRelay, ...] | None:
        """Complete the relays drawn so far, in the order of drawing, or None."""
        if len(drawn) == len(self._tables):
            return drawn
        for relay in self._draws(drawn):
            complete = self.extend((*drawn, relay))
            if complete is not None or self._dead_ends >= self._most_dead_ends:
                return complete
        return None

    def reasons(self) -> Counter[str]:
        """Why how many relays were refused at the last dead end."""
        return self._rules.count(self._dead_end)

    def _draws(self, drawn: tuple[ListedRelay, ...]) -> Iterator[ListedRelay]:
        """The relays that may stand next, each once, drawn by weight among those not given yet."""
        if self._first is not None and self._rules.positions[len(drawn)] == 0:
            yield from self._in_order(self._first, drawn)
            return
        table, refusal = self._tables[len(drawn)], self._rules.beside(drawn)
        first = self._quick_draw(table, refusal)
        if first is not None:
            yield first
        rest = [relay for relay in table.relays if relay is not first and refusal(relay) is None]
        if first is None and not rest:
            self._dead_ends += 1
            self._dead_end = drawn
        while rest:
            relay = weighted_choice(rest, self._choice)
            rest.remove(relay)
            yield relay

    def _in_order(
        self, relays: tuple[ListedRelay, ...], drawn: tuple[ListedRelay, ...]
    ) -> Iterator[ListedRelay]:
        refusal = self._rules.beside(drawn, may_avoid=False)
        fitting = [relay for relay in relays if refusal(relay) is None]
        if not fitting:
            self._dead_ends += 1
            self._dead_end = drawn
        yield from fitting

    def _quick_draw(self, table: WeightTable, refusal: Refusal) -> ListedRelay | None:
        """Draw from the whole table until somebody fits: the same probabilities as among those who fit."""
        # Where the constraints once left nobody they are tight, and draws would mostly be in vain.
        for _ in range(QUICK_DRAWS if table.relays and not self._dead_ends else 0):
            relay = table.draw(self._choice)
            if refusal(relay) is None:
                return relay
        return None


def _sentence(reasons: Counter[str]) -> str:
    return (
        ", ".join(f"{count} × {reason}" for reason, count in reasons.most_common()) or "there are no relays"
    )
