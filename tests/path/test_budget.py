"""The privacy budget of a directory."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from onionpath.directory.parameters import Parameters
from onionpath.path.budget import budget
from tests.path.networks import directory_of, relay, relay_id

TEN = directory_of([relay(name) for name in range(10)])
EVERYBODY = frozenset(TEN.relays)


def test_over_time_it_is_the_table_of_the_specification() -> None:
    found = budget(TEN, EVERYBODY, bad_share=0.1).over_time

    assert [(30, 23.2), (180, 41.0), (365, 57.3)] == [
        (each.days, round(100 * each.guard, 1)) for each in found
    ]
    assert 0.86 == round(found[0].middle or 0.0, 2)


def test_both_ends_are_bad_with_the_square_of_the_share() -> None:
    found = budget(TEN, EVERYBODY, bad_share=0.1)

    assert (0.1, pytest.approx(0.01)) == (found.bad_exits, found.linked_now)
    assert 0.99 < found.linked_of_many < 1


def test_where_few_may_be_the_exit_an_adversary_is_better_off_among_them() -> None:
    few = budget(TEN, frozenset({relay_id(0), relay_id(1)}), bad_share=0.1)

    assert (2, 0.2, 0.5, 0.05) == (few.exits, few.exit_share, few.bad_exits, few.linked_now)
    assert 1.0 == budget(TEN, frozenset({relay_id(0)}), bad_share=0.2).bad_exits


def test_without_an_exit_nothing_is_linked() -> None:
    found = budget(TEN, frozenset(), bad_share=0.1)

    assert (0, 0.0, 0.0, 0.0) == (found.exits, found.bad_exits, found.linked_now, found.linked_of_many)


def test_the_largest_relay_and_family_are_told() -> None:
    kin = (relay_id(1), relay_id(2))
    directory = directory_of(
        [relay(0, 5000), relay(1, 3000, family=kin[1:]), relay(2, 4000, family=kin[:1]), relay(3, 8000)]
    )
    found = budget(directory, frozenset(), bad_share=0.1)

    assert (0.4, 0.4) == (found.largest_relay, found.largest_family)
    lone = replace(directory, relays=MappingProxyType({**directory.relays, relay_id(3): relay(3, 4000)}))
    assert (5 / 16, 7 / 16) == (
        budget(lone, frozenset(), bad_share=0.1).largest_relay,
        budget(lone, frozenset(), bad_share=0.1).largest_family,
    )


def test_paths_of_two_hops_have_no_middles() -> None:
    two = directory_of([relay(name) for name in range(10)], parameters=Parameters(hops=2))

    assert {None} == {each.middle for each in budget(two, EVERYBODY, bad_share=0.1).over_time}
