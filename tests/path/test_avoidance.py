"""Avoiding everybody stops no client, and costs it nothing."""

import random
from itertools import product

import pytest

from onionpath.path.avoidance import bearable
from onionpath.path.blame import Avoided, RelayEdge
from onionpath.path.choose import Chooser, Path
from onionpath.path.roles import Purpose
from tests.directory.networks import NOW
from tests.path.networks import directory_of, relay, relay_id

GUARDS, MIDDLES, EXITS = (0, 1, 2), (3, 4, 5, 6), range(7, 12)
PLACES = tuple([relay(name) for name in names] for names in (GUARDS, MIDDLES, EXITS))
MIDDLE_IDS = frozenset(relay_id(name) for name in MIDDLES)


def edges(*pairs: tuple[int, int]) -> frozenset[RelayEdge]:
    return frozenset(RelayEdge(relay_id(one), relay_id(other)) for one, other in pairs)


def from_guards(*guards: int) -> frozenset[RelayEdge]:
    return edges(*product(guards, MIDDLES))


def without_needless(avoided: Avoided) -> Avoided:
    return bearable(avoided, PLACES, is_guarded=True)


def test_what_leaves_somebody_everywhere_is_avoided() -> None:
    avoided = Avoided(frozenset({relay_id(3), relay_id(7)}), from_guards(0, 1))

    assert avoided == without_needless(avoided)


def test_where_all_middles_are_avoided_they_are_let_in_and_nothing_else_is() -> None:
    others = frozenset({relay_id(7)})

    assert Avoided(others, from_guards(0, 1)) == without_needless(
        Avoided(MIDDLE_IDS | others, from_guards(0, 1))
    )


def test_where_all_steps_from_guards_are_avoided_their_edges_are_let_in() -> None:
    beyond = edges((3, 7))

    assert Avoided(frozenset(), beyond) == without_needless(Avoided(edges=from_guards(*GUARDS) | beyond))


def test_steps_to_avoided_middles_are_none() -> None:
    """Three are avoided, and no guard may go to the fourth."""
    avoided = Avoided(MIDDLE_IDS - {relay_id(6)}, edges((0, 6), (1, 6), (2, 6)))

    assert Avoided(avoided.relays) == without_needless(avoided)


def test_guards_are_let_in_only_where_they_can_be_avoided() -> None:
    avoided = Avoided(frozenset(relay_id(name) for name in GUARDS))

    assert avoided == without_needless(avoided)
    assert Avoided() == bearable(avoided, PLACES, is_guarded=False)


class Counted(random.Random):
    """Dice that know how often they were asked."""

    draws = 0

    def getrandbits(self, k: int, /) -> int:
        self.draws += 1
        return super().getrandbits(k)


@pytest.mark.parametrize(
    ("avoided", "guard"),
    [
        (Avoided(MIDDLE_IDS), 0),
        (Avoided(MIDDLE_IDS, from_guards(0, 1)), 2),
        (Avoided(MIDDLE_IDS, from_guards(*GUARDS)), 0),
        (Avoided(edges=from_guards(*GUARDS)), 0),
    ],
)
def test_a_path_is_drawn_at_once_although_all_middles_are_avoided(avoided: Avoided, guard: int) -> None:
    """Two guards that lie can bring it about each time, and searching in vain would take as long as 250 draws."""
    chooser = Chooser(directory_of([relay(name) for name in range(60)]))
    dice = Counted(3)
    drawn: Path = chooser.choose(
        Purpose(serves=3, middles=MIDDLE_IDS),
        choice=dice,
        now=NOW,
        avoided=avoided,
        guards=[relay_id(name) for name in GUARDS],
    )

    assert relay_id(guard) == drawn.relays[0].relay_id
    assert 20 > dice.draws
