"""``python -m simulations.bench.steps_relay SETTINGS READY_FD``: a relay that measures each step of its tasks.

It is the relay's own ``run_relay``; from the moment it serves, every task's step is timed. At the end it prints one
JSON object: how many steps there were, and the longest in milliseconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import trio

from relay.daemon import run_relay
from relay.logs import configure_logs
from relay.serving import Ready
from relay.settings import RelaySettings
from relay.settings_files import load_settings

SLOWEST = 5


class StepMeter(trio.abc.Instrument):
    """Durations of all steps between ``begin`` and ``end``, by the clock on the wall, as those who wait feel them."""

    def __init__(self) -> None:
        self._durations: list[tuple[int, str]] = []
        self._began = 0
        self._is_measuring = False

    def begin(self) -> None:
        """Measure from the next step on."""
        self._is_measuring = True

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Called by trio."""
        # The step that says "ready" has begun before we measure, with the relay's start.
        self._began = time.perf_counter_ns() if self._is_measuring else 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Called by trio."""
        if self._began:
            self._durations.append((time.perf_counter_ns() - self._began, task.name))

    def summary(self) -> dict[str, object]:
        """Milliseconds: the longest, 99.9 % and 99 % of steps; and whose the longest were."""
        ordered = sorted(self._durations)
        return {
            "steps": len(ordered),
            "max_ms": _milliseconds(ordered[-1][0]),
            "p99_9_ms": _milliseconds(_quantile(ordered, 0.999)),
            "p99_ms": _milliseconds(_quantile(ordered, 0.99)),
            "slowest": [[_milliseconds(taken), name] for taken, name in ordered[: -SLOWEST - 1 : -1]],
        }


def _quantile(ordered: list[tuple[int, str]], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))][0]


def _milliseconds(nanoseconds: int) -> float:
    return round(nanoseconds / 1e6, 2)


def main() -> None:
    """Run until SIGTERM, then print."""
    settings = load_settings(Path(sys.argv[1]), RelaySettings, environment={}, flags={})
    configure_logs(settings.log.level, settings.log.format)
    meter = StepMeter()

    def ready(announced: Ready) -> None:
        with os.fdopen(int(sys.argv[2]), "w", encoding="ascii") as file:
            file.write(f"{announced.pid}\n")
        meter.begin()

    async def run() -> None:
        await run_relay(settings, ready=ready)

    trio.run(run, instruments=[meter])
    sys.stdout.write(json.dumps(meter.summary()) + "\n")


if __name__ == "__main__":
    main()
