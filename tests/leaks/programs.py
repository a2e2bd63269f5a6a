"""A relay as its operator runs it: the program itself, in the place of one of a local network's relays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from simulations.local.network import LocalRelay

ROOT = Path(__file__).parents[2]
START_S = 20.0


class RelayProgram:
    """``onionpath-relay run`` with the folder of a relay that was stopped."""

    def __init__(self, relay: LocalRelay, process: subprocess.Popen[bytes], log: Path) -> None:
        self.relay = relay
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        """What it has printed, on both ways."""
        return self._log.read_text()

    def wait_for(self, is_so: Callable[[], bool], *, timeout_s: float) -> bool:
        """Whether it became so in time."""
        ends_at = time.monotonic() + timeout_s
        while not is_so():
            if time.monotonic() > ends_at:
                return False
            time.sleep(0.01)
        return True

    def ends_within(self, seconds: float) -> int | None:
        """Its exit code; None if it runs on."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


@contextmanager
def relay_program(relay: LocalRelay, log: Path) -> Iterator[RelayProgram]:
    """Run it until the end of the block; it serves at its beginning."""
    command = [sys.executable, "-m", "relay", "run", str(relay.folder / "relay.toml")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ}
        )
    program = RelayProgram(relay, process, log)
    try:
        # It carries packets for paths once it has the directory, which it kept on disk.
        assert program.wait_for(
            lambda: '"identity' in program.log or "ready: " in program.log, timeout_s=START_S
        )
        yield program
    finally:
        process.kill()
        process.wait()
