"""No exit reaches anything but the public internet, in whatever form the address comes."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.path.embedded import embedded
from relay.addresses import SPECIAL, Allowed, Forbidden, Why, judge

PUBLIC = ("8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450::200e", "64:ff9b::8.8.8.8")


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert Allowed() == judge(ip_address(address), own=())


@pytest.mark.parametrize("entry", SPECIAL, ids=lambda entry: entry[0])
def test_the_first_and_last_address_of_every_registered_network_are_forbidden(
    entry: tuple[str, Why, str],
) -> None:
    network = ip_network(entry[0])

    assert isinstance(judge(network[0], own=()), Forbidden)
    assert isinstance(judge(network[-1], own=()), Forbidden)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("0.0.0.0", Why.UNSPECIFIED),  # noqa: S104 Nothing listens here.
        ("0.1.2.3", Why.UNSPECIFIED),
        ("10.1.2.3", Why.PRIVATE),
        ("100.64.0.1", Why.PRIVATE),
        ("127.0.0.1", Why.LOOPBACK),
        ("169.254.1.1", Why.LINK_LOCAL),
        ("169.254.169.254", Why.METADATA),
        ("100.100.100.200", Why.METADATA),
        ("168.63.129.16", Why.METADATA),
        ("192.0.0.192", Why.METADATA),
        ("224.0.0.1", Why.MULTICAST),
        ("255.255.255.255", Why.BROADCAST),
        ("240.0.0.1", Why.RESERVED),
        ("fd00:ec2::254", Why.METADATA),
        ("::1", Why.LOOPBACK),
        ("fe80::1", Why.LINK_LOCAL),
        ("ff02::1", Why.MULTICAST),
        ("fd12::1", Why.PRIVATE),
        ("4000::1", Why.RESERVED),
        ("::ffff:8.8.8.8", Why.TRANSLATED),
        ("::8.8.8.8", Why.TRANSLATED),
        ("2002:808:808::1", Why.TRANSLATED),
        ("2001:0:808:808::f7f7:f7f7", Why.TRANSLATED),
        ("64:ff9b:1::8.8.8.8", Why.TRANSLATED),
        ("64:ff9b::127.0.0.1", Why.LOOPBACK),
        ("64:ff9b::169.254.169.254", Why.METADATA),
        ("2606:4700::5efe:10.0.0.1", Why.PRIVATE),
        ("2606:4700::200:5efe:127.0.0.1", Why.LOOPBACK),
    ],
)
def test_forbidden_addresses_have_their_reason(address: str, why: Why) -> None:
    assert Forbidden(why) == judge(ip_address(address), own=())


def test_an_address_of_this_machine_is_forbidden_also_inside_another() -> None:
    own = {ip_address("93.184.216.34")}

    assert Forbidden(Why.OWN) == judge(ip_address("93.184.216.34"), own=own)
    assert Forbidden(Why.OWN) == judge(ip_address("64:ff9b::93.184.216.34"), own=own)


def test_what_the_operator_lists_is_reachable_in_that_form_only() -> None:
    listed = [ip_network("127.0.0.0/8")]

    assert Allowed() == judge(
        ip_address("127.0.0.1"), own={ip_address("127.0.0.1")}, reachable_private=listed
    )
    for other in ("::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "10.0.0.1", "2606:4700::5efe:127.0.0.1"):
        assert isinstance(judge(ip_address(other), own=(), reachable_private=listed), Forbidden)


def test_a_metadata_address_has_to_be_listed_by_itself() -> None:
    address = ip_address("169.254.169.254")
    wide, exact = [ip_network("0.0.0.0/0")], [ip_network("169.254.169.254/32")]

    assert Forbidden(Why.METADATA) == judge(address, own=(), reachable_private=wide)
    assert Allowed() == judge(address, own=(), reachable_private=exact)


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1"])  # noqa: S104 Nothing listens here.
def test_addresses_of_no_single_machine_cannot_be_listed(address: str) -> None:
    listed = [ip_network("0.0.0.0/0"), ip_network("::/0"), ip_network(address)]
    assert isinstance(judge(ip_address(address), own=(), reachable_private=listed), Forbidden)


@given(st.ip_addresses(v=4))
def test_whatever_python_calls_not_global_is_forbidden_in_every_form(address: IPv4Address) -> None:
    if address.is_global and not address.is_multicast:
        return
    for prefix in ("::", "::ffff:0:0", "64:ff9b::", "64:ff9b:1::", "2606:4700::5efe:0:0"):
        outer = IPv6Address(int(IPv6Address(prefix)) | int(address))
        assert isinstance(judge(outer, own=()), Forbidden)
    assert isinstance(judge(address, own=()), Forbidden)


@given(st.ip_addresses(v=6))
def test_whatever_python_calls_not_global_is_forbidden_in_ipv6(address: IPv6Address) -> None:
    if not address.is_global or address.is_multicast:
        assert isinstance(judge(address, own=()), Forbidden)


def test_teredo_hides_two_addresses() -> None:
    hidden = embedded(IPv6Address("2001:0:c000:201::80ff:fffe"))
    assert (IPv4Address("192.0.2.1"), IPv4Address("127.0.0.1")) == hidden
