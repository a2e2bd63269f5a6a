import pytest

from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor
from onionpath.directory.directory import Relay
from onionpath.path.constraints import Taken, subnet
from tests.directory.networks import descriptor, identity


@pytest.mark.parametrize(
    ("network", "host"),
    [
        ("1.2.0.0/16", "1.2.3.4"),
        ("1.2.0.0/16", "1.2.255.255"),
        ("1.2.0.0/16", "::ffff:1.2.3.4"),
        ("1.2.0.0/16", "2002:102:304::1"),
        ("2a00:1450::/32", "2a00:1450:4001::1"),
        ("2a00:1451::/32", "2a00:1451::"),
    ],
)
def test_the_network_of_an_address(network: str, host: str) -> None:
    assert network == subnet(host)


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
    [("1.2.3.4", "1.2.200.1"), ("2a00:1450:1::1", "2a00:1450:2::1"), ("1.2.3.4", "2002:102:304::1")],
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
