import random
from collections import Counter
from itertools import pairwise

import pytest

from onionpath.directory.address import Address
from onionpath.directory.parameters import Parameters
from onionpath.errors import NoPathError
from onionpath.path.blame import Avoided, RelayEdge
from onionpath.path.choose import MAX_TABLES, Chooser, Path
from onionpath.path.constraints import Constraints
from onionpath.path.roles import Purpose
from tests.directory.networks import NOW
from tests.path.networks import directory_of, relay, relay_id

SIX = Chooser(directory_of([relay(name) for name in range(6)]))


def ids(*names: int) -> frozenset[bytes]:
    return frozenset(relay_id(name) for name in names)


def names(path: Path) -> tuple[int, ...]:
    return tuple(next(name for name in range(50) if relay_id(name) == each.relay_id) for each in path.relays)


def drawn(
    purpose: Purpose, *, chooser: Chooser = SIX, avoided: Avoided | None = None
) -> set[tuple[int, ...]]:
    dice = random.Random(1)
    return {
        names(chooser.choose(purpose, choice=dice, now=NOW, avoided=avoided or Avoided())) for _ in range(60)
    }


def test_wanted_guards_middles_and_exits_stand_where_they_are_wanted() -> None:
    wishes = Constraints(guards=ids(0), middles=ids(1, 2), exits=ids(3))

    assert {(0, 1, 3), (0, 2, 3)} == drawn(Purpose(constraints=wishes))


def test_wanted_middles_stand_at_every_position_between() -> None:
    four = Chooser(directory_of([relay(name) for name in range(6)], parameters=Parameters(hops=4)))
    wishes = Constraints(middles=ids(1, 2))

    assert {1, 2} == {name for path in drawn(Purpose(constraints=wishes), chooser=four) for name in path[1:3]}


def test_the_wish_for_a_guard_does_not_replace_the_guards() -> None:
    purpose = Purpose(guards=frozenset(ids(0, 1)), constraints=Constraints(guards=ids(1, 2)))

    assert {1} == {path[0] for path in drawn(purpose)}


def test_excluded_relays_stand_nowhere() -> None:
    wishes = Constraints(excluded_relays=ids(0, 1))

    assert {2, 3, 4, 5} == {name for path in drawn(Purpose(constraints=wishes)) for name in path}


def test_an_avoided_relay_stands_on_no_path() -> None:
    avoided = Avoided(relays=frozenset(ids(0, 1)))

    assert {2, 3, 4, 5} == {name for path in drawn(Purpose(), avoided=avoided) for name in path}


def test_the_relays_of_an_avoided_edge_are_no_neighbours_in_its_direction() -> None:
    edges = frozenset({RelayEdge(relay_id(0), relay_id(1)), RelayEdge(relay_id(2), relay_id(3))})
    paths = drawn(Purpose(), avoided=Avoided(edges=edges))
    neighbours = {pair for path in paths for pair in pairwise(path)}

    assert not {(0, 1), (2, 3)} & neighbours
    assert {(1, 0), (3, 2)} <= neighbours


def test_a_guard_is_not_avoided_as_a_relay() -> None:
    """Otherwise whoever gets a guard blamed moves its client to another one."""
    purpose = Purpose(guards=frozenset(ids(0)))

    assert {0} == {path[0] for path in drawn(purpose, avoided=Avoided(relays=frozenset(ids(0, 1))))}
    assert 1 not in {
        name for path in drawn(purpose, avoided=Avoided(relays=frozenset(ids(1)))) for name in path
    }


def test_an_edge_of_a_guard_is_avoided() -> None:
    purpose = Purpose(guards=frozenset(ids(0)), middles=frozenset(ids(1, 2)))
    edges = frozenset({RelayEdge(relay_id(0), relay_id(1))})

    assert {2} == {path[1] for path in drawn(purpose, avoided=Avoided(edges=edges))}


def test_who_gets_everybody_blamed_does_not_stop_a_client() -> None:
    everybody = Avoided(relays=frozenset(ids(*range(6))))

    assert drawn(Purpose(required_exit=relay_id(3)), avoided=everybody)


def test_wishes_are_never_relaxed() -> None:
    wishes = Constraints(excluded_relays=ids(0, 1, 2, 3))

    with pytest.raises(NoPathError):
        drawn(Purpose(constraints=wishes), avoided=Avoided(relays=frozenset(ids(4))))


def test_it_explains_who_was_refused_at_each_position() -> None:
    """Relay 5 is in relay 3's network, and relay 4 belongs to relay 0's family."""
    relays = [relay(name) for name in range(4)]
    relays += [relay(4, family=(relay_id(0),)), relay(5, addresses=(Address("20.3.9.9", 443),))]
    chooser = Chooser(directory_of([*relays, relay(6, 0)]))
    purpose = Purpose(guards=frozenset(ids(0, 1, 2)))
    path = Path((relays[0], relays[1], relays[3]))
    last, first, middle = chooser.explain(purpose, path, now=NOW, excluded=[relay_id(2)])

    assert (2, 7, {"excluded": 1, "no-weight": 1}) == (last.position, last.relays, last.reasons)
    assert (0, {"excluded": 1, "no-weight": 1, "not-a-guard": 3}) == (first.position, first.reasons)
    assert 1 == middle.position
    assert {
        "excluded": 1, "no-weight": 1, "already-on-path": 2, "same-network": 1, "same-family": 1
    } == middle.reasons  # fmt: skip


def test_one_chooser_keeps_purposes_apart() -> None:
    assert {(0,), (1,)} == {
        tuple({path[-1] for path in drawn(Purpose(required_exit=relay_id(name)))}) for name in (0, 1)
    }


def test_tables_of_many_purposes_fill_no_memory() -> None:
    chooser = Chooser(directory_of([relay(name) for name in range(3)]))
    dice = random.Random(1)
    for number in range(1, 2 * MAX_TABLES):
        with pytest.raises(NoPathError):
            chooser.choose(Purpose(port=number), choice=dice, now=NOW)

    assert MAX_TABLES == len(chooser._tables)


def test_where_most_weight_is_ruled_out_the_rest_is_drawn_by_weight() -> None:
    """The guard's neighbours hold nearly all weight, so that draws from the whole table are in vain."""
    heavy = [relay(name, 1_000_000, addresses=(Address(f"9.9.0.{name + 1}", 443),)) for name in range(3)]
    light = [relay(10, 10), relay(11, 30)]
    chooser = Chooser(directory_of([*heavy, *light, relay(12, 1)], parameters=Parameters(hops=2)))
    purpose = Purpose(guards=frozenset(ids(10, 11)), required_exit=relay_id(0))
    dice = random.Random(9)
    counts = Counter(names(chooser.choose(purpose, choice=dice, now=NOW))[0] for _ in range(2000))
    purpose = Purpose(required_exit=relay_id(0), constraints=Constraints(excluded_relays=ids(12)))
    whole = Counter(names(chooser.choose(purpose, choice=dice, now=NOW))[0] for _ in range(2000))

    assert 1500 == pytest.approx(counts[11], abs=80)
    assert 1500 == pytest.approx(whole[11], abs=80)
