"""How much of its time a relay's thread had nothing to do: next to nothing means that it gets too little of a core."""

from __future__ import annotations

import time
from pathlib import Path

# Nanoseconds on a core, then nanoseconds that it could have run and had to wait for one (Linux, sched-stats).
SCHEDULER_FILE = Path("/proc/thread-self/schedstat")


class Idleness:
    """Measures since it was last asked; made and asked in the thread that it is about."""

    def __init__(self) -> None:
        self._looked_at, self._busy_s = time.monotonic(), _busy_s()

    def share(self) -> float:
        """Part of the time since the last call in which the thread neither ran nor waited for a core, 0 to 1."""
        now, busy_s = time.monotonic(), _busy_s()
        passed_s, ran_s = now - self._looked_at, busy_s - self._busy_s
        self._looked_at, self._busy_s = now, busy_s
        return min(1.0, max(0.0, 1 - ran_s / passed_s)) if passed_s > 0 else 1.0


def _busy_s() -> float:
    try:
        ran_ns, waited_ns = SCHEDULER_FILE.read_bytes().split()[:2]
        return (int(ran_ns) + int(waited_ns)) / 1e9
    except (OSError, ValueError):
        # Elsewhere only the time on a core is known, so a relay that is starved looks idle and keeps its whole budget.
        return time.thread_time()
