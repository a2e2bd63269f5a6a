"""How one exchange over a path ended: the one value by which a client learns from what happened."""

from __future__ import annotations

from dataclasses import dataclass

from onionpath.errors import Edge
from onionpath.onion.geometry import SizeClass


@dataclass(frozen=True, slots=True)
class Ended:
    """One exchange, from the packet's leaving to its end.

    Args:
        reply_class: of the reply that was asked for.
        took_s: seconds until its end, without the time for which the last hop held it.
        speaker: index of the last hop whose seal opened; None if nobody was heard.
        edge: between whom it broke or somebody lies; None for a flawless answer, and where nobody knows.
        is_answered: the last hop answered, whatever it said.
        is_ours: nothing at all came in meanwhile, so that it may be our own link that was lost.
        counts_for_guard: it says something of what the guard does with paths, as it does where relays name edges.
    """

    reply_class: SizeClass
    took_s: float
    speaker: int | None = None
    edge: Edge | None = None
    is_answered: bool = False
    is_ours: bool = False
    counts_for_guard: bool = True

    @property
    def is_lost(self) -> bool:
        """Whether nobody said anything."""
        return self.speaker is None and self.edge is None
