"""In which country an address is, by a table that the user gives; we ship none, because they age and have licences.

Spec: docs/specs/paths.md §1.5.
"""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Self

from onionpath.errors import UsageError
from onionpath.path.embedded import translated_ipv4

# Public tables of the whole internet have half of it.
MAX_LINES = 1_000_000
_COUNTRY = re.compile(r"[A-Z]{2}")


class _Range(NamedTuple):
    first: int
    last: int
    country: str


@dataclass(frozen=True, slots=True, eq=False)
class Countries:
    """Ranges of addresses with their countries, in order and without overlap."""

    _v4: tuple[_Range, ...] = ()
    _v6: tuple[_Range, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read lines of ``network,country``, for example ``192.0.2.0/24,NL``, at most 1,000,000.

        Raises:
            UsageError: a line has another form, or two networks overlap; nothing of the table is used then.
        """
        lines = text.removesuffix("\n").split("\n") if text else []
        if len(lines) > MAX_LINES:
            raise UsageError(f"a table of countries has at most {MAX_LINES} lines")
        v4: list[_Range] = []
        v6: list[_Range] = []
        for number, line in enumerate(lines, 1):
            version, found = _parse_line(line, number)
            (v4 if version == 4 else v6).append(found)
        return cls(_ordered(v4), _ordered(v6))

    def country(self, host: str) -> str | None:
        """The two letters for an IP literal, None where the table doesn't say; 6to4 and the like count as IPv4."""
        address = ipaddress.ip_address(host)
        if isinstance(address, ipaddress.IPv6Address):
            address = translated_ipv4(address) or address
        return _find(self._v4 if address.version == 4 else self._v6, int(address))


def _parse_line(line: str, number: int) -> tuple[int, _Range]:
    network_text, _, country = line.partition(",")
    try:
        network = ipaddress.ip_network(network_text)
    except ValueError as error:
        raise UsageError(f"line {number} of the table of countries: {error}") from error
    # One spelling for one network, so that a table can be searched by eye; a zone is somebody's interface.
    is_canonical = str(network) == network_text and "%" not in network_text
    if not is_canonical or not _COUNTRY.fullmatch(country):
        raise UsageError(
            f"line {number} of the table of countries is not 'network,country' like 192.0.2.0/24,NL"
        )
    return network.version, _Range(int(network.network_address), int(network.broadcast_address), country)


def _ordered(ranges: list[_Range]) -> tuple[_Range, ...]:
    ranges.sort()
    for one, two in pairwise(ranges):
        if two.first <= one.last:
            raise UsageError(
                "two networks of the table of countries overlap, so it says two things of one address"
            )
    return tuple(ranges)


def _find(ranges: Sequence[_Range], address: int) -> str | None:
    index = bisect_right(ranges, address, key=lambda each: each.first) - 1
    return ranges[index].country if index >= 0 and address <= ranges[index].last else None
