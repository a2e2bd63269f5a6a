"""One content of the directory service as it arrives: parts in order, all of one length, which has a bound.

Spec: docs/specs/directory.md §8.3.
"""

from __future__ import annotations

from onionpath.errors import MalformedError
from onionpath.service.directory_wire import DirectoryReply


class Content:
    """The parts of one content.

    Args:
        max_size: bytes; a longer one is refused at its first part.
    """

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
        """Take a part; the whole content when this was the last one.

        Raises:
            MalformedError: the content is too long, or this is another part than the next.
        """
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
