"""What a person at a terminal sees while a command works; files and pipes get nothing of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]
"""Told of so many bytes more."""


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say what takes time."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


@contextmanager
def receiving(name: str, *, total: int | None) -> Iterator[Advance]:
    """Show how much of a body has come, unless it is shown on the terminal itself.

    Args:
        total: bytes, where the website says so.
    """
    if not sys.stderr.isatty():
        yield _nothing
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        # The name comes from the command line, and brackets in it are no markup.
        task = bar.add_task(escape(name), total=total)
        yield lambda count: bar.advance(task, count)


def _nothing(count: int) -> None:
    pass
