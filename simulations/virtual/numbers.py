"""Numbers of the programs that stand in their I/O; tests hold each against the original."""

from __future__ import annotations

from typing import Final

# Of a relay: how long it drains, and how often it looks whether it is done.
DRAIN_S: Final = 10.0
DRAIN_LOOK_EVERY_S: Final = 0.05
# Of an authority that waits for its first relays.
AUTHORITY_TICK_S: Final = 0.1
