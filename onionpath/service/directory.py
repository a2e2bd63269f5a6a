"""The directory service: hands out the document and descriptors, and collects descriptors for an authority.

Its owner replaces the ``Publication``; nothing here judges what it hands out, since every reader verifies it.
Spec: docs/specs/directory.md §8.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from onionpath.crypto.tags import digest
from onionpath.directory.difference import difference
from onionpath.directory.directory import Directory, encode_parts
from onionpath.directory.document import VALID_PERIODS, Document
from onionpath.directory.succession import Lineage
from onionpath.errors import MalformedError, OnionPathError, UsageError
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Call, Limits, Reply
from onionpath.service.directory_wire import (
    DescriptorsCall,
    DifferenceCall,
    DirectoryCall,
    DirectoryReply,
    DocumentCall,
    Outcome,
    PublishCall,
    SuccessionsCall,
    decode_call,
    part_of,
)

# Unfinished descriptors, at most 16 KiB each: a descriptor arrives in two or three parts within a second, so
# few are unfinished at once unless somebody only begins them.
MAX_UNFINISHED = 64
# A relay publishes one descriptor at a time; the second is for one that changed in between.
MAX_UNFINISHED_PER_CALLER = 2
# As long as a document is valid: whoever has an older one fetches the whole.
MAX_EARLIER = VALID_PERIODS

Collector = Callable[[bytes, int], None]
"""Takes a descriptor's envelope and the number of the link it came over; raises an OnionPathError to refuse it."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What a relay hands out.

    Args:
        number: of the document.
        document: its envelope.
        descriptors: envelopes by digest.
        lineage: the successions that led to the document's trust root.
        earlier: the documents before, the newest first, from which differences lead here.
        differences: these, by the number of the document from which each leads.
    """

    number: int
    document: bytes = field(repr=False)
    descriptors: Mapping[bytes, bytes] = field(repr=False)
    lineage: Lineage | None = field(default=None, repr=False)
    newest: Document | None = field(default=None, repr=False)
    earlier: tuple[Document, ...] = field(default=(), repr=False)
    differences: Mapping[int, bytes] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, directory: Directory, *, before: Directory | None = None, earlier: Publication | None = None
    ) -> Publication:
        """Hand this directory on, and the descriptors of the one before to those who still fetch them.

        Args:
            earlier: what was handed out before; readers of its documents get differences too.
        """
        older = before.envelopes if before else {}
        document = directory.document
        known = _earlier(document, before, earlier)
        return cls(
            document.number,
            document.envelope,
            {**older, **directory.envelopes},
            directory.lineage,
            document,
            known,
            _differences(known, document),
        )


def _earlier(
    document: Document, before: Directory | None, earlier: Publication | None
) -> tuple[Document, ...]:
    """The last documents before this one, the newest first."""
    known = [before.document] if before else []
    if earlier is not None:
        known += [*([earlier.newest] if earlier.newest else []), *earlier.earlier]
    by_number = {one.number: one for one in reversed(known) if one.number < document.number}
    return tuple(by_number[number] for number in sorted(by_number, reverse=True)[:MAX_EARLIER])


def _differences(known: Sequence[Document], document: Document) -> dict[int, bytes]:
    """What leads from each of these to the document, where that is shorter than the document itself."""
    made = {one.number: difference(one, document) for one in known}
    return {number: each for number, each in made.items() if len(each) < len(document.envelope)}


class DirectoryService:
    """Service 2.

    Args:
        collector: takes published descriptors; without one they are refused.
        limits: what the registry enforces.
    """

    def __init__(self, *, collector: Collector | None = None, limits: Limits | None = None) -> None:
        self.limits = limits or Limits(any_depth=True, has_effects=False)
        self._collector = collector
        self._publication: Publication | None = None
        self._unfinished: OrderedDict[tuple[int, bytes], bytes] = OrderedDict()

    @property
    def publication(self) -> Publication | None:
        """What is handed out now."""
        return self._publication

    def replace(self, publication: Publication) -> None:
        """Hand this out from now on."""
        self._publication = publication

    async def answer(self, call: Call) -> Reply:
        """Answer from memory; never waits."""
        try:
            reply = self._answer(decode_call(call.body), call)
        except (MalformedError, UsageError):
            return Reply.refused(Reason.BAD_CALL)
        return Reply(reply.encode())

    def _answer(self, asked: DirectoryCall, call: Call) -> DirectoryReply:
        match asked:
            case DocumentCall():
                return self._document(asked, call.reply_capacity)
            case DescriptorsCall():
                return self._descriptors(asked, call.reply_capacity)
            case PublishCall():
                return self._publish(asked, call.caller)
            case DifferenceCall():
                return self._difference(asked, call.reply_capacity)
            case SuccessionsCall():
                return self._successions(asked, call.reply_capacity)

    def _document(self, asked: DocumentCall, capacity: int) -> DirectoryReply:
        publication = self._publication
        if publication is None:
            return DirectoryReply(Outcome.MISSING)
        number = publication.number
        if asked.wanted not in (0, number):
            return DirectoryReply(Outcome.CHANGED, number=number)
        # A caller that knows a newer one than we do has nothing to gain here either.
        if asked.wanted == 0 and asked.known >= number:
            return DirectoryReply(Outcome.UNCHANGED, number=number)
        return part_of(publication.document, offset=asked.offset, capacity=capacity, number=number)

    def _difference(self, asked: DifferenceCall, capacity: int) -> DirectoryReply:
        publication = self._publication
        if publication is None:
            return DirectoryReply(Outcome.MISSING)
        number = publication.number
        if asked.wanted == 0 and asked.known >= number:
            return DirectoryReply(Outcome.UNCHANGED, number=number)
        content = publication.differences.get(asked.known)
        if content is None or asked.wanted not in (0, number):
            return DirectoryReply(Outcome.CHANGED, number=number)
        return part_of(content, offset=asked.offset, capacity=capacity, number=number)

    def _descriptors(self, asked: DescriptorsCall, capacity: int) -> DirectoryReply:
        descriptors = self._publication.descriptors if self._publication else {}
        content = encode_parts(descriptors.get(name, b"") for name in asked.digests)
        return part_of(content, offset=asked.offset, capacity=capacity)

    def _successions(self, asked: SuccessionsCall, capacity: int) -> DirectoryReply:
        lineage = self._publication.lineage if self._publication else None
        steps = lineage.after(asked.version) if lineage else ()
        if not steps:
            return DirectoryReply(Outcome.UNCHANGED)
        return part_of(encode_parts(steps), offset=asked.offset, capacity=capacity)

    def _publish(self, asked: PublishCall, caller: int) -> DirectoryReply:
        if self._collector is None:
            return DirectoryReply(Outcome.REFUSED)
        key = (caller, asked.digest)
        begun = b"" if asked.offset == 0 else self._unfinished.pop(key, b"")
        if len(begun) != asked.offset:
            return DirectoryReply(Outcome.REFUSED)
        envelope = begun + asked.part
        if len(envelope) < asked.total:
            self._keep(key, envelope)
            return DirectoryReply(Outcome.ACCEPTED)
        return self._collect(envelope, asked.digest, self._collector, caller)

    def _keep(self, key: tuple[int, bytes], begun: bytes) -> None:
        self._unfinished[key] = begun
        self._unfinished.move_to_end(key)
        caller, _ = key
        held = Counter(holder for holder, _ in self._unfinished)
        if held[caller] > MAX_UNFINISHED_PER_CALLER:
            self._forget_oldest_of(caller)
        elif len(self._unfinished) > MAX_UNFINISHED:
            # Counted in their order of age, so that of two that have as many it is the older one's.
            self._forget_oldest_of(max(held, key=held.__getitem__))

    def _forget_oldest_of(self, caller: int) -> None:
        del self._unfinished[next(key for key in self._unfinished if key[0] == caller)]

    def _collect(self, envelope: bytes, name: bytes, collector: Collector, caller: int) -> DirectoryReply:
        if digest(envelope) != name:
            return DirectoryReply(Outcome.REFUSED)
        try:
            collector(envelope, caller)
        except OnionPathError:
            return DirectoryReply(Outcome.REFUSED)
        return DirectoryReply(Outcome.ACCEPTED)
