"""The packets of the stream service: a request's and a reply's bytes, and what they may say.

Spec: docs/specs/stream.md §2, §3. The relay's buffers stand in ``stream_buffers``, the client's in
``stream_reassembly``, and the client's choice of polls in ``stream_polls``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Self

from onionpath.errors import MalformedError

TOKEN_SIZE = 16  # bytes
MAX_HOST_SIZE = 253  # bytes, as in the DNS
MAX_OFFSET = 2**63 - 1

_REQUEST = struct.Struct(">BBH16sQQQIIIHHI")
_REPLY = struct.Struct(">B3sQQI")
REQUEST_OVERHEAD = _REQUEST.size  # 64 bytes; the host follows, then the data
REPLY_OVERHEAD = _REPLY.size  # 24 bytes; the data follows


class RequestFlags(IntFlag):
    """What a request does besides carrying bytes."""

    NONE = 0
    OPEN = 1  # open the stream unless it is open
    END = 2  # upstream ends after these bytes
    CLOSE = 4  # forget the stream


class ReplyFlags(IntFlag):
    """How downstream ended, if it did."""

    NONE = 0
    END = 1  # it ends after these bytes
    RESET = 2  # it broke after these bytes


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """One call of a stream: upstream bytes, and a wish for downstream bytes. The same one may be sent twice.

    Args:
        token: 16 bytes that name the stream.
        flags: see ``RequestFlags``; CLOSE stands alone.
        host, port: where to; only with OPEN, otherwise empty and 0.
        upstream_offset: where ``data`` belongs among the upstream bytes.
        read_at: offset of the first downstream byte wanted.
        acknowledged: downstream bytes before it may be forgotten; at most ``read_at``.
        at_least, at_most: bytes wanted; with ``at_least`` 0 the answer waits only until ``data`` was taken.
        wait_ms: how long the relay may wait for ``at_least`` bytes, in milliseconds.

    Raises:
        MalformedError: the values contradict the specification, docs/specs/stream.md §2.
    """

    # Whoever knows the token has the stream; where it leads and what it carries belong into no log either.
    token: bytes = field(repr=False)
    flags: RequestFlags = RequestFlags.NONE
    host: bytes = field(default=b"", repr=False)
    port: int = 0
    upstream_offset: int = 0
    data: bytes = field(default=b"", repr=False)
    read_at: int = 0
    acknowledged: int = 0
    at_least: int = 0
    at_most: int = 0
    wait_ms: int = 0

    def __post_init__(self) -> None:
        if len(self.token) != TOKEN_SIZE:
            raise MalformedError(f"a stream's token has {TOKEN_SIZE} bytes")
        self._check_flags()
        offsets = (self.upstream_offset, self.upstream_offset + len(self.data), self.read_at)
        if not all(0 <= offset <= MAX_OFFSET for offset in offsets):
            raise MalformedError("an offset of a stream is too large")
        if not 0 <= self.acknowledged <= self.read_at:
            raise MalformedError("a stream is acknowledged further than it is read")
        if not 0 <= self.at_least <= self.at_most < 2**32 or not 0 <= self.wait_ms < 2**32:
            raise MalformedError("a stream is asked for an impossible number of bytes or milliseconds")

    def _check_flags(self) -> None:
        if self.flags not in range(8):
            raise MalformedError("a stream's request has an unknown flag")
        if RequestFlags.OPEN in self.flags:
            if not (1 <= self.port <= 65535 and 1 <= len(self.host) <= MAX_HOST_SIZE):
                raise MalformedError("a stream is opened without host or port")
        elif self.port or self.host:
            raise MalformedError("a host or port stands in a request that opens no stream")
        if RequestFlags.CLOSE in self.flags:
            counts = (self.upstream_offset, self.read_at, self.acknowledged, self.at_most, self.wait_ms)
            if self.flags != RequestFlags.CLOSE or self.data or any(counts):
                raise MalformedError("a request closes a stream and asks for something else")

    def encode(self) -> bytes:
        """The body of the call: 64 bytes, host and data."""
        head = _REQUEST.pack(
            self.flags,
            0,
            self.port,
            self.token,
            self.upstream_offset,
            self.read_at,
            self.acknowledged,
            self.at_least,
            self.at_most,
            self.wait_ms,
            len(self.host),
            0,
            len(self.data),
        )
        return head + self.host + self.data

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read a call's body.

        Raises:
            MalformedError: it isn't exactly what ``encode`` gives for some request.
        """
        if len(body) < REQUEST_OVERHEAD:
            raise MalformedError("a stream's request is too short")
        (
            flags, zero, port, token, upstream_offset, read_at, acknowledged,
            at_least, at_most, wait_ms, host_length, zeros, data_length,
        ) = _REQUEST.unpack_from(body)  # fmt: skip
        if zero or zeros or flags > 7:
            raise MalformedError("a stream's request has an unknown flag")
        if len(body) != REQUEST_OVERHEAD + host_length + data_length:
            raise MalformedError("a stream's request has another length than it says")
        data_at = REQUEST_OVERHEAD + host_length
        return cls(
            token=token,
            flags=RequestFlags(flags),
            host=body[REQUEST_OVERHEAD:data_at],
            port=port,
            upstream_offset=upstream_offset,
            data=body[data_at:],
            read_at=read_at,
            acknowledged=acknowledged,
            at_least=at_least,
            at_most=at_most,
            wait_ms=wait_ms,
        )


@dataclass(frozen=True, slots=True)
class StreamReply:
    """What a call of a stream is answered.

    Args:
        upstream_received: every upstream byte before this offset has arrived; continue there.
        downstream_offset: where ``data`` belongs among the downstream bytes.
        flags: see ``ReplyFlags``; at most one.

    Raises:
        MalformedError: the values contradict the specification, docs/specs/stream.md §3.
    """

    upstream_received: int = 0
    downstream_offset: int = 0
    data: bytes = field(default=b"", repr=False)
    flags: ReplyFlags = ReplyFlags.NONE

    def __post_init__(self) -> None:
        if self.flags not in (ReplyFlags.NONE, ReplyFlags.END, ReplyFlags.RESET):
            raise MalformedError("a stream's reply has unknown or contradicting flags")
        offsets = (self.upstream_received, self.downstream_offset, self.downstream_offset + len(self.data))
        if not all(0 <= offset <= MAX_OFFSET for offset in offsets):
            raise MalformedError("an offset of a stream is too large")

    @property
    def end(self) -> int:
        """The offset after the last byte of ``data``."""
        return self.downstream_offset + len(self.data)

    def encode(self) -> bytes:
        """The body of the reply: 24 bytes and the data."""
        return (
            _REPLY.pack(self.flags, bytes(3), self.upstream_received, self.downstream_offset, len(self.data))
            + self.data
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read a reply's body.

        Raises:
            MalformedError: it isn't exactly what ``encode`` gives for some reply.
        """
        if len(body) < REPLY_OVERHEAD:
            raise MalformedError("a stream's reply is too short")
        flags, zeros, received, offset, length = _REPLY.unpack_from(body)
        if zeros != bytes(3) or flags > 3:
            raise MalformedError("a stream's reply has an unknown flag")
        if len(body) != REPLY_OVERHEAD + length:
            raise MalformedError("a stream's reply has another length than it says")
        return cls(received, offset, body[REPLY_OVERHEAD:], ReplyFlags(flags))
