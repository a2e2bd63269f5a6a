"""The kernel's account of a process, and a free port."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path


def cpu_ns(pid: int) -> int:
    """Nanoseconds that the process and its threads have run, user and system together."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total


def resident_bytes(pid: int) -> int:
    """Memory that the process holds now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def free_port(host: str) -> int:
    """A TCP port that nobody uses at this moment."""
    with socket.create_server((host, 0)) as listener:
        return int(listener.getsockname()[1])


def own_cpu_ns() -> int:
    """Nanoseconds that this process has run, threads that have ended included."""
    return time.process_time_ns()
