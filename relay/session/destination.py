"""What answers the calls that end at this relay: the storage of a swarm, whether asked by onion or directly."""

from __future__ import annotations

from typing import Protocol

from onionpath.onion.session_packets import SessionReply


class Destination(Protocol):
    """Answers calls of method and params."""

    async def answer(self, request: bytes, *, max_reply: int) -> SessionReply:
        """Answer, or refuse by value; raising is a bug, which the caller gets as 500 and which is counted.

        Args:
            request: UTF-8 JSON of method and params, unchecked, up to 10 MiB.
            max_reply: bytes that the reply's body may have.
        """
        ...
