"""Whose socket is it? Asked of the kernel, for connections within this machine."""

from __future__ import annotations

import os
from pathlib import Path


def holder_of(local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """The process that holds the IPv4 TCP socket with these two ends, as seen from it; None if nobody we may ask."""
    inode = _inode(_kernel_form(local), _kernel_form(remote))
    return None if inode is None else _process_with(f"socket:[{inode}]")


def _kernel_form(end: tuple[str, int]) -> str:
    host, port = end
    # The address stands there as the machine's own integer, hence backwards on little-endian machines.
    return f"{bytes(map(int, host.split('.')))[::-1].hex().upper()}:{port:04X}"


def _inode(local: str, remote: str) -> str | None:
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1:3] == [local, remote]:
            return fields[9]
    return None


def _process_with(target: str) -> int | None:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and _holds(folder / "fd", target):
            return int(folder.name)
    return None


def _holds(folder: Path, target: str) -> bool:
    try:
        return any(os.readlink(entry) == target for entry in folder.iterdir())
    except OSError:
        return False  # it has just ended, or is somebody else's
