"""The numbers that bound what Session's clients and relays take from this one, each with its reason.

Measured here, a client's onion takes a relay 0.45 to 0.6 ms and another relay's message 0.35 to 0.5 ms, with TLS, HTTP
and links. The default of 500 onions of clients in a second is a quarter of a core, and three times as many of
relays are the rest of it, since a path has one first relay and three others.
"""

from __future__ import annotations

from relay.listener import GateLimits
from relay.session.budget import BudgetLimits


def client_budget(per_second: float) -> BudgetLimits:
    """Of clients together; one address has a quarter of it, since a carrier's may stand for hundreds of people."""
    return BudgetLimits(
        source_per_second=per_second / 4, source_burst=per_second / 2, per_second=per_second, burst=per_second
    )


def relay_budget(per_second: float) -> BudgetLimits:
    """Of relays together: three times what clients have, of which one relay may bring half."""
    whole = 3 * per_second
    return BudgetLimits(source_per_second=whole / 2, source_burst=whole, per_second=whole, burst=whole)


def gate_limits(connections: int) -> GateLimits:
    """Of the door: as many connections as it has files for, a quarter of them from one address.

    Session's clients make many and short ones, often from an address that they share, so a source may make more of
    them than of links.
    """
    return GateLimits(connections=connections, per_source=max(8, connections // 4), per_second=50, burst=200)
