"""How much of this relay's time callers may use for opening layers: each of them, and all together.

Spec: docs/specs/session-onion.md §12.5.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from onionpath.injected import UnixTime
from relay.packet_rate import PacketRate

# Opening so many bytes takes about as long as the key exchange before it.
BYTES_PER_OPENING = 100 * 1024


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """Openings in a second, and at once after a quiet time: from one source, and from all."""

    source_per_second: float
    source_burst: float
    per_second: float
    burst: float


class Budget:
    """One budget, in bounded memory: of the sources beyond the remembered ones it forgets who asked longest ago."""

    REMEMBERED_SOURCES = 16_384

    def __init__(self, limits: BudgetLimits, *, now: UnixTime) -> None:
        self._limits = limits
        self._all = PacketRate.full(limits.per_second, limits.burst, now)
        self._sources: OrderedDict[str, PacketRate] = OrderedDict()

    def draw(self, source: str, size: int, *, now: UnixTime) -> bool:
        """Whether a layer of ``size`` bytes may be opened for this source; then it is paid for."""
        # The source pays first: what it has too little for costs the others nothing.
        return _draw(self._of(source, now), size, now) and _draw(self._all, size, now)

    def charge(self, source: str, size: int, *, now: UnixTime) -> None:
        """Have this source pay for an answer of ``size`` bytes, since a few bytes may ask for a long one."""
        rate, price = self._of(source, now), size // BYTES_PER_OPENING
        # Answers that were asked for together cost more than the source has left: what it then owes is not the others'.
        self._all.charge(min(price, max(0.0, rate.tokens)))
        rate.charge(price)

    def _of(self, source: str, now: UnixTime) -> PacketRate:
        rate = self._sources.pop(source, None)
        if rate is None:
            if len(self._sources) >= self.REMEMBERED_SOURCES:
                self._sources.popitem(last=False)
            rate = PacketRate.full(self._limits.source_per_second, self._limits.source_burst, now)
        self._sources[source] = rate
        return rate


def _draw(rate: PacketRate, size: int, now: UnixTime) -> bool:
    if not rate.take(now):
        return False
    rate.charge(size // BYTES_PER_OPENING)
    return True
