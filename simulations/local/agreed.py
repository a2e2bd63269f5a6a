"""What a local network's authorities agreed on, as each of them says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulations.local.network import LocalNetwork


@dataclass(frozen=True, slots=True)
class Agreed:
    """The document on which the network runs.

    Args:
        number: of it.
        relays: that it lists.
        authorities: how many there are.
        needed: how many of them must sign.
        signatures: the most that one of them has seen.
    """

    number: int
    relays: int
    authorities: int
    needed: int
    signatures: int


def agreed(network: LocalNetwork) -> Agreed:
    """Ask each authority.

    Raises:
        UsageError: one isn't running.
    """
    told = [authority.status() for authority in network.authorities]
    newest = max(told, key=lambda status: status.number)
    signatures = max(status.signatures for status in told)
    return Agreed(newest.number, newest.listed, len(told), newest.needed, signatures)
