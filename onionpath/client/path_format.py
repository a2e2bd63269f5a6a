"""What the formats of packets do differently; all else about a client's paths is shared.

A format seals a call for a path, carries it over a connection to the first hop, and says what its answer proves.
``native_format`` and ``session_format`` are the two there are; ``paths`` and ``asking`` know neither.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from onionpath.client.ready_path import ReadyPath
from onionpath.errors import Edge
from onionpath.onion.geometry import SizeClass
from onionpath.onion.statuses import Reason


class FirstHop(Protocol):
    """An open connection to a first hop."""

    @property
    def heard(self) -> int:
        """Grows with whatever comes in over it."""
        ...

    async def ping(self) -> None:
        """Until the relay has answered.

        Raises:
            UnreachableError: the connection broke.
        """
        ...

    async def aclose(self) -> None:
        """Close it: whatever is under way fails."""
        ...


class PathAnswer(Protocol):
    """What an answer says of the path over which it came."""

    @property
    def hop(self) -> int:
        """Index of the last hop whose seal opened."""
        ...

    @property
    def held_s(self) -> float:
        """For how long that one held the call, as it says."""
        ...

    @property
    def lying_edge(self) -> Edge | None:
        """Two neighbours that contradict each other."""
        ...

    @property
    def reason(self) -> Reason:
        """Why it refused, where it did."""
        ...


CallT = TypeVar("CallT")
AnswerT = TypeVar("AnswerT", bound=PathAnswer)
_GivenT = TypeVar("_GivenT", bound=PathAnswer, covariant=True)


class PathFormat(Protocol[CallT, _GivenT]):
    """One format of packets, with connections to first hops."""

    @property
    def names_edges(self) -> bool:
        """Whether relays say under their seals where a call got lost; otherwise a loss says nothing of the guard."""
        ...

    def reply_class(self, call: CallT) -> SizeClass:
        """With which replies this call's is to be compared when waits are learned."""
        ...

    def repeated(self, call: CallT) -> CallT:
        """The same call as a repetition, for an exit that remembers the first one."""
        ...

    async def carry(self, ready: ReadyPath, call: CallT, leaves: Callable[[FirstHop], None]) -> _GivenT:
        """Seal a call, send it over its path, and give the last hop's answer.

        Args:
            leaves: is told the connection just before the packet is sent over it.

        Raises:
            UnreachableError: the call, or its reply, got lost; at ``.edge`` if the format can tell.
        """
        ...
