"""A handle on the real network that runs in another thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from onionpath.directory.trust import TrustRoot
from tests.relay.nodes import LocalNetwork

Run = Callable[..., tuple[int, str, str]]


class World:
    """What tests may ask of the network's thread."""

    def __init__(
        self,
        network: LocalNetwork,
        token: trio.lowlevel.TrioToken,
        *,
        shout_port: int,
        http_port: int,
        folder: Path,
    ) -> None:
        self.network = network
        self.shout_port = shout_port
        self.http_port = http_port
        self.stop = trio.Event()
        self._token = token
        self._file = folder / "network.json"
        self._file.write_bytes(network.root.encode())

    @property
    def root(self) -> TrustRoot:
        """The network's trust root."""
        return self.network.root

    @property
    def file(self) -> Path:
        """The trust root's file."""
        return self._file

    def run(self, work: Callable[..., Awaitable[Any]], *arguments: object) -> Any:
        """Run something in the network's loop; from a thread that may block."""
        return trio.from_thread.run(work, *arguments, trio_token=self._token)

    def run_sync(self, work: Callable[..., Any], *arguments: object) -> Any:
        """The same for a plain function."""
        return trio.from_thread.run_sync(work, *arguments, trio_token=self._token)

    def end(self) -> None:
        """Stop the network."""
        self.run_sync(self.stop.set)
