"""What relays ask each other over their links, without an onion: the question's side and the answer's side.

Spec: docs/specs/link.md §9.
"""

from __future__ import annotations

from typing import Protocol

from onionpath.crypto.identity import RelayId
from onionpath.onion.statuses import Reason


class AsksPeers(Protocol):
    """Whoever can ask another relay; ``Peers`` does it over the links of this relay."""

    async def ask(self, relay: RelayId, service: int, body: bytes, *, timeout_s: float) -> bytes | Reason:
        """Ask a relay of the newest document, and wait for its answer for so long.

        Args:
            service: its number on the wire, a ``ServiceId`` that is for relays only.
            body: up to ``MOST_BYTES`` bytes; the answer has as many at most.

        Returns:
            The answer, or why there is none: the peer's own reason, or ``NEXT_…`` if it could not be asked. Only
            ``NEXT_UNKNOWN``, ``NEXT_UNREACHABLE`` and ``SERVICE_BUSY`` say that the peer did not act on it.
        """
        ...


class PeerService(Protocol):
    """What another relay may ask of us, and nobody else."""

    async def answer(self, peer: RelayId, body: bytes) -> bytes | Reason:
        """Answer a relay that has proven itself, with ``MOST_BYTES`` bytes at most, or refuse by value.

        It is cancelled when the peer gives up, or after the time that a transfer has. Raising is a bug, which is
        answered as ``SERVICE_FAILED`` and counted.
        """
        ...
