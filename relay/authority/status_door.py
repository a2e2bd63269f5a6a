"""The socket in the state folder at which a running authority tells its status to its own user.

Whoever connects is sent one JSON object, and the connection ends. The folder's mode keeps others out.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
import trio

from onionpath.errors import OnionPathError
from relay.authority.status import MAX_STATUS_SIZE
from relay.state_folder import STATUS_NAME

log = structlog.get_logger(__name__)

AT_ONCE = 4
TIMEOUT_S = 5.0


async def tell_forever(folder: Path, tell: Callable[[], bytes]) -> None:
    """Answer whoever connects, until cancelled; without the socket the authority works all the same."""
    try:
        with _short(folder) as path, socket.socket(socket.AF_UNIX) as listener:
            # What lies here is what a killed process left, since we hold the folder's lock.
            path.unlink(missing_ok=True)
            listener.bind(str(path))
            listener.listen(AT_ONCE)
            listener.setblocking(False)
            await _accept_forever(trio.socket.from_stdlib_socket(listener), tell)
    except OSError as error:
        log.warning("status_not_told", reason=error.strerror)
        await trio.sleep_forever()


async def _accept_forever(listener: trio.socket.SocketType, tell: Callable[[], bytes]) -> None:
    while True:
        connection, _ = await listener.accept()
        # One after the other: nobody but the operator is there.
        with connection, trio.move_on_after(TIMEOUT_S):
            try:
                await trio.SocketStream(connection).send_all(tell())
            except (OSError, trio.BrokenResourceError):
                continue


def ask(folder: Path) -> bytes | None:
    """What a running authority tells; None if none runs in this folder.

    Raises:
        OnionPathError: it does not answer.
    """
    with _short(folder) as path, socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        try:
            return b"".join(_received(connection))
        except OSError as error:
            raise OnionPathError("the authority runs, but does not tell its status") from error


def _received(connection: socket.socket) -> Iterator[bytes]:
    left = MAX_STATUS_SIZE
    while left > 0 and (data := connection.recv(min(left, 65_536))):
        left -= len(data)
        yield data


@contextmanager
def _short(folder: Path) -> Iterator[Path]:
    """The socket's path through a descriptor of its folder: a socket's name has at most 107 bytes."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}") / STATUS_NAME
    finally:
        os.close(descriptor)
