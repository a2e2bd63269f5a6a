"""What became of a probe, as whoever carried it out tells whoever judges. Spec: docs/specs/measuring.md §3."""

from __future__ import annotations

from dataclasses import dataclass

from onionpath.crypto.identity import RelayId
from onionpath.errors import Edge
from onionpath.injected import UnixTime


@dataclass(frozen=True, slots=True)
class Echoed:
    """A small echo came back, and then these of the train.

    Args:
        sent, back: large packets of the train, and how many of them came back.
        kib: what came back, so what passed each relay in one direction at least.
        seconds: from the train's start until its end, or until nobody waited any longer.
    """

    sent: int = 0
    back: int = 0
    kib: float = 0.0
    seconds: float = 0.0

    @property
    def kib_s(self) -> float | None:
        """The rate that it shows, if a train was sent; less for each packet that was lost.

        Without that, whoever returned one packet at once and dropped the others would look fast.
        """
        if not self.sent or self.seconds <= 0:
            return None
        return self.kib / self.seconds * self.back / self.sent


@dataclass(frozen=True, slots=True)
class Broken:
    """No echo came back; ``edge`` is where it broke, with -1 for the authority itself."""

    edge: Edge


Outcome = Echoed | Broken


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one probe.

    Args:
        path: its relays.
        rated: the relay whose rate it shows, if a train was sent.
    """

    path: tuple[RelayId, ...]
    rated: RelayId | None
    outcome: Outcome
    at: UnixTime
