"""The list of nodes of whatever directory is the newest, made once for each, while it is valid."""

from __future__ import annotations

from collections.abc import Callable

from onionpath.directory.directory import Directory
from onionpath.injected import UnixTime
from onionpath.swarm.nodes import Roster


class NewestRoster:
    """Call it for the list.

    Args:
        directory: the newest one; None if there is none yet.
        clock: Unix time that never goes back.
    """

    def __init__(self, directory: Callable[[], Directory | None], *, clock: Callable[[], UnixTime]) -> None:
        self._directory = directory
        self._clock = clock
        self._listed: Directory | None = None
        self._roster: Roster | None = None

    def __call__(self) -> Roster | None:
        directory = self._directory()
        if directory is not None and directory is not self._listed:
            self._listed, self._roster = directory, Roster.of(directory)
        if self._listed is None or not self._listed.document.is_usable(self._clock()):
            return None
        return self._roster
