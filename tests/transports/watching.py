"""Sees every connection and every look-up of this process, below any library: Python's own audit events.

A hook cannot be removed again, so there is one, and it looks away unless somebody watches.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

LOOK_UPS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"}
SENDS = {"socket.connect", "socket.sendto", "socket.sendmsg"}


@dataclass
class Seen:
    """What left this process while somebody watched.

    Args:
        names: what was looked up, but for addresses in digits, for which nobody is asked.
        peers: host and port of each connection and datagram.
    """

    names: set[str] = field(default_factory=set)
    peers: set[tuple[str, int]] = field(default_factory=set)


_watchers: list[Seen] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _watchers and event in LOOK_UPS:
        for seen in _watchers:
            seen.names |= {name for name in map(_text, arguments[:1]) if not _is_address(name)}
    elif _watchers and event in SENDS and isinstance(arguments[1], tuple):
        for seen in _watchers:
            seen.peers.add((str(arguments[1][0]), int(arguments[1][1])))


def _text(name: object) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


sys.addaudithook(_hook)


@contextmanager
def watching() -> Iterator[Seen]:
    """Watch until the end of the block."""
    seen = Seen()
    _watchers.append(seen)
    try:
        yield seen
    finally:
        _watchers.remove(seen)
