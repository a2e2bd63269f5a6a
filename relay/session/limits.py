"""The numbers that bound what Session's clients and relays take from this one, each with its reason."""

from __future__ import annotations

from relay.listener import GateLimits
from relay.session.budget import BudgetLimits


def client_budget(per_second: float) -> BudgetLimits:
    """Of clients together; one address has a quarter of it, since a carrier's may stand for hundreds of people."""
    return BudgetLimits(
        source_per_second=per_second / 4, source_burst=per_second / 2, per_second=per_second, burst=per_second
    )


def relay_budget(per_second: float) -> BudgetLimits:
    """Of relays together: a path has three of them for each client's own relay, and one may bring half of all."""
    whole = 3 * per_second
    return BudgetLimits(source_per_second=whole / 2, source_burst=whole, per_second=whole, burst=whole)


def gate_limits(connections: int) -> GateLimits:
    """Of the door: as many connections as it has files for, an eighth of them from one address."""
    return GateLimits(connections=connections, per_source=max(8, connections // 8))
