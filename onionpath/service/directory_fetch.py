"""Fetching a directory: gives the next call, takes its reply, and ends with a verified directory or an error.

| state | asks for | leaves when |
|---|---|---|
| difference | what leads from the document that we have to the newest | it is here, or there is none that helps |
| document | parts of the newest document | all of it is here and verified, or nothing is newer |
| successions | those after our trust root, because the document may be of a later one | they lead to the document's |
| descriptors | those we don't have, 64 at a time | every batch is here |
| done | nothing | never; a fetch is used once |

No socket and no clock: whoever carries the calls chooses the relay, sets the deadline, gives up on errors.
Spec: docs/specs/directory.md §8.
"""

from __future__ import annotations

from onionpath.crypto.tags import digest
from onionpath.directory.descriptor import MAX_DESCRIPTOR_SIZE
from onionpath.directory.difference import apply_difference
from onionpath.directory.directory import Directory, assemble, decode_parts
from onionpath.directory.document import (
    MAX_DOCUMENT_SIZE,
    Document,
    EquivocationError,
    NewerRootError,
    SeenDocument,
    UnverifiedDocument,
    check_consistent,
)
from onionpath.directory.succession import MAX_SUCCESSION_SIZE, MAX_SUCCESSIONS, Lineage, newest
from onionpath.directory.trust import TrustRoot
from onionpath.errors import (
    DirectoryError,
    MalformedError,
    MissingDirectoryError,
    SignatureThresholdError,
    StaleDirectoryError,
    UsageError,
)
from onionpath.injected import UnixTime
from onionpath.service.directory_content import Content
from onionpath.service.directory_wire import (
    MAX_DIGESTS,
    DescriptorsCall,
    DifferenceCall,
    DirectoryReply,
    DocumentCall,
    Kind,
    Outcome,
    SuccessionsCall,
    decode_reply,
)

# 20,000 relays, the most that a document lists, take 313 batches of about three large replies.
MAX_CALLS = 2048
# A relay's directory changes once in an hour; one that changes under us three times is playing.
MAX_RESTARTS = 3


class DirectoryFetch:
    """One fetch from one relay, or over several paths to relays that serve the same document.

    Args:
        root: whose signatures count, until successions lead to others.
        known: the directory that we have; what hasn't changed since is not sent again.
        seen: the highest document accepted so far, if it isn't the known one.
        beside: what another relay gave just now, for ``known`` and ``seen`` as they are here. The fetch ends with
            the newer of both directories, or with the proof that authorities signed two documents of one number.
    """

    def __init__(
        self,
        root: TrustRoot,
        *,
        known: Directory | None = None,
        seen: SeenDocument | None = None,
        beside: Directory | None = None,
    ) -> None:
        lineages = [each.lineage for each in (known, seen, beside) if each is not None]
        self._lineage = newest(Lineage(root), *lineages)
        self._known = known
        self._beside = beside
        self._seen = _higher(seen, known.seen if known else None)
        self._calls = 0
        self._restarts = 0
        self._asking = Kind.DIFFERENCE if known else Kind.DOCUMENT
        self._envelope = b""
        self._rejected: DirectoryError | None = None
        self._document: Document | None = None
        self._wanted: list[bytes] = []
        self._envelopes: list[bytes] = []
        self._content = Content(max_size=MAX_DOCUMENT_SIZE)
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
        match self._asking:
            case Kind.SUCCESSIONS:
                return SuccessionsCall(self._lineage.root.version, self._content.offset).encode()
            case Kind.DIFFERENCE:
                return DifferenceCall(self._known_number, self._content.number, self._content.offset).encode()
            case Kind.DESCRIPTORS:
                return DescriptorsCall(tuple(self._batch), self._content.offset).encode()
            case _ if self._content.offset:
                return DocumentCall(wanted=self._content.number, offset=self._content.offset).encode()
            case _:
                return DocumentCall(known=self._known_number).encode()

    def take(self, body: bytes, *, now: UnixTime) -> Directory | None:
        """Take the reply to ``next_call``: the directory, or None when there is more to ask.

        Raises:
            MalformedError: the relay broke the protocol.
            MissingDirectoryError: it has no document.
            DirectoryError: what it sent must not be used; see ``UnverifiedDocument.verify``, ``verify_succession``
                and ``assemble``.
        """
        if self._done:
            raise UsageError("this fetch is over")
        self._calls += 1
        reply = decode_reply(body)
        directory = self._take(reply, now)
        self._done = directory is not None
        return directory

    def _take(self, reply: DirectoryReply, now: UnixTime) -> Directory | None:
        match self._asking:
            case Kind.SUCCESSIONS:
                return self._take_successions(reply, now)
            case Kind.DESCRIPTORS:
                return self._take_descriptors(reply)
            case Kind.DIFFERENCE if self._known is not None:
                return self._take_difference(reply, self._known.document, now)
            case _:
                return self._take_document(reply, now)

    def _ask(self, kind: Kind, *, max_size: int) -> None:
        self._asking, self._content = kind, Content(max_size=max_size)

    @property
    def _have(self) -> Directory | None:
        """Whose descriptors are not fetched again."""
        return self._beside or self._known

    @property
    def _known_number(self) -> int:
        return self._known.document.number if self._known else 0

    @property
    def _batch(self) -> list[bytes]:
        return self._wanted[:MAX_DIGESTS]

    def _take_difference(self, reply: DirectoryReply, known: Document, now: UnixTime) -> Directory | None:
        match reply.outcome:
            case Outcome.UNCHANGED:
                return self._unchanged(now)
            case Outcome.MISSING:
                raise MissingDirectoryError("this relay has no directory yet")
            case Outcome.CONTENT if not self._content.is_changed(reply):
                content = self._content.add(reply)
                return None if content is None else self._apply(content, known, now)
            case Outcome.CONTENT | Outcome.CHANGED:
                self._ask(Kind.DOCUMENT, max_size=MAX_DOCUMENT_SIZE)
            case _:
                raise MalformedError("the reply does not answer a call for a difference")
        return None

    def _apply(self, content: bytes, known: Document, now: UnixTime) -> Directory | None:
        try:
            return self._verify(apply_difference(content, known), now)
        except EquivocationError:
            raise
        except (MalformedError, DirectoryError):
            # The whole may be good all the same: another document of our number was its base, or its signers are new.
            self._ask(Kind.DOCUMENT, max_size=MAX_DOCUMENT_SIZE)
            return None

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
                    return self._take_envelope(envelope, now)
            case _:
                raise MalformedError("the reply does not answer a call for the document")
        return None

    def _unchanged(self, now: UnixTime) -> Directory:
        if self._known is None or self._content.offset:
            raise MalformedError("the relay says unchanged of a document that we do not have")
        if not self._known.is_usable(now):
            raise StaleDirectoryError("the relay has nothing newer than a document that has expired")
        return self._beside or self._known

    def _take_envelope(self, envelope: bytes, now: UnixTime) -> Directory | None:
        try:
            return self._verify(envelope, now)
        except (SignatureThresholdError, NewerRootError) as error:
            # Either it is worth nothing, or other authorities have signed it than those that we know.
            self._envelope, self._rejected = envelope, error
            self._ask(Kind.SUCCESSIONS, max_size=MAX_SUCCESSIONS * (4 + MAX_SUCCESSION_SIZE))
            return None

    def _take_successions(self, reply: DirectoryReply, now: UnixTime) -> Directory | None:
        if reply.outcome is Outcome.UNCHANGED and self._rejected is not None:
            raise self._rejected
        if reply.outcome is not Outcome.CONTENT or reply.number:
            raise MalformedError("the reply does not answer a call for successions")
        if self._content.is_changed(reply):
            self._restart(MAX_SUCCESSIONS * (4 + MAX_SUCCESSION_SIZE))
            return None
        content = self._content.add(reply)
        if content is None:
            return None
        steps = decode_parts(content, max_parts=MAX_SUCCESSIONS, max_size=MAX_SUCCESSION_SIZE)
        self._lineage = self._lineage.follow(steps)
        return self._verify(self._envelope, now)

    def _verify(self, envelope: bytes, now: UnixTime) -> Directory | None:
        document = UnverifiedDocument(envelope).verify(self._lineage.root, now=now, seen=self._seen)
        if self._beside is not None and document.number <= self._beside.document.number:
            check_consistent(document, self._beside.seen)
            return self._beside
        have = self._have.envelopes if self._have else {}
        self._document = document
        self._wanted = [one.descriptor for one in document.relays if one.descriptor not in have]
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
            self._ask(Kind.DESCRIPTORS, max_size=self._max_batch_size)
            return None
        return assemble(assembled, self._envelopes, known=self._have, lineage=self._lineage)

    @property
    def _max_batch_size(self) -> int:
        return len(self._batch) * (4 + MAX_DESCRIPTOR_SIZE)

    def _restart(self, max_size: int) -> None:
        self._restarts += 1
        if self._restarts > MAX_RESTARTS:
            raise MalformedError("the relay's directory changes faster than it can be fetched")
        self._content = Content(max_size=max_size)


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
