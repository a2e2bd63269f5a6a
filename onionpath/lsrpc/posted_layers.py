"""What becomes of the body that an exit has posted: a layer that may be answered, or a refusal outside of every seal.

A layer is remembered before anybody acts on it, and a replay gets the refusal of what does not open. The memory is a
process's own and ends with it; a full one refuses, and forgets nothing early.
Spec: docs/specs/session-server.md §2 and §4.
"""

from __future__ import annotations

from onionpath.crypto.session_channels import SessionPrivateKey
from onionpath.crypto.tags import TagKey
from onionpath.errors import PeerError
from onionpath.injected import Entropy, UnixTime
from onionpath.onion.replay import MemoryTables, Remembered, ReplayMemory
from onionpath.onion.session_refusals import Refusal, Refuse, refuse
from onionpath.onion.session_replay import remember_layer
from onionpath.onion.session_server import ServerLayer, open_posted

# A layer stands in two slots, and three quarters of a table are used: 786,432 layers in each 300 s, 2,621 in each
# second. One core opens 6,000 in a second and has no time left for an app. Three tables grow to 48 MiB.
REPLAY_ENTRIES = 2**21


class PostedLayers:
    """Opens what exits post, each layer once.

    Args:
        key: the server's.
        replay_entries: of each of three tables, a power of two, 8 bytes each; a quarter stays empty.
    """

    def __init__(
        self,
        key: SessionPrivateKey,
        *,
        entropy: Entropy,
        replay_entries: int = REPLAY_ENTRIES,
    ) -> None:
        self._key = key
        tables = MemoryTables(capacity=replay_entries)
        self._replays = ReplayMemory(tables, TagKey(entropy(32)))

    def open(self, posted: bytes, *, now: UnixTime) -> ServerLayer | Refuse:
        """The layer, which nobody has seen before; or what the exit is answered."""
        try:
            layer = open_posted(posted, self._key)
        except PeerError:
            return refuse(Refusal.UNREADABLE)
        match remember_layer(self._replays, layer.seed, now=now):
            case Remembered.FRESH:
                return layer
            case Remembered.FULL:
                return refuse(Refusal.BUSY)
        return refuse(Refusal.UNREADABLE)
