"""The socket in the state folder at which a running proxy tells its status to its own user.

Whoever connects is sent one JSON object, and the connection ends. Folder and socket are for their owner only. Several
proxies may share a folder, so each has a socket of its own, named for its process: ``status-4711``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import click

from onionpath.errors import OnionPathError

if TYPE_CHECKING:
    from anyio.abc import SocketListener, SocketStream

PREFIX = "status-"
MAX_SIZE = 256 * 1024  # bytes: sixty guards take some 12 KiB
TIMEOUT_S = 5.0
# Windows knows sockets with names, but not with modes.
HAS_SOCKETS = os.name == "posix"


async def tell_forever(folder: Path, tell: Callable[[], bytes]) -> None:
    """Answer whoever connects, until cancelled; without the socket the proxy works all the same."""
    if not HAS_SOCKETS:
        return
    try:
        with _short(folder) as short:
            socket = short / f"{PREFIX}{os.getpid()}"
            listener = await anyio.create_unix_listener(socket, mode=0o600)
            try:
                await _accept_forever(listener, tell)
            finally:
                with suppress(FileNotFoundError):
                    socket.unlink()
    except OSError as error:
        click.echo(f"warning: `onionpath status` will not see this process: {error.strerror}", err=True)


async def _accept_forever(listener: SocketListener, tell: Callable[[], bytes]) -> None:
    async with listener:
        while True:
            # One after the other: nobody but the owner is there.
            async with await listener.accept() as connection:
                with anyio.move_on_after(TIMEOUT_S), suppress(anyio.BrokenResourceError):
                    await connection.send(tell())


async def ask_all(folder: Path) -> list[bytes]:
    """What each running process of this folder tells; what a killed one has left is removed."""
    try:
        names = sorted(os.listdir(folder)) if HAS_SOCKETS else []
    except FileNotFoundError:
        return []
    told = [await _ask(folder, name) for name in names if _process(name) is not None]
    return [each for each in told if each is not None]


async def _ask(folder: Path, name: str) -> bytes | None:
    with _short(folder) as short:
        try:
            with anyio.fail_after(TIMEOUT_S):
                async with await anyio.connect_unix(short / name) as connection:
                    return await _received(connection) or None
        except (FileNotFoundError, ConnectionRefusedError):
            _bury(folder / name)
            return None
        except anyio.BrokenResourceError:
            return None  # It ends just now.
        except (OSError, TimeoutError) as error:
            raise OnionPathError(f"process {_process(name)} runs, but does not tell its status") from error


async def _received(connection: SocketStream) -> bytes:
    data = b""
    while len(data) < MAX_SIZE:
        try:
            data += await connection.receive()
        except anyio.EndOfStream:
            break
    return data


def _bury(socket: Path) -> None:
    """Remove the socket of a process that is gone; one that is just about to listen keeps its own."""
    try:
        os.kill(_process(socket.name) or 0, 0)
    except ProcessLookupError:
        socket.unlink(missing_ok=True)
    except OSError:
        return


def _process(name: str) -> int | None:
    digits = name.removeprefix(PREFIX)
    is_ours = name.startswith(PREFIX) and digits.isascii() and digits.isdecimal() and len(digits) < 10
    return int(digits) if is_ours else None


@contextmanager
def _short(folder: Path) -> Iterator[Path]:
    """The folder's path through a descriptor of it where the system can: a socket's name has at most 107 bytes."""
    if sys.platform != "linux":
        yield folder
        return
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
