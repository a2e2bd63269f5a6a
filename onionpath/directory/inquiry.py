"""One question for the newest document, put to several: who is asked next, and what is used in the end.

Relays and clients ask so, over sockets and in virtual time; whoever carries an inquiry out fetches from one source
after the other and tells it what came of each. Spec: docs/specs/directory.md §12.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from onionpath.directory.directory import Directory
from onionpath.directory.document import SeenDocument
from onionpath.injected import UnixTime

# Fixed by the specification (§12.1): one alone could keep a document back, or have one of its own.
SOURCES_WANTED = 2

Source = TypeVar("Source")


class Inquiry(Generic[Source]):
    """One question to several; all are asked with the directory and the highest document that we had before.

    Args:
        sources: whom to ask, in this order.
        denied: the number of which authorities have signed two documents; neither is used.
        wanted: how many answers are enough, if the newest is fresh.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        known: Directory | None,
        seen: SeenDocument | None,
        *,
        denied: int,
        wanted: int = SOURCES_WANTED,
    ) -> None:
        self._sources = list(sources)
        self._known, self._seen = known, seen
        self._denied, self._wanted = denied, wanted
        self._newest: Directory | None = None
        self.answers = 0  # how many have answered
        self.is_denied = False  # whether somebody gave what is not used

    @property
    def newest(self) -> Directory | None:
        """The newest directory so far; whoever is asked next is held against it."""
        return self._newest

    def is_confirmed(self, *, there_are: int) -> bool:
        """Whether as many answered as the specification wants, or as there are to ask at all."""
        return self.answers >= min(SOURCES_WANTED, there_are)

    def next_source(self, *, now: UnixTime) -> Source | None:
        """Whom to ask; None once enough have answered and the result is fresh, or nobody is left."""
        is_fresh = self._newest is not None and self._newest.is_fresh(now)
        if not self._sources or (is_fresh and self.answers >= self._wanted):
            return None
        return self._sources.pop(0)

    def answered(self, directory: Directory) -> None:
        """What somebody gave, held against ``newest`` already."""
        self.answers += 1
        if directory is self._known or directory.document.number != self._denied:
            self._newest = directory
        else:
            self.is_denied = True

    def contradicted(self, pair: tuple[bytes, bytes]) -> int:
        """Somebody gave the second document of one number; gives that number.

        Neither is used. What was given before in this inquiry goes with it, unless it is another document.
        """
        given = self._newest
        if given is None or pair[0] != given.document.envelope:
            return self._seen.number if self._seen else 0
        self._denied, self.is_denied = given.document.number, True
        # What we had before was given by whoever had nothing newer; it stays.
        self._newest = None
        return self._denied
