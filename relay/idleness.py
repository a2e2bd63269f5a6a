"""How much of its time a relay's event loop waits: next to nothing means that it gets too little of a core."""

from __future__ import annotations

import time

import trio


class Idleness(trio.abc.Instrument):
    """Measures by being told before and after each wait; give it to ``trio.lowlevel.add_instrument``."""

    def __init__(self) -> None:
        self._waits_since = self._looked_at = time.monotonic()
        self._waited_s = 0.0

    def before_io_wait(self, timeout: float) -> None:
        """The loop has run all that could run."""
        self._waits_since = time.monotonic()

    def after_io_wait(self, timeout: float) -> None:
        """Something came, or is due."""
        self._waited_s += time.monotonic() - self._waits_since

    def share(self) -> float:
        """Part of the time since the last call in which the loop waited, 0 to 1."""
        now = time.monotonic()
        waited_s, passed_s = self._waited_s, now - self._looked_at
        self._waited_s, self._looked_at = 0.0, now
        return min(1.0, waited_s / passed_s) if passed_s > 0 else 1.0
