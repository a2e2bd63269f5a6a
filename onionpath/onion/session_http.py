"""Bounds of the HTTP messages that carry onions: at a relay's door, at its exit to servers, and at a client.

Spec: docs/specs/session-onion.md §12.3 and §13.3.
"""

from __future__ import annotations

from onionpath.onion.session_framing import MAX_FRAMING_SIZE

MAX_HEAD_SIZE = 16 * 1024  # bytes
MAX_BODY_SIZE = MAX_FRAMING_SIZE  # of a request, and of a response
MIN_CHUNK_SIZE = 64  # bytes, on average beyond the first pieces
FREE_PIECES = 256


def is_in_crumbs(pieces: int, size: int) -> bool:
    """Whether a body has more pieces than its reader should put together.

    Chunks of a few bytes cost whoever reads them a thousand times what they cost whoever sends them.

    Args:
        pieces: chunks that came so far, and responses that only announce another one.
        size: bytes of the body that came so far.
    """
    return (pieces - FREE_PIECES) * MIN_CHUNK_SIZE > size
