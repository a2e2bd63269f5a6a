"""Many paths over generated networks, held against the rules once more, in other words than the code's."""

import random
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from onionpath.directory.address import Address
from onionpath.directory.directory import Directory, Relay
from onionpath.directory.parameters import Parameters
from onionpath.path.choose import Chooser
from onionpath.path.roles import Purpose
from tests.directory.networks import NOW
from tests.path.networks import crowded_directory, directory_of, relay

ANY = Purpose(serves=3)


@lru_cache(maxsize=8192)
def lots(address: Address) -> frozenset[str]:
    """What an attacker rents as one, read from the address's bits."""
    ip = ip_address(address.host)
    if isinstance(ip, IPv4Address):
        return frozenset({ip.packed[:2].hex()})
    bits = ip.packed.hex()
    if bits.startswith("2002"):
        return frozenset({bits[4:8]})
    if bits.startswith("0064ff9b" + 16 * "0"):
        return frozenset({bits[24:28]})
    if bits[16:24] in ("00005efe", "02005efe"):
        return frozenset({bits[:8] + "/32", bits[24:28]})
    return frozenset({bits[:8] + "/32"})


def broken(relays: tuple[Relay, ...]) -> Iterator[str]:
    for index, one in enumerate(relays):
        for two in relays[:index]:
            if one.relay_id == two.relay_id:
                yield "repeated"
            if one.relay_id in two.descriptor.family or two.relay_id in one.descriptor.family:
                yield "one family"
            ours, theirs = (frozenset().union(*map(lots, each.descriptor.addresses)) for each in (one, two))
            if ours & theirs:
                yield "one network"


def count_broken(directory: Directory, dice: random.Random, *, paths: int) -> Counter[str]:
    chooser = Chooser(directory)
    return Counter(
        what for _ in range(paths) for what in broken(chooser.choose(ANY, choice=dice, now=NOW).relays)
    )


@pytest.mark.parametrize("count", [100, 150, 200, 250, 300, 350, 400, 450, 500, 600])
def test_paths_break_no_constraint(count: int) -> None:
    dice = random.Random(count)

    assert Counter() == count_broken(crowded_directory(count, dice), dice, paths=2000)


@pytest.mark.slow
@pytest.mark.parametrize("count", [100, 150, 250, 400, 700, 1000, 1300, 1500, 1800, 2000])
def test_a_hundred_thousand_paths_break_no_constraint(count: int) -> None:
    dice = random.Random(count)

    assert Counter() == count_broken(crowded_directory(count, dice), dice, paths=100_000)


def test_the_check_sees_what_is_broken() -> None:
    """The generated networks would break each rule if nobody minded them."""
    relays = list(crowded_directory(100, random.Random(1)).relays.values())
    dice = random.Random(2)
    seen = Counter(what for _ in range(3000) for what in broken(tuple(dice.choices(relays, k=3))))

    assert {"repeated", "one family", "one network"} == set(seen)
    assert min(seen.values()) > 20


@pytest.mark.parametrize("hops", [2, 4, 5])
def test_paths_of_other_lengths_break_no_constraint(hops: int) -> None:
    dice = random.Random(hops)
    directory = crowded_directory(150, dice, parameters=Parameters(hops=hops))

    assert Counter() == count_broken(directory, dice, paths=500)


def test_a_network_of_ipv6_only_has_paths() -> None:
    relays = [
        relay(name, addresses=(Address(str(IPv6Address(0x2A00 << 112 | name % 5 << 96 | name + 1)), 443),))
        for name in range(30)
    ]
    dice = random.Random(3)

    assert Counter() == count_broken(directory_of(relays), dice, paths=500)


# Chi-squared with 49 degrees of freedom exceeds this once in a thousand.
LIMIT = 85.4


@pytest.mark.slow
@pytest.mark.parametrize("position", [0, 1, 2])
def test_relays_are_chosen_in_proportion_to_their_weights(position: int) -> None:
    """Without families and shared networks, and with one relay in 50 at a position, it is nearly an urn."""
    weights = [100 + 7 * name for name in range(50)]
    directory = directory_of([relay(name, weight) for name, weight in enumerate(weights)])
    chooser, dice, draws = Chooser(directory), random.Random(position), 100_000
    counts = Counter(chooser.choose(ANY, choice=dice, now=NOW).relays[position].weight for _ in range(draws))
    expected = exact_shares(weights, position)

    assert LIMIT > sum(
        (counts[weight] - draws * share) ** 2 / (draws * share)
        for weight, share in zip(weights, expected, strict=True)
    )


def exact_shares(weights: list[int], position: int) -> list[float]:
    """How often each relay stands at a position when three are drawn one after the other: last, first, second."""
    total = sum(weights)
    if position == 2:
        return [weight / total for weight in weights]
    shares = []
    for mine, weight in enumerate(weights):
        others = [each for index, each in enumerate(weights) if index != mine]
        if position == 0:
            shares.append(sum(one / total * weight / (total - one) for one in others))
        else:
            both = sum(
                one / total * two / (total - one) * weight / (total - one - two)
                for i, one in enumerate(others)
                for j, two in enumerate(others)
                if i != j
            )
            shares.append(both)
    return shares
