"""Fetching a directory: gives the next call, takes its reply, and ends with a verified directory or an error.

| state | asks for | leaves when |
|---|---|---|
| document | parts of the newest document | all of it is here and verified, or nothing is newer |
| descriptors | those we don't have, 64 at a time | every batch is here |
| done | nothing | never; a fetch is used once |

No socket and no clock: whoever carries the calls chooses the relay, sets the deadline, gives up on errors.
Spec: docs/specs/directory.md §8.
"""

from __future__ import annotations

from onionpath.crypto.tags import digest
from onionpath.directory.descriptor import MAX_DESCRIPTOR_SIZE
from onionpath.directory.directory import Directory, assemble, decode_parts
from onionpath.directory.document import MAX_DOCUMENT_SIZE, Document, SeenDocument, UnverifiedDocument
from onionpath.directory.trust import TrustRoot
from onionpath.errors import MalformedError, MissingDirectoryError, StaleDirectoryError, UsageError
from onionpath.injected import UnixTime
from onionpath.service.directory_wire import (
    MAX_DIGESTS,
    DescriptorsCall,
    DirectoryReply,
    DocumentCall,
    Outcome,
    decode_reply,
)

# 20,000 relays, the most that a document lists, take 313 batches of about three large replies.
MAX_CALLS = 2048
# A relay's directory changes once in an hour; one that changes under us three times is playing.
MAX_RESTARTS = 3


class _Content:
    """The parts of one content, in order and of one length."""

    def __init__(self, *, max_size: int) -> None:
        self._max_size = max_size
        self._parts: list[bytes] = []
        self.offset = 0
        self.total: int | None = None
        self.number = 0

    def is_changed(self, reply: DirectoryReply) -> bool:
        """Whether this reply belongs to another content than the ones before."""
        return self.total is not None and (reply.total, reply.number) != (self.total, self.number)

    def add(self, reply: DirectoryReply) -> bytes | None:
        """Take a part; the whole content when this was the last one."""
        if reply.total > self._max_size:
            raise MalformedError(
                f"a content of {reply.total} bytes is longer than the {self._max_size} allowed"
            )
        if reply.offset != self.offset:
            raise MalformedError("a part of the directory is not the one that was asked for")
        self.total, self.number = reply.total, reply.number
        self._parts.append(reply.part)
        self.offset += len(reply.part)
        return b"".join(self._parts) if self.offset == self.total else None


class DirectoryFetch:
    """One fetch from one relay, or over several paths to relays that serve the same document.

    Args:
        root: whose signatures count.
        known: the directory that we have; what hasn't changed since is not sent again.
        seen: the highest document accepted so far, if it isn't the known one.
    """

    def __init__(
        self, root: TrustRoot, *, known: Directory | None = None, seen: SeenDocument | None = None
    ) -> None:
        self._root = root
        self._known = known
        self._seen = _higher(seen, known.seen if known else None)
        self._calls = 0
        self._restarts = 0
        self._document: Document | None = None
        self._wanted: list[bytes] = []
        self._envelopes: list[bytes] = []
        self._content = _Content(max_size=MAX_DOCUMENT_SIZE)
        self._done = False

    def next_call(self) -> bytes:
        """The body of the next call; the same one again until its reply was taken.

        Raises:
            UsageError: the fetch is over.
            MalformedError: this relay needs more calls than any directory can.
        """
        if self._done:
            raise UsageError("this fetch is over")
        if self._calls >= MAX_CALLS:
            raise MalformedError(f"the directory did not arrive in {MAX_CALLS} calls")
        if self._document is not None:
            return DescriptorsCall(tuple(self._batch), self._content.offset).encode()
        if self._content.offset:
            return DocumentCall(wanted=self._content.number, offset=self._content.offset).encode()
        return DocumentCall(known=self._known.document.number if self._known else 0).encode()

    def take(self, body: bytes, *, now: UnixTime) -> Directory | None:
        """Take the reply to ``next_call``: the directory, or None when there is more to ask.

        Raises:
            MalformedError: the relay broke the protocol.
            MissingDirectoryError: it has no document.
            DirectoryError: what it sent must not be used; see ``UnverifiedDocument.verify`` and ``assemble``.
        """
        if self._done:
            raise UsageError("this fetch is over")
        self._calls += 1
        reply = decode_reply(body)
        directory = (
            self._take_document(reply, now) if self._document is None else self._take_descriptors(reply)
        )
        self._done = directory is not None
        return directory

    @property
    def _batch(self) -> list[bytes]:
        return self._wanted[:MAX_DIGESTS]

    def _take_document(self, reply: DirectoryReply, now: UnixTime) -> Directory | None:
        match reply.outcome:
            case Outcome.UNCHANGED:
                return self._unchanged(now)
            case Outcome.MISSING:
                raise MissingDirectoryError("this relay has no directory yet")
            case Outcome.CHANGED if self._content.offset:
                self._restart(MAX_DOCUMENT_SIZE)
            case Outcome.CONTENT if self._content.is_changed(reply):
                self._restart(MAX_DOCUMENT_SIZE)
            case Outcome.CONTENT:
                envelope = self._content.add(reply)
                if envelope is not None:
                    return self._verify(envelope, now)
            case _:
                raise MalformedError("the reply does not answer a call for the document")
        return None

    def _unchanged(self, now: UnixTime) -> Directory:
        if self._known is None or self._content.offset:
            raise MalformedError("the relay says unchanged of a document that we do not have")
        if not self._known.is_usable(now):
            raise StaleDirectoryError("the relay has nothing newer than a document that has expired")
        return self._known

    def _verify(self, envelope: bytes, now: UnixTime) -> Directory | None:
        self._document = UnverifiedDocument(envelope).verify(self._root, now=now, seen=self._seen)
        have = self._known.envelopes if self._known else {}
        self._wanted = [one.descriptor for one in self._document.relays if one.descriptor not in have]
        return self._next_batch()

    def _take_descriptors(self, reply: DirectoryReply) -> Directory | None:
        if reply.outcome is not Outcome.CONTENT or reply.number:
            raise MalformedError("the reply does not answer a call for descriptors")
        if self._content.is_changed(reply):
            self._restart(self._max_batch_size)
            return None
        content = self._content.add(reply)
        if content is None:
            return None
        self._envelopes.extend(_matching(content, self._batch))
        self._wanted = self._wanted[MAX_DIGESTS:]
        return self._next_batch()

    def _next_batch(self) -> Directory | None:
        assembled = self._document
        if self._wanted or assembled is None:
            self._content = _Content(max_size=self._max_batch_size)
            return None
        return assemble(assembled, self._envelopes, known=self._known)

    @property
    def _max_batch_size(self) -> int:
        return len(self._batch) * (4 + MAX_DESCRIPTOR_SIZE)

    def _restart(self, max_size: int) -> None:
        self._restarts += 1
        if self._restarts > MAX_RESTARTS:
            raise MalformedError("the relay's directory changes faster than it can be fetched")
        self._content = _Content(max_size=max_size)


def _matching(content: bytes, asked: list[bytes]) -> list[bytes]:
    """The envelopes of a batch; an empty one stands for a descriptor that the relay hasn't got."""
    envelopes = decode_parts(content, max_parts=len(asked), max_size=MAX_DESCRIPTOR_SIZE)
    if len(envelopes) != len(asked):
        raise MalformedError("a reply holds another number of descriptors than were asked for")
    if any(envelope and digest(envelope) != name for envelope, name in zip(envelopes, asked, strict=True)):
        raise MalformedError("a reply holds a descriptor that was not asked for")
    return [envelope for envelope in envelopes if envelope]


def _higher(one: SeenDocument | None, other: SeenDocument | None) -> SeenDocument | None:
    if one is None or other is None:
        return one or other
    return one if one.number > other.number else other
