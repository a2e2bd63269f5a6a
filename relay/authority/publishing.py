"""Documents on their way to readers: joined with their descriptors, and handed out once they are valid."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from onionpath.directory.directory import Directory, assemble
from onionpath.directory.document import Document
from onionpath.directory.succession import Lineage
from onionpath.errors import DirectoryError, MalformedError
from onionpath.injected import UnixTime
from onionpath.service.directory import Publication


class Publishing:
    """What is handed out now, and what will be.

    Args:
        lineage: how the trust root was reached, for readers that have an earlier version of it.
    """

    def __init__(self, *, lineage: Lineage | None = None) -> None:
        self._lineage = lineage
        self._next: Document | None = None
        self._joined: Directory | None = None
        self.directory: Directory | None = None
        self.publication: Publication | None = None

    @property
    def newest(self) -> Directory | None:
        """The newest directory that is held, valid already or not."""
        return self._joined or self.directory

    @property
    def lacking(self) -> Document | None:
        """The document of which descriptors are to be fetched from other authorities."""
        is_whole = self._joined is not None and not self._joined.missing
        return None if is_whole else self._next

    def announce(self, document: Document, envelopes: Iterable[bytes]) -> None:
        """There is a newer document; join it with those of its descriptors that are at hand."""
        if self.newest is not None and self.newest.document.number >= document.number:
            return
        self._next = document
        try:
            self._joined = assemble(document, envelopes, known=self.directory, lineage=self._lineage)
        except (DirectoryError, MalformedError):
            # Most of it is missing, or not what the others have: we were away when they agreed.
            self._joined = None

    def complete(self, directory: Directory) -> None:
        """The directory of ``lacking`` was fetched, or of an even newer document."""
        if self._next is None or directory.document.number >= self._next.number:
            self._next, self._joined = directory.document, directory

    def due(self, now: UnixTime) -> Directory | None:
        """What is to be handed out from now on, if that has changed; only once."""
        directory = self._joined
        if directory is None or now < directory.document.valid_from:
            return None
        self.publication = Publication.of(directory, before=self.directory, earlier=self.publication)
        self.directory, self._joined = directory, None
        if not directory.missing:
            self._next = None
        return directory

    def wanted(self, document: Document, content: Callable[[bytes], bytes | None]) -> list[bytes]:
        """The document's descriptors that ``content`` finds by their digests."""
        found = (content(listing.descriptor) for listing in document.relays)
        return [envelope for envelope in found if envelope is not None]
