"""``python -m simulations.local.forking``: imports the relay once, then forks a child for each order.

Importing costs half a second per process; a fork costs milliseconds. Orders come on standard input, events leave on
standard output. The end of standard input, or SIGTERM, ends the children and then this process; when this process is
killed, the kernel kills the children, so nothing outlives it.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NoReturn

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
    orders,
)

# Two seconds more than a relay takes to finish what is under way.
STOP_S = 12.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_STDIN, _EVENTS = 0, 1
_ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class Children:
    """The running children by name, and their pidfds, by which the kernel tells us of their end."""

    def __init__(self) -> None:
        self._pids: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._poll = select.poll()
        self._poll.register(_STDIN, select.POLLIN)

    def run(self) -> None:
        """Carry out orders until standard input ends."""
        lines = Lines()
        while True:
            if _STDIN in self._wait(None):
                data = os.read(_STDIN, 65_536)
                if not data:
                    return
                for line in lines.take(data):
                    self._carry_out(orders.decode(line))

    def stop(self) -> None:
        """End all children: first politely, after 12 s by force."""
        self._poll.unregister(_STDIN)
        for name in list(self._pids):
            self._signal(name, signal.SIGTERM)
        ends_at = time.monotonic() + STOP_S
        while self._pids and (left_s := ends_at - time.monotonic()) > 0:
            self._wait(left_s)
        for name in list(self._pids):
            self._signal(name, signal.SIGKILL)
        while self._pids:
            self._wait(None)

    def _wait(self, timeout_s: float | None) -> list[int]:
        timeout_ms = None if timeout_s is None else max(1.0, 1000 * timeout_s)
        ready = [fd for fd, _ in self._poll.poll(timeout_ms)]
        for pidfd in ready:
            if pidfd in self._names:
                self._reap(pidfd)
        return ready

    def _carry_out(self, order: Order) -> None:
        match order:
            case Start():
                self._fork(order)
            case Signal(name, number):
                self._signal(name, number)

    def _fork(self, order: Start) -> None:
        parent = os.getpid()
        # Until the child has handlers of its own it has ours, and the interpreter swallows what they raise while it
        # puts itself in order after the fork: the signal would be lost. We, too, must not end before we know it.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        pid = os.fork()
        if pid == 0:
            _become(order, parent)
        pidfd = os.pidfd_open(pid)
        self._pids[order.name], self._names[pidfd] = pid, order.name
        self._poll.register(pidfd, select.POLLIN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        _tell(Started(order.name, pid))

    def _signal(self, name: str, number: int) -> None:
        # Only we reap, so the id of an unreaped child still means that child.
        if name in self._pids:
            os.kill(self._pids[name], number)

    def _reap(self, pidfd: int) -> None:
        name = self._names.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(self._pids.pop(name), 0)
        _tell(Exited(name, os.waitstatus_to_exitcode(status)))


def _tell(event: Event) -> None:
    try:
        os.write(_EVENTS, encode_line(event))
    except BrokenPipeError:
        return  # whoever listened is gone, and so will be we


# In the child.


def _become(order: Start, parent: int) -> NoReturn:
    """Turn the fork into the program that was ordered; never returns into the parent's code."""
    code = 1
    try:
        code = _run(order, parent)
    except BaseException as error:  # nothing may climb into the loop of the parent
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def _run(order: Start, parent: int) -> int:
    os.setsid()
    die_with(parent)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    # A core dump would hold keys. Unlike a relay in the world it may be looked at by its own user, because the demo
    # asks the kernel whose socket it is that the website talks to.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    events = os.dup(_EVENTS)
    _redirect(order.log)
    os.closerange(3, events)
    os.closerange(events + 1, 1024)

    def ready(_: object = None) -> None:
        os.write(events, encode_line(Ready(order.name)))

    return _serve(order, ready)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, and end at once if it already has."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _redirect(log: str) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(source, target)


def _serve(order: Start, ready: Callable[[object], None]) -> int:
    import trio

    from onionpath.errors import OnionPathError
    from onionpath.exit_codes import exit_code
    from relay.daemon import run_authority, run_relay
    from relay.logs import configure_logs
    from relay.settings import AuthoritySettings, RelaySettings
    from relay.settings_files import load_settings
    from simulations.local.file_server import run_file_server
    from simulations.local.seed import run_seed
    from simulations.local.website import run_website

    file = Path(order.settings)
    try:
        match order.program:
            case Program.RELAY:
                relay = load_settings(file, RelaySettings, environment={})
                configure_logs(relay.log.level, relay.log.format)
                trio.run(lambda: run_relay(relay, ready=ready))
            case Program.AUTHORITY:
                authority = load_settings(file, AuthoritySettings, environment={})
                configure_logs(authority.log.level, authority.log.format)
                trio.run(lambda: run_authority(authority, ready=ready))
            case Program.WEBSITE:
                run_website(file, ready)
            case Program.FILE_SERVER:
                run_file_server(file, ready)
            case Program.SEED:
                run_seed(file, ready)
    except OnionPathError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return exit_code(error)
    except Exception:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        return 1
    return 0


def _preload() -> None:
    """Import all that children need, and keep the collector from touching, and so copying, what they share."""
    for module in (
        "relay.daemon",
        "relay.settings_files",
        "simulations.local.website",
        "simulations.local.file_server",
        "simulations.local.seed",
    ):
        import_module(module)
    gc.collect()
    gc.freeze()


def _end(number: int, frame: object) -> NoReturn:
    raise SystemExit(0)


def main() -> None:
    """The program."""
    _preload()
    signal.signal(signal.SIGTERM, _end)
    children = Children()
    try:
        children.run()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        children.stop()


if __name__ == "__main__":
    main()
