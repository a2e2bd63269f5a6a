"""Which addresses and ports an exit lets its callers reach: the first matching rule wins, no match denies.

A rule reads ``accept NETWORK:PORTS`` or ``reject NETWORK:PORTS``. NETWORK is ``*``, an IPv4 network
(``192.0.2.0/24``) or an IPv6 network in brackets (``[2001:db8::/32]``), a single address as well
(``192.0.2.1/32``); PORTS is ``*``, ``443`` or ``80-81``. Relays sign their rules into the descriptor, clients read
them there, and the exit asks them again when it dials. Whether an address is public at all is another question, which
the exit's own table answers (docs/specs/stream.md §8).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from onionpath.errors import UsageError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# Rules travel in every descriptor and are walked for every dial; long lists belong into a firewall.
MAX_RULES = 256
MAX_PORT = 65535

# What an exit allows unless its operator says more. Everything else is denied by being unlisted, among it
# what exits are abused for: mail (25, 465, 587), news (119, 563), Windows shares (135-139, 445) and file
# sharing (1214, 4661-4666, 6346-6429, 6699, 6881-6999).
DEFAULT_RULES = ("accept *:443", "accept *:80")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a policy; ``network`` is None for ``*``, the ports are inclusive."""

    accepts: bool
    network: IPNetwork | None
    first_port: int
    last_port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one rule in its canonical spelling.

        Raises:
            UsageError: anything else, among it host bits in a network and ports outside 1 to 65535.
        """
        action, space, target = text.partition(" ")
        network, colon, ports = target.rpartition(":")
        if action not in ("accept", "reject") or not space or not colon:
            raise UsageError(f"an exit rule reads 'accept|reject NETWORK:PORTS', not {text!r}")
        try:
            return cls(action == "accept", _parse_network(network), *_parse_ports(ports))
        except UsageError as error:
            raise UsageError(f"in the exit rule {text!r}: {error}") from error

    def __str__(self) -> str:
        action = "accept" if self.accepts else "reject"
        match self.network:
            case None:
                network = "*"
            case ipaddress.IPv6Network():
                network = f"[{self.network}]"
            case _:
                network = str(self.network)
        return f"{action} {network}:{self._ports()}"

    def _ports(self) -> str:
        if (self.first_port, self.last_port) == (1, MAX_PORT):
            return "*"
        if self.first_port == self.last_port:
            return str(self.first_port)
        return f"{self.first_port}-{self.last_port}"

    def has_port(self, port: int) -> bool:
        """Whether the rule speaks of this port."""
        return self.first_port <= port <= self.last_port

    def has_address(self, address: IPAddress) -> bool:
        """Whether the rule speaks of this address; a network of the other family never does."""
        return self.network is None or address in self.network

    def covers(self, other: Rule) -> bool:
        """Whether every address of the other rule's network is in this one's."""
        if self.network is None or other.network is None:
            return self.network is None
        ours, theirs = self.network, other.network
        return (
            ours.version == theirs.version
            and ours.prefixlen <= theirs.prefixlen
            and theirs.network_address in ours
        )


@dataclass(frozen=True, slots=True)
class ExitPolicy:
    """The rules of one exit, in order. Without rules, everything is denied."""

    _rules: tuple[Rule, ...] = ()

    @classmethod
    def parse(cls, rules: Sequence[str]) -> Self:
        """Read rules, at most 256.

        Raises:
            UsageError: a rule is not in its canonical spelling, or there are too many.
        """
        if len(rules) > MAX_RULES:
            raise UsageError(f"an exit policy has at most {MAX_RULES} rules, not {len(rules)}")
        return cls(tuple(Rule.parse(rule) for rule in rules))

    @property
    def rules(self) -> tuple[str, ...]:
        """The canonical text of each rule; ``parse`` gives the same policy back."""
        return tuple(str(rule) for rule in self._rules)

    def allows(self, address: IPAddress, port: int) -> bool:
        """Whether the first rule that matches accepts; an IPv4 address mapped into IPv6 counts as IPv4."""
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        for rule in self._rules:
            if rule.has_port(port) and rule.has_address(address):
                return rule.accepts
        return False

    def may_allow_port(self, port: int) -> bool:
        """Whether some address may be reached at this port, for a name that isn't resolved yet.

        It errs only towards True: rejects that cover an accepted network only together are not added up.
        """
        rejects: list[Rule] = []
        for rule in self._rules:
            if not rule.has_port(port):
                continue
            if not rule.accepts:
                rejects.append(rule)
            elif not any(reject.covers(rule) for reject in rejects):
                return True
        return False


def _parse_network(text: str) -> IPNetwork | None:
    if text == "*":
        return None
    bracketed = text.startswith("[") and text.endswith("]")
    inner = text[1:-1] if bracketed else text
    try:
        network: IPNetwork = (ipaddress.IPv6Network if bracketed else ipaddress.IPv4Network)(inner)
    except ValueError as error:
        raise UsageError(f"{text!r} is not a network: {error}") from error
    # One network has one spelling, so that equal rules are equal bytes in every descriptor. A zone would
    # name an interface of somebody else's machine.
    if "%" in inner or inner != str(network):
        raise UsageError(f"write the network {text!r} as {network}")
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        # Addresses are unmapped before they are compared, so such a rule would never match.
        raise UsageError(f"write {text!r} as the IPv4 network that it means")
    return network


def _parse_ports(text: str) -> tuple[int, int]:
    if text == "*":
        return 1, MAX_PORT
    first, dash, last = text.partition("-")
    low, high = _parse_port(first), _parse_port(last if dash else first)
    if low > high:
        raise UsageError(f"the ports {text!r} run backwards")
    return low, high


def _parse_port(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 5 and not text.startswith("0"):
        port = int(text)
        if port <= MAX_PORT:
            return port
    raise UsageError(f"{text!r} is not a port from 1 to {MAX_PORT}")
