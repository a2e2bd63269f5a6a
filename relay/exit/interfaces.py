"""The addresses of this machine's interfaces, which no caller may reach through it.

Linux lists them in /proc/net; elsewhere the addresses of the machine's own name have to do.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Collection
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from onionpath.service.exit_policy import IPAddress

_LEAF = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")


# Reading takes up to a millisecond of the thread that carries everybody's packets; an interface that is younger than
# this has hardly been told to anybody.
KEEP_S = 3.0


class OwnAddresses:
    """Gives this machine's addresses, at most three seconds old.

    Args:
        clock: seconds that never go back.
        net: see ``own_addresses``.
        advertised: addresses by which others reach it; behind a translator no interface has them.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        net: Path = Path("/proc/net"),
        *,
        advertised: Collection[IPAddress] = (),
    ) -> None:
        self._clock = clock
        self._net = net
        self._advertised = frozenset(advertised)
        self._read_at: float | None = None
        self._addresses: frozenset[IPAddress] = frozenset()

    def __call__(self) -> frozenset[IPAddress]:
        """The addresses now."""
        now = self._clock()
        if self._read_at is None or now - self._read_at >= KEEP_S:
            self._addresses, self._read_at = own_addresses(self._net) | self._advertised, now
        return self._addresses


def own_addresses(net: Path = Path("/proc/net")) -> frozenset[IPAddress]:
    """Read them now; they change when interfaces do, so a long-lived process asks again."""
    found: set[IPAddress] = set()
    for file, parse in (("fib_trie", parse_fib_trie), ("if_inet6", parse_if_inet6)):
        try:
            found |= parse((net / file).read_text())
        except OSError:  # Another system, or one without this family.
            continue
    return frozenset(found) or _addresses_of_own_name()


def parse_fib_trie(text: str) -> set[IPAddress]:
    """The local addresses in Linux's IPv4 routing trie."""
    return {IPv4Address(leaf) for leaf in _LEAF.findall(text)}


def parse_if_inet6(text: str) -> set[IPAddress]:
    """The addresses in Linux's table of IPv6 interfaces: 32 hexadecimal digits begin each line."""
    return {IPv6Address(bytes.fromhex(line.split()[0])) for line in text.splitlines() if line}


# Asked once: the answer may have to wait for the DNS, and everybody's packets with it.
@cache
def _addresses_of_own_name() -> frozenset[IPAddress]:
    try:
        entries = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return frozenset()
    # A link-local address comes with its zone, which isn't part of it.
    return frozenset(ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries)
