"""The processes of a local network, seen from the program that wanted them.

``Processes`` starts one forking process (``forking``), gives it orders and follows its events. It has no thread: events
are taken in while something is waited for, and by ``check``.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from onionpath.errors import DeadlineError, OnionPathError
from simulations.local.protocol import (
    Event,
    Exited,
    Lines,
    Order,
    Program,
    Ready,
    Signal,
    Start,
    Started,
    encode_line,
    events,
)

# What a relay may take to drain, and the forking process after it.
CLOSE_S = 15.0
REPOSITORY = Path(__file__).parents[2]


class ProcessFailedError(OnionPathError):
    """A process of the local network ended although nobody asked it to; the message has the end of its log."""

    def __init__(self, name: str, code: int, log: str) -> None:
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        super().__init__(f"{name} ended by itself ({how})" + (f"; its log ends:\n{log}" if log else ""))
        self.name = name
        self.code = code


class _Child(NamedTuple):
    start: Start
    pid: int


class Processes:
    """Starts and ends named processes; use it with ``with``.

    Args:
        errors: where the forking process itself writes what goes wrong in it.
    """

    def __init__(self, errors: Path) -> None:
        self._errors = errors
        self._lines = Lines()
        self._wanted: dict[str, Start] = {}
        self._running: dict[str, _Child] = {}
        self._ready: set[str] = set()
        self._exits: Counter[str] = Counter()
        self._unexpected: tuple[str, int] | None = None

    def __enter__(self) -> Processes:
        with self._errors.open("ab") as errors:
            # A session of its own: a Ctrl-C in the terminal reaches us alone, and we end the others in order.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "simulations.local.forking"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=REPOSITORY,
                bufsize=0,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The forking process's."""
        return self._process.pid

    def pids(self) -> dict[str, int]:
        """The running processes."""
        self._take_events(0)
        return {name: child.pid for name, child in self._running.items()}

    # Orders.

    def start(self, name: str, program: Program, settings: Path, log: Path) -> None:
        """Have a process started; ``wait_ready`` waits for it."""
        start = Start(name, program, str(settings), str(log))
        self._wanted[name] = start
        self._ready.discard(name)
        self._send(start)

    def wait_ready(self, *names: str, timeout_s: float) -> None:
        """Wait until they all serve.

        Raises:
            ProcessFailedError: one ended. DeadlineError: it takes too long.
        """
        self.wait_for(
            lambda: self._ready.issuperset(names), timeout_s=timeout_s, what=f"{', '.join(names)} to serve"
        )

    def signal(self, name: str, number: int) -> None:
        """Send a signal that doesn't end it."""
        self._send(Signal(name, number))

    def end(self, name: str, number: int, *, timeout_s: float = CLOSE_S) -> None:
        """Send a signal that ends it, and wait until it is gone."""
        self._wanted.pop(name, None)
        before = self._exits[name]
        self._send(Signal(name, number))
        self.wait_for(lambda: self._exits[name] > before, timeout_s=timeout_s, what=f"{name} to end")

    def _send(self, order: Order) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(encode_line(order))
        except BrokenPipeError as error:
            raise self._forking_failed() from error

    # Events.

    def check(self, *, timeout_s: float = 0) -> None:
        """Take in what happened, for at most so long.

        Raises:
            ProcessFailedError: a process ended unasked.
        """
        self._take_events(timeout_s)
        if self._unexpected is not None:
            name, code = self._unexpected
            raise ProcessFailedError(name, code, last_lines(Path(self._wanted[name].log)))

    def wait_for(self, is_so: Callable[[], bool], *, timeout_s: float, what: str) -> None:
        """Wait for a condition, looking again after each event and every 20 ms.

        Raises:
            ProcessFailedError, DeadlineError.
        """
        ends_at = time.monotonic() + timeout_s
        while not is_so():
            if time.monotonic() >= ends_at:
                raise DeadlineError(f"waited {timeout_s:.0f} s for {what}")
            self.check(timeout_s=0.02)

    def _take_events(self, timeout_s: float) -> None:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while select.select([pipe], [], [], timeout_s)[0]:
            data = os.read(pipe, 65_536)
            if not data:
                raise self._forking_failed()
            for line in self._lines.take(data):
                self._note(events.decode(line))
            timeout_s = 0

    def _note(self, event: Event) -> None:
        match event:
            case Started(name, pid):
                self._running[name] = _Child(self._wanted[name], pid)
            case Ready(name):
                self._ready.add(name)
            case Exited(name, code):
                self._running.pop(name, None)
                self._ready.discard(name)
                self._exits[name] += 1
                if name in self._wanted and self._unexpected is None:
                    self._unexpected = name, code

    def _forking_failed(self) -> ProcessFailedError:
        return ProcessFailedError("the forking process", self._process.wait(), last_lines(self._errors))

    # The end.

    def close(self) -> None:
        """End all of them; when interrupted while waiting, at once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(CLOSE_S)
        except BaseException as error:
            # The kernel takes its children along.
            self._process.kill()
            self._process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
        finally:
            self._process.stdout.close()


def last_lines(file: Path, count: int = 8) -> str:
    """The end of a log; nothing when there is none."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-count:])
