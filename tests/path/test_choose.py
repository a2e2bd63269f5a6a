import random
from collections import Counter
from collections.abc import Collection
from dataclasses import replace

import pytest

from onionpath.crypto.identity import RelayId
from onionpath.directory.address import Address
from onionpath.directory.directory import Directory, Relay
from onionpath.directory.parameters import Parameters
from onionpath.errors import NoPathError
from onionpath.injected import UnixTime
from onionpath.path.choose import Chooser, Path, weighted_choice
from onionpath.path.constraints import Taken
from onionpath.path.roles import Purpose
from tests.directory.networks import EPOCH_S, NOW, descriptor, identity, network

FIVE = network().directory()
NO_PURPOSE = Purpose()


def choose(
    directory: Directory = FIVE,
    purpose: Purpose = NO_PURPOSE,
    *,
    seed: int = 1,
    now: float = NOW,
    excluded: Collection[RelayId] = (),
) -> Path:
    dice = random.Random(seed)
    return Chooser(directory).choose(purpose, choice=dice, now=UnixTime(now), excluded=excluded)


def names(path: Path) -> list[int]:
    return [
        next(name for name in range(100) if identity(name).relay_id == relay.relay_id)
        for relay in path.relays
    ]


@pytest.mark.parametrize("hops", [2, 3, 4, 5])
def test_a_path_has_the_length_of_the_network(hops: int) -> None:
    path = choose(network(parameters=Parameters(hops=hops)).directory())

    assert hops == len(set(names(path)))


def test_the_same_seed_chooses_the_same_path() -> None:
    assert choose(seed=5) == choose(seed=5)


def test_the_last_hop_offers_the_service() -> None:
    relays = [descriptor(name, services=(9,) if name == 3 else (1,)) for name in range(5)]

    assert 3 == names(choose(network(relays).directory(), Purpose(serves=9)))[-1]


def test_the_last_hop_allows_the_port() -> None:
    rules = {2: ("accept *:443",), 3: ("reject *:443", "accept *:*"), 4: ("nonsense",)}
    relays = [descriptor(name, exit_policy=rules.get(name, ())) for name in range(5)]
    directory = network(relays).directory()

    assert {2} == {names(choose(directory, Purpose(port=443), seed=seed))[-1] for seed in range(20)}


def test_a_required_exit_is_the_last_hop() -> None:
    purpose = Purpose(required_exit=identity(4).relay_id)

    assert {4} == {names(choose(purpose=purpose, seed=seed))[-1] for seed in range(20)}


def test_excluded_relays_stand_nowhere() -> None:
    excluded = [identity(name).relay_id for name in (0, 1)]

    for seed in range(20):
        assert {2, 3, 4} == set(names(choose(seed=seed, excluded=excluded)))


def test_only_guards_are_first_and_only_chosen_middles_are_second() -> None:
    guards, middles = frozenset({identity(0).relay_id}), frozenset({identity(1).relay_id})
    purpose = Purpose(guards=guards, middles=middles)

    for seed in range(20):
        assert [0, 1] == names(choose(purpose=purpose, seed=seed))[:2]


def test_a_relay_without_weight_is_not_chosen() -> None:
    directory = network(weights=[0, 1, 1, 1, 0]).directory()

    for seed in range(20):
        assert {1, 2, 3} == set(names(choose(directory, seed=seed)))


def test_a_relay_without_a_packet_key_for_now_is_not_chosen() -> None:
    old = descriptor(0)
    relays = [replace(old, packet_keys=old.packet_keys[:1]), *(descriptor(name) for name in range(1, 5))]
    directory = network(relays).directory()

    for seed in range(20):
        assert 0 not in names(choose(directory, seed=seed, now=NOW + EPOCH_S))
    with pytest.raises(NoPathError) as caught:
        choose(now=NOW + 2 * EPOCH_S)
    assert {"no-valid-key": 5} == caught.value.reasons


def test_a_path_is_found_when_only_one_choice_of_exit_leaves_one() -> None:
    """0, 1 and 2 are in one family, so that a path needs exactly one of them and both others."""
    family = tuple(sorted(identity(name).relay_id for name in (1, 2)))
    relays = [descriptor(0, family=family), *(descriptor(name) for name in range(1, 4))]
    directory = network(relays).directory()

    for seed in range(50):
        assert {1, 2, 3} == set(names(choose(directory, seed=seed)))


def test_reasons_say_why_there_is_no_path() -> None:
    excluded = [identity(0).relay_id]
    with pytest.raises(NoPathError, match="4 × service-not-offered") as caught:
        choose(purpose=Purpose(serves=77), excluded=excluded)

    assert {"service-not-offered": 4, "excluded": 1} == caught.value.reasons


def test_one_network_for_all_relays_leaves_no_path_unless_the_document_allows_it() -> None:
    relays = [descriptor(name, addresses=(Address("127.0.0.1", 1000 + name),)) for name in range(5)]

    with pytest.raises(NoPathError) as caught:
        choose(network(relays).directory())
    assert 4 == caught.value.reasons["same-network"]
    assert choose(network(relays, parameters=Parameters(distinct_subnets=False)).directory())


class CountingRandom(random.Random):
    """Counts the draws."""

    draws = 0

    def randrange(self, *args: int) -> int:  # type: ignore[override]
        self.draws += 1
        return super().randrange(*args)


def test_a_search_without_success_ends_soon() -> None:
    """Four networks for five hops: 240,000 orders of four are dead ends, and nobody should wait for them."""
    relays = [descriptor(name, addresses=(Address(f"1.{name % 4}.3.{name}", 443),)) for name in range(40)]
    directory = network(relays, parameters=Parameters(hops=5)).directory()
    dice = CountingRandom(1)

    with pytest.raises(NoPathError):
        Chooser(directory).choose(NO_PURPOSE, choice=dice, now=NOW)
    assert dice.draws < 1000


def chi_squared(expected: list[float], seen: list[int]) -> float:
    return sum((count - hope) ** 2 / hope for hope, count in zip(expected, seen, strict=True))


def test_relays_are_drawn_in_proportion_to_their_weights() -> None:
    weights = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89]
    relays = [Relay(descriptor(name), weight) for name, weight in enumerate(weights)]
    dice = random.Random(20)
    counts = Counter(weighted_choice(relays, dice).weight for _ in range(20_000))
    expected = [20_000 * weight / sum(weights) for weight in weights]

    # 27.9 is the value that chi-squared with 9 degrees of freedom exceeds once in a thousand.
    assert 27.9 > chi_squared(expected, [counts[weight] for weight in weights])


@pytest.mark.slow
def test_last_hops_are_chosen_in_proportion_to_their_weights() -> None:
    weights = [100, 200, 300, 400, 500]
    directory = network(weights=weights).directory()
    dice = random.Random(21)
    chooser, purpose = Chooser(directory), Purpose(serves=3)
    counts = Counter(chooser.choose(purpose, choice=dice, now=NOW).relays[-1].relay_id for _ in range(20_000))
    expected = [20_000 * weight / sum(weights) for weight in weights]

    # 18.5: likewise for 4 degrees of freedom.
    assert 18.5 > chi_squared(expected, [counts[identity(name).relay_id] for name in range(5)])


def test_nothing_is_taken_on_an_empty_path() -> None:
    assert Taken.by([], distinct_subnets=True).refusal(descriptor(1)) is None
