import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.errors import UsageError
from onionpath.path.countries import Countries

TABLE = Countries.parse("192.0.2.0/24,NL\n10.0.0.0/8,DE\n2001:db8::/32,FR\n192.0.4.0/24,SE\n")


@pytest.mark.parametrize(
    ("country", "host"),
    [
        ("NL", "192.0.2.0"),
        ("NL", "192.0.2.255"),
        (None, "192.0.3.0"),
        (None, "192.0.1.255"),
        ("SE", "192.0.4.9"),
        ("DE", "10.255.255.255"),
        (None, "11.0.0.0"),
        (None, "1.1.1.1"),
        ("FR", "2001:db8:ffff::1"),
        (None, "2001:db9::"),
        ("NL", "::ffff:192.0.2.9"),
        ("NL", "2002:c000:209::1"),
    ],
)
def test_an_address_is_in_the_country_of_its_network(country: str | None, host: str) -> None:
    assert country == TABLE.country(host)


def test_an_empty_table_knows_nothing() -> None:
    assert Countries.parse("").country("192.0.2.1") is None


@pytest.mark.parametrize(
    "line",
    [
        "192.0.2.1/24,NL",  # host bits
        "192.0.2.0,NL",  # no length
        "192.0.2.0/255.255.255.0,NL",
        "2001:DB8::/32,NL",
        "192.0.2.0/24,nl",
        "192.0.2.0/24,NLD",
        "192.0.2.0/24, NL",
        "192.0.2.0/24,NL,",
        "192.0.2.0/24",
        "nonsense,NL",
        "fe80::%1/64,NL",
        "192.0.2.0/24,NL\r",
        "192.0.2.0/24,NL\x0b203.0.113.0/24,NL",
        "",
    ],
)
def test_a_line_of_another_form_refuses_the_whole_table(line: str) -> None:
    with pytest.raises(UsageError, match="line 2"):
        Countries.parse(f"198.51.100.0/24,SE\n{line}\n")


@pytest.mark.parametrize(
    "other", ["192.0.2.0/24,SE", "192.0.2.255/32,SE", "192.0.2.128/25,NL", "192.0.0.0/16,SE"]
)
def test_a_table_says_one_thing_of_each_address(other: str) -> None:
    with pytest.raises(UsageError, match="overlap"):
        Countries.parse(f"192.0.2.0/24,NL\n{other}\n")


NETWORKS = st.sets(st.integers(0, 255), max_size=30)


@given(NETWORKS, st.integers(0, 0xFFFF))
def test_the_sorted_table_finds_what_a_walk_over_all_lines_finds(networks: set[int], low: int) -> None:
    lines = {f"10.{each}.0.0/16": chr(65 + each % 26) * 2 for each in networks}
    table = Countries.parse("".join(f"{network},{country}\n" for network, country in lines.items()))
    host = ipaddress.ip_address(0x0A00_0000 | low << 8)

    assert next((lines[each] for each in lines if host in ipaddress.ip_network(each)), None) == table.country(
        str(host)
    )
