from ipaddress import ip_network

import pytest

from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor
from onionpath.directory.directory import Relay
from onionpath.path.constraints import Constraints, Taken, subnets_of
from onionpath.path.countries import Countries
from tests.directory.networks import descriptor, identity


@pytest.mark.parametrize(
    ("networks", "host"),
    [
        ({"1.2.0.0/16"}, "1.2.3.4"),
        ({"1.2.0.0/16"}, "1.2.255.255"),
        ({"1.2.0.0/16"}, "::ffff:1.2.3.4"),
        ({"1.2.0.0/16"}, "::1.2.3.4"),
        ({"1.2.0.0/16"}, "64:ff9b::102:304"),
        ({"1.2.0.0/16"}, "64:ff9b:1::102:304"),
        ({"1.2.0.0/16"}, "::ffff:0:102:304"),
        ({"1.2.0.0/16"}, "2002:102:304::1"),
        ({"1.2.0.0/16"}, "2001:0:909:909:0:ffff:fefd:fcfb"),
        ({"1.2.0.0/16", "2a00:1450::/32"}, "2a00:1450::5efe:102:304"),
        ({"1.2.0.0/16", "2a00:1450::/32"}, "2a00:1450::200:5efe:102:304"),
        ({"2a00:1450::/32"}, "2a00:1450:4001::1"),
        ({"2a00:1451::/32"}, "2a00:1451::"),
    ],
)
def test_the_networks_of_an_address(networks: set[str], host: str) -> None:
    assert networks == subnets_of(host)


def refusal(one: Descriptor, two: Descriptor, *, distinct_subnets: bool = True) -> str | None:
    return Taken.by([Relay(one, 1)], distinct_subnets=distinct_subnets).refusal(two)


def test_strangers_may_stand_on_one_path() -> None:
    assert refusal(descriptor(1), descriptor(2)) is None


def test_a_relay_stands_on_a_path_once() -> None:
    assert "already-on-path" == refusal(descriptor(1), descriptor(1))


def test_a_family_counts_when_only_one_side_declares_it() -> None:
    alone = descriptor(1)
    declares = descriptor(2, family=(identity(1).relay_id,))

    assert "same-family" == refusal(alone, declares)
    assert "same-family" == refusal(declares, alone)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("1.2.3.4", "1.2.200.1"),
        ("2a00:1450:1::1", "2a00:1450:2::1"),
        ("1.2.3.4", "2002:102:304::1"),
        # Whoever owns the prefix writes what he likes behind it.
        ("2a00:1450::5efe:102:304", "2a00:1450::5efe:506:708"),
    ],
)
def test_addresses_in_one_network_do_not_share_a_path(one: str, two: str) -> None:
    first, second = (
        descriptor(name, addresses=(Address(host, 443),)) for name, host in enumerate((one, two), start=1)
    )

    assert "same-network" == refusal(first, second)
    assert refusal(first, second, distinct_subnets=False) is None


def test_every_address_of_a_relay_counts() -> None:
    both = descriptor(1, addresses=(Address("1.2.3.4", 443), Address("2a00:1450::1", 443)))
    six = descriptor(2, addresses=(Address("2a00:1450::2", 443),))

    assert "same-network" == refusal(both, six)


COUNTRIES = Countries.parse("1.2.0.0/16,NL\n2a00:1450::/32,DE\n")
DUTCH = Relay(descriptor(1, addresses=(Address("1.2.3.4", 443),)), 1)
GERMAN = Relay(descriptor(2, addresses=(Address("2a00:1450::1", 443),)), 1)
BOTH = Relay(descriptor(3, addresses=(Address("1.2.3.4", 443), Address("2a00:1450::1", 443))), 1)
UNKNOWN = Relay(descriptor(4), 1)


def test_without_wishes_nobody_is_refused() -> None:
    assert [None, None] == [Constraints().refusal(BOTH), Constraints().exit_refusal(BOTH)]


def test_an_excluded_relay_is_refused() -> None:
    constraints = Constraints(excluded_relays=frozenset({DUTCH.relay_id}))

    assert ["excluded", None] == [constraints.refusal(DUTCH), constraints.refusal(GERMAN)]


@pytest.mark.parametrize(
    "host", ["1.2.3.4", "2002:102:304::1", "2a00:1450::5efe:102:304", "64:ff9b::102:304"]
)
def test_an_excluded_network_is_refused_however_its_addresses_are_written(host: str) -> None:
    constraints = Constraints(excluded_networks=(ip_network("1.2.3.0/24"),))
    relay = Relay(descriptor(1, addresses=(Address("9.9.9.9", 443), Address(host, 443))), 1)

    assert ["excluded-network", None] == [constraints.refusal(relay), constraints.refusal(GERMAN)]


def test_one_address_in_an_excluded_country_is_enough() -> None:
    constraints = Constraints(excluded_countries=frozenset({"NL"}), countries=COUNTRIES)

    assert ["excluded-country", None, "excluded-country", None] == [
        constraints.refusal(relay) for relay in (DUTCH, GERMAN, BOTH, UNKNOWN)
    ]


def test_an_exit_is_in_no_country_but_the_wanted_ones() -> None:
    constraints = Constraints(exit_countries=frozenset({"NL"}), countries=COUNTRIES)

    assert [None, "exit-country-not-wanted", "exit-country-not-wanted", "exit-country-not-wanted"] == [
        constraints.exit_refusal(relay) for relay in (DUTCH, GERMAN, BOTH, UNKNOWN)
    ]


def test_only_the_wanted_exits_are_last() -> None:
    constraints = Constraints(exits=frozenset({DUTCH.relay_id}))

    assert [None, "exit-not-wanted"] == [constraints.exit_refusal(relay) for relay in (DUTCH, GERMAN)]
