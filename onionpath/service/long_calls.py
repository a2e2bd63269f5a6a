"""The asker's side of a long call: which parts are due, and what their answers make of it. No I/O, no time.

    what is done                        what is due then
    ------------------------------------------------------------------------------------
    nothing                             the PUT of offset 0, alone
    it is answered TAKEN                all other PUTs
    the last of them is answered        a GET of offset 0, unless an answer was WORKING or REPLY already
    WORKING                             a GET of offset 0, once nothing else is under way
    REPLY, not whole                    GETs of the rest
    REPLY, the last of it               nothing: ``result`` is there
    a refusal, a failure, nonsense      nothing: ``result`` says why

The driver takes parts from ``due`` as fast as it likes, reports each by ``answered``, and ends with the part ``end``
if ``needs_end``. Spec: docs/specs/link.md §9.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from onionpath.errors import MalformedError, UsageError
from onionpath.onion.geometry import SizeClass
from onionpath.onion.statuses import Reason
from onionpath.service.long_call_parts import (
    ASKED_HEAD_SIZE,
    MOST_BYTES,
    TOLD_HEAD_SIZE,
    Asked,
    State,
    Told,
    Verb,
    encode_asked,
    parse_told,
)

# At ten seconds each, longer than any transfer lives; a peer that answers at once cannot keep us asking for ever.
MOST_POLLS = 64
# After these the peer holds nothing of ours: it has never heard of it, or has ended it itself.
_ENDED_THERE = frozenset(
    {
        Reason.NEXT_UNKNOWN,
        Reason.NEXT_UNREACHABLE,
        Reason.SERVICE_UNKNOWN,
        Reason.WRONG_DEPTH,
        Reason.SERVICE_BUSY,
        Reason.BAD_CALL,
        Reason.CALL_UNKNOWN,
    }
)


class Part(NamedTuple):
    """One CALL to make, without the bytes that it carries.

    Args:
        offset, length: of the request (PUT), or of the reply (GET); a GET that doesn't know yet has the length 0.
        is_large: whether it, or its answer, is a large frame.
    """

    verb: Verb
    offset: int
    length: int
    is_large: bool


class Capacities(NamedTuple):
    """The longest bodies of a CALL, and of an ANSWER, in small and in large frames, in bytes."""

    small: int
    large: int


class PartCall(NamedTuple):
    """What a driver asks the peer: the body of a CALL, and the class of its ANSWER."""

    answer_class: SizeClass
    body: bytes

    def __repr__(self) -> str:
        return f"<PartCall {len(self.body)} bytes>"


class LongCall:
    """See the module's first lines.

    Args:
        request: up to ``MOST_BYTES``.
        transfer_id: 16 fresh bytes.

    Raises:
        UsageError: the request is too long.
    """

    def __init__(self, request: bytes, transfer_id: bytes, capacities: Capacities) -> None:
        if len(request) > MOST_BYTES:
            raise UsageError(f"a request of {len(request)} bytes, where {MOST_BYTES} are most")
        self._request = request
        self._transfer_id = transfer_id
        self._asked_sizes = Capacities(*(size - ASKED_HEAD_SIZE for size in capacities))
        self._told_sizes = Capacities(*(size - TOLD_HEAD_SIZE for size in capacities))
        self._under_way = 0
        self._polls = 0
        self._pieces: dict[int, bytes] = {}
        self._missing: int | None = None  # bytes of the reply; None until it is known
        self._total = 0
        self.needs_end = False
        self.result: bytes | Reason | None = None
        self.due = deque([self._first_part()])

    # Out.

    def call(self, part: Part) -> PartCall:
        """Take a part that was due: it is under way now."""
        self._under_way += 1
        self.needs_end = True
        answer_class = SizeClass.SMALL
        asked = Asked(Verb.GET, self._transfer_id, offset=part.offset)
        if part.verb is Verb.PUT:
            body = self._request[part.offset : part.offset + part.length]
            asked = Asked(Verb.PUT, self._transfer_id, len(self._request), part.offset, body)
        elif part.is_large:
            answer_class = SizeClass.LARGE
        return PartCall(answer_class, encode_asked(asked))

    @property
    def end(self) -> PartCall:
        """What tells the peer that we want no more of it."""
        return PartCall(SizeClass.SMALL, encode_asked(Asked(Verb.END, self._transfer_id)))

    def _first_part(self) -> Part:
        # Of a request in several parts the first is small: a peer that is full says so before it takes more.
        fits_one = len(self._request) <= self._asked_sizes.large
        length = len(self._request) if fits_one else self._asked_sizes.small
        return self._put(0, length)

    def _put(self, offset: int, length: int) -> Part:
        return Part(Verb.PUT, offset, length, length > self._asked_sizes.small)

    def _get(self, offset: int, length: int) -> Part:
        return Part(Verb.GET, offset, length, length > self._told_sizes.small)

    # Back.

    @property
    def reply_size(self) -> int:
        """Bytes that the peer says its reply has; 0 until it says so."""
        return self._total

    def give_up(self, reason: Reason) -> None:
        """End it for a reason of this side's, before it has a result."""
        self._fail(reason)

    def answered(self, part: Part, answer: bytes | Reason) -> None:
        """What came of a part."""
        self._under_way -= 1
        if self.result is not None:
            return
        if isinstance(answer, Reason):
            self._fail(answer)
            return
        try:
            self._take(part, parse_told(answer))
        except MalformedError:
            self._fail(Reason.NEXT_MALFORMED)

    def _fail(self, reason: Reason) -> None:
        self.result = reason
        self.needs_end = reason not in _ENDED_THERE
        self.due.clear()

    def _take(self, part: Part, told: Told) -> None:
        match told.state:
            case State.TAKEN if part.verb is Verb.PUT and part.length < len(self._request):
                if part.offset == 0:
                    self._put_the_rest(part.length)
            case State.WORKING:
                self._polls += 1
            case State.REPLY:
                self._take_reply(part, told)
            case _:
                raise MalformedError("the peer has forgotten what it was told")
        if self._polls > MOST_POLLS:
            raise MalformedError("the peer answers at once that it has no answer")
        if self.result is None and self._missing is None and not (self._under_way or self.due):
            self._poll()

    def _put_the_rest(self, start: int) -> None:
        step = self._asked_sizes.large
        total = len(self._request)
        self.due.extend(self._put(offset, min(step, total - offset)) for offset in range(start, total, step))

    def _poll(self) -> None:
        self.due.append(self._get(0, 0))

    def _take_reply(self, part: Part, told: Told) -> None:
        offset = 0 if part.verb is Verb.PUT else part.offset
        is_large = part.verb is Verb.GET and part.is_large
        fits = self._told_sizes.large if is_large else self._told_sizes.small
        if told.offset != offset or len(told.body) != min(fits, told.total - offset):
            raise MalformedError("other bytes of the reply than were asked for")
        is_first = self._missing is None
        if self._missing is None:
            self._total = self._missing = told.total
        elif told.total != self._total:
            raise MalformedError("the reply has changed its length")
        if offset not in self._pieces:
            self._pieces[offset] = told.body
            self._missing -= len(told.body)
        if is_first:
            self._get_the_rest(len(told.body))
        if not self._missing:
            self._complete()

    def _get_the_rest(self, start: int) -> None:
        # PUTs that are due still say nothing new: the request is complete.
        self.due.clear()
        step, total = self._told_sizes.large, self._total
        self.due.extend(self._get(offset, min(step, total - offset)) for offset in range(start, total, step))

    def _complete(self) -> None:
        # A reply that was whole in one answer has ended the transfer.
        self.needs_end = len(self._pieces) > 1
        self.result = b"".join(self._pieces[offset] for offset in sorted(self._pieces))
        self._pieces.clear()
