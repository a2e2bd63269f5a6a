"""Runs somebody's program with this proxy in its environment, and ends when it does."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress

import anyio
from anyio.abc import Process

from onionpath.proxy.handshake import DEFAULT_USER

NOT_EXECUTABLE, NOT_FOUND = 126, 127  # what shells say
BY_SIGNAL = 128  # and this plus its number, of a program that a signal ended
# A program that is told to end has so long before it is killed.
GRACE_S = 5.0
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_EXEMPTIONS = ("NO_PROXY",)
# Ctrl-C is not among them: a terminal gives it to the program as well.
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP) if os.name == "posix" else ()


def new_password() -> str:
    """So that nobody else on this machine uses the proxy of one command."""
    return secrets.token_urlsafe(18)


def environment(before: Mapping[str, str], *, port: int, password: str) -> dict[str, str]:
    """The environment of a program that shall connect through the proxy, and to nobody without it.

    As an HTTP proxy, since many programs cannot speak SOCKS, and those that can often look names up themselves.
    """
    after = {name: value for name, value in before.items() if name.upper() not in _EXEMPTIONS}
    url = f"http://{DEFAULT_USER}:{password}@127.0.0.1:{port}"
    for name in _PROXY_VARIABLES:
        after[name] = after[name.lower()] = url
    return after


async def run_command(command: Sequence[str], variables: Mapping[str, str]) -> int:
    """Run it to its end with our input and output; gives its exit code as shells give it.

    Signals that would end us are passed on; whoever cancels this ends the program.
    """
    try:
        process = await anyio.open_process(command, stdin=None, stdout=None, stderr=None, env=variables)
    except FileNotFoundError:
        return NOT_FOUND
    except PermissionError:
        return NOT_EXECUTABLE
    try:
        async with anyio.create_task_group() as watching:
            watching.start_soon(_pass_signals_on, process)
            code = await process.wait()
            watching.cancel_scope.cancel()
    except BaseException:
        with anyio.CancelScope(shield=True):
            await _end(process)
        raise
    return code if code >= 0 else BY_SIGNAL - code


async def _pass_signals_on(process: Process) -> None:
    if not _PASSED_ON:
        return
    with anyio.open_signal_receiver(*_PASSED_ON, signal.SIGINT) as signals:
        async for number in signals:
            if number != signal.SIGINT or not _is_in_foreground():
                with suppress(ProcessLookupError):
                    process.send_signal(number)


def _is_in_foreground() -> bool:
    """Whether a terminal gives its Ctrl-C to our program as well."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
        with anyio.move_on_after(GRACE_S):
            await process.wait()
            return
        process.kill()
        await process.wait()
