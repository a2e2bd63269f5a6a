"""The documents and descriptors that an authority holds for the number at hand, by digest.

Bounded by what votes name: one document for each accepted vote of the opening at hand, and the descriptors that
enough ballots share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from onionpath.directory.descriptor import Descriptor, descriptor_digest, parse_descriptor
from onionpath.directory.document import NO_PREVIOUS, Document, UnverifiedDocument
from onionpath.directory.trust import TrustRoot
from onionpath.errors import DirectoryError, MalformedError
from onionpath.injected import UnixTime
from relay.authority.roll import Known


class Holdings:
    """See the module's first lines.

    Args:
        roots: versions of the trust root, the present one first: the last documents may be of earlier ones.
        newest: the last complete document, verified.
    """

    def __init__(self, roots: Sequence[TrustRoot], newest: Document | None) -> None:
        self._roots = roots
        self._newest = newest
        self._newest_digest = NO_PREVIOUS if newest is None else newest.digest
        self._documents: dict[bytes, Document] = {}
        self._known: dict[bytes, Known] = {}

    @property
    def newest(self) -> Document | None:
        """The complete document with the highest number."""
        return self._newest

    @property
    def newest_number(self) -> int:
        """Its number, 0 for none."""
        return 0 if self._newest is None else self._newest.number

    @property
    def valid_until(self) -> UnixTime:
        """Until when the newest one is valid; 0 without one."""
        return UnixTime(0) if self._newest is None else self._newest.valid_until

    @property
    def newest_digest(self) -> bytes:
        """Its digest, zeros for none."""
        return self._newest_digest

    def renew(self, document: Document, digest: bytes) -> None:
        """There is a newer document."""
        self._newest, self._newest_digest = document, digest

    def begin_opening(self) -> None:
        """Other votes will come, and name their last documents anew."""
        self._documents.clear()

    def begin_number(self) -> None:
        """Nothing is needed any more but the newest document."""
        self._known.clear()

    def learn(self, descriptors: Iterable[Known]) -> None:
        """Keep verified descriptors."""
        self._known.update({descriptor_digest(one.envelope): one for one in descriptors})

    def descriptor(self, digest: bytes) -> Descriptor | None:
        """The descriptor of this digest."""
        known = self._known.get(digest)
        return None if known is None else known.descriptor

    def take_descriptor(self, digest: bytes, envelope: bytes) -> None:
        """Keep a descriptor that was asked for.

        Raises:
            MalformedError, SignatureThresholdError: it isn't the one.
        """
        if descriptor_digest(envelope) != digest:
            raise MalformedError("this is not the descriptor that was asked for")
        self._known[digest] = Known(envelope, parse_descriptor(envelope))

    def has_document(self, digest: bytes) -> bool:
        """Whether we hold a complete document, or none is meant."""
        return digest in (NO_PREVIOUS, self._newest_digest) or digest in self._documents

    def document(self, digest: bytes, contents: Mapping[bytes, bytes]) -> Document:
        """A complete document that is held or among the contents.

        Raises:
            MalformedError, DirectoryError: it isn't the one, or isn't complete.
        """
        held = self.named(digest)
        document = held or self.authenticate(contents[digest])
        if held is None and document.digest != digest:
            raise MalformedError("this is not the document that was asked for")
        return document

    def authenticate(self, envelope: bytes) -> Document:
        """A complete document of any version of the trust root that we know; see the function of this name."""
        return authenticate(envelope, self._roots)

    def named(self, digest: bytes) -> Document | None:
        """A complete document that is held."""
        return self._newest if digest == self._newest_digest else self._documents.get(digest)

    def keep_last(self, number: int, digest: bytes, contents: Mapping[bytes, bytes]) -> None:
        """Keep the document that a vote names as the last, to show it to others.

        Raises:
            MalformedError, DirectoryError: it isn't the one, isn't complete, or has another number.
        """
        if digest == NO_PREVIOUS:
            return
        document = self.document(digest, contents)
        if document.number != number:
            raise MalformedError("a vote names a document by another number than its own")
        self._documents[digest] = document

    def content(self, digest: bytes) -> bytes | None:
        """What to show to whoever asks for this digest."""
        if digest in self._known:
            return self._known[digest].envelope
        document = self.named(digest)
        return None if document is None else document.envelope


def authenticate(envelope: bytes, roots: Sequence[TrustRoot]) -> Document:
    """A complete document of the present version of the trust root, or of an earlier one.

    Args:
        roots: the present one first.

    Raises:
        MalformedError, DirectoryError: why it is not of the present one.
    """
    document = UnverifiedDocument(envelope)
    try:
        return document.authenticate(roots[0])
    except DirectoryError:
        for root in roots[1:]:
            with suppress(DirectoryError):
                return document.authenticate(root)
        raise
