"""What an authority must not forget: that it voted, what it signed, and the last complete document.

It is stored before any of it leaves, so that no restart leads to a second vote or signature of one number.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from onionpath.crypto.tags import digest
from onionpath.directory.directory import decode_parts, encode_parts
from onionpath.directory.document import MAX_DOCUMENT_SIZE
from onionpath.directory.vote import Opening
from onionpath.errors import MalformedError

# Magic, digest of all that follows, number voted on and its opening of recovery, number signed.
_HEAD = struct.Struct(">18s32sQQQ")
_MAGIC = b"onionpath/1 diary\n"
_NUMBERS = struct.Struct(">QQQ")


@dataclass(frozen=True, slots=True)
class Diary:
    """The durable state; envelopes are empty where there is none.

    Args:
        voted, signed: the highest numbers, 0 for none.
        recovery_at: of the opening in which we voted last.
        vote, ballot: our own of that opening, once they may be shown.
        draft: the envelope of the draft of the number ``signed``, with our signature.
        newest: the envelope of the last complete document.
    """

    voted: int = 0
    recovery_at: int = 0
    signed: int = 0
    vote: bytes = field(default=b"", repr=False)
    ballot: bytes = field(default=b"", repr=False)
    draft: bytes = field(default=b"", repr=False)
    newest: bytes = field(default=b"", repr=False)

    def encode(self) -> bytes:
        """What is stored."""
        parts = encode_parts([self.vote, self.ballot, self.draft, self.newest])
        numbers = _NUMBERS.pack(self.voted, self.recovery_at, self.signed)
        return _HEAD.pack(_MAGIC, digest(numbers + parts), self.voted, self.recovery_at, self.signed) + parts

    @property
    def opening(self) -> Opening:
        """In which we voted last."""
        return Opening(self.voted, self.recovery_at)


def decode_diary(state: bytes) -> Diary:
    """Read what was stored last.

    Raises:
        MalformedError: it is damaged. Don't start without it: it prevents two signatures of one number.
    """
    if len(state) < _HEAD.size:
        raise MalformedError("the authority's diary is cut off")
    magic, expected, *numbers = _HEAD.unpack_from(state)
    body = state[_HEAD.size :]
    if magic != _MAGIC or digest(_NUMBERS.pack(*numbers) + body) != expected:
        raise MalformedError("the authority's diary is damaged")
    parts = decode_parts(body, max_parts=4, max_size=MAX_DOCUMENT_SIZE)
    if len(parts) != 4:
        raise MalformedError("the authority's diary is incomplete")
    return Diary(*numbers, *parts)
