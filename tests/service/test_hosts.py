"""A host has one spelling, and every other one is refused before anything is resolved."""

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.errors import MalformedError
from onionpath.service.hosts import DnsName, parse_host


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "a.b",
        "localhost",
        "xn--mnchen-3ya.de",
        "1.example",
        "a-b.c-d",
        "a" * 63 + ".com",
        "3com.net",
    ],
)
def test_plain_names_are_read(host: str) -> None:
    assert DnsName(host) == parse_host(host.encode())


@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0.0", "2001:db8::1", "::1", "::", "2001:db8:0:1:1:1:1:1"])  # noqa: S104 Nothing listens here.
def test_canonical_addresses_are_read(host: str) -> None:
    assert ip_address(host) == parse_host(host.encode())


@pytest.mark.parametrize(
    "host",
    [
        # Other spellings of IPv4 addresses, which the C library would understand.
        *(
            "0177.0.0.1",
            "2130706433",
            "127.1",
            "127.0.1",
            "0x7f.1",
            "0x7f000001",
            "0x7F.0.0.1",
            "017700000001",
        ),
        *(
            "127.0.0.01",
            "127.0.0.1.",
            "127.0.0.256",
            "1.2.3.4.5",
            "1.2.3",
            "0",
            "00000177.1",
            "0x",
            "0xa.b.0xc",
        ),
        *(
            "127.0.0.0x1",
            "example.123",
            "example.0x7f",
            " 127.0.0.1",
            "127.0.0.1 ",
            "127.0.0.1\n",
            "+127.0.0.1",
        ),
        # Other spellings of IPv6 addresses, zones, brackets.
        *(
            "[::1]",
            "::1]",
            "[::1",
            "::0",
            "0:0:0:0:0:0:0:1",
            "2001:DB8::1",
            "2001:db8::0:1",
            "::ffff:127.0.0.1",
        ),
        *(
            "::ffff:7f00:1",
            "fe80::1%eth0",
            "fe80::1%25eth0",
            "::127.0.0.1",
            "64:ff9b::127.0.0.1",
            "1::2::3",
            ":",
        ),
        # Names that are not plain.
        *(
            "",
            ".",
            "..",
            ".com",
            "a..b",
            "example.com.",
            "Example.com",
            "a_b.com",
            "-a.com",
            "a-.com",
            "*.com",
        ),
        *(
            "a" * 64 + ".com",
            "a." * 126 + "com",
            "ex%61mple.com",
            "127%2e0.0.1",
            "user@example.com",
            "a:80",
            "a/b",
        ),
        *("a b.com", "a\0.com", "example.com\0", "example.com\n", "a\tb", "a?b", "a#b", "a\\b", "münchen.de"),
        *(
            "\uff11\uff12\uff17.0.0.1",
            "127\u30020\u30020\u30021",
            "\u24d4xample.com",
            "localhost\u200b",
            "example\u3002com",
            "\u0661.com",
            "http://a.com",
        ),
    ],
)
def test_every_other_spelling_is_refused(host: str) -> None:
    with pytest.raises(MalformedError):
        parse_host(host.encode())


@given(st.one_of(st.binary(max_size=300), st.from_regex(rb"\A[0-9a-fx.:]{1,40}\Z")))
def test_what_is_read_has_exactly_the_spelling_that_came(host: bytes) -> None:
    try:
        parsed = parse_host(host)
    except MalformedError:
        return
    assert host == (parsed.text if isinstance(parsed, DnsName) else str(parsed)).encode()


@given(st.ip_addresses(v=4))
def test_every_ipv4_address_is_read_as_itself(address: IPv4Address) -> None:
    assert address == parse_host(str(address).encode())


def test_names_of_the_local_network_are_not_public() -> None:
    private = ["printer.local", "a.onion", "db.internal", "x.invalid", "local", "y.alt"]
    assert [False] * 6 == [DnsName(name).is_public for name in private]
    assert [True] * 3 == [DnsName(name).is_public for name in ("local.com", "xlocal", "onion.ly")]


def test_localhost_and_what_is_below_it_are_this_machine() -> None:
    assert [True, True, False] == [
        DnsName(name).is_localhost for name in ("localhost", "a.localhost", "xlocalhost")
    ]
