"""What a client needs of the network that it is for; one for each packet format.

``native_network`` fetches a signed directory and carries calls and streams over links; ``session_network`` is given a
list of Session nodes and posts to them over HTTPS. ``client`` knows their life, and none of their packets.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from anyio.abc import TaskGroup

from onionpath.client.dial import Dial
from onionpath.client.pace import LoopPace
from onionpath.client.path_pool import PathPool
from onionpath.client.ready_path import Need
from onionpath.client.status import Status
from onionpath.crypto.identity import RelayId
from onionpath.errors import OnionPathError
from onionpath.injected import Entropy, UnixTime
from onionpath.onion.session_packets import SessionReply
from onionpath.path.relays import RelayList


@dataclass(frozen=True, slots=True)
class Means:
    """What a client gives its network for good.

    Args:
        pool: from which paths are taken.
        dial: how connections are made.
        hedges: see ``Client``.
        report: is told how each exchange ended: None, or what went wrong.
        changed: is told when the status has to be shown anew.
        state: folder for what outlives the process, of whatever network, or None.
        choice, entropy: the system's.
    """

    pool: PathPool
    dial: Dial
    hedges: bool
    clock: Callable[[], UnixTime]
    report: Callable[[OnionPathError | None], None]
    changed: Callable[[], None]
    state: Path | None
    choice: random.Random
    entropy: Entropy = os.urandom


class Network(Protocol):
    """One network's side of a client."""

    @property
    def network_id(self) -> bytes:
        """32 bytes that stand in the network's files."""
        ...

    @property
    def folder(self) -> Path | None:
        """For what outlives the process, or None."""
        ...

    @property
    def relays(self) -> RelayList:
        """From which paths are drawn now.

        Raises:
            MissingDirectoryError: there is nothing yet.
        """
        ...

    def need(self, port: int | None) -> Need:
        """What a path is for that a person looks at: to connect to this port, or to any."""
        ...

    def open(self, tasks: TaskGroup, pace: LoopPace) -> None:
        """The client is entered: connections may be made, by tasks of this group."""
        ...

    async def start(self) -> None:
        """Make sure that there are relays.

        Raises:
            DirectoryError, UnreachableError: there are none.
        """
        ...

    async def keep(self) -> None:
        """Keep them up to date, until cancelled."""
        ...

    def describe(self, status: Status) -> Status:
        """The same with what there is to say of the network."""
        ...

    @property
    def document_number(self) -> int | None:
        """See ``Client.document_number``."""
        ...

    def swarm_of(self, account: bytes) -> tuple[RelayId, ...]:
        """See ``Client.swarm_of``."""
        ...

    async def ask_storage(
        self, member: RelayId, request: bytes, *, deadline_s: float, isolation: str, large_reply: bool
    ) -> SessionReply:
        """See ``Client.ask_storage``."""
        ...

    async def end_streams(self) -> None:
        """Close what programs hold open; takes a second at most."""
        ...

    async def aclose(self) -> None:
        """Close all connections; what is under way fails."""
        ...
