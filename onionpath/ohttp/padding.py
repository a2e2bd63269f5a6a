"""Zeros after a message, so that its sealed size says little about it.

Source: RFC 9292 §3.8; docs/specs/ohttp.md §4.
"""

from __future__ import annotations

# The smallest size hides what a call of an API asks; from the step on, doubling would cost more than it hides.
SMALLEST_SIZE = 1024
STEP_SIZE = 64 * 1024


def padded_size(size: int) -> int:
    """The next power of two from 1 KiB to 64 KiB, and above that the next multiple of 64 KiB."""
    if size > STEP_SIZE:
        return -(-size // STEP_SIZE) * STEP_SIZE
    return int(max(SMALLEST_SIZE, 1 << (size - 1).bit_length()))


def pad(message: bytes) -> bytes:
    """The message, and zeros up to ``padded_size``."""
    return message.ljust(padded_size(len(message)), b"\0")
