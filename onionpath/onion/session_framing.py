"""The one framing of Session's v2: ``length 4, little-endian ‖ blob ‖ JSON``, on links and inside of every layer.

The blob is opaque here, and the JSON is an object of a few short fields. Nothing says which version this is, nothing
is padded, and on the way to the first relay nothing but TLS authenticates the JSON.
Spec: docs/specs/session-onion.md §2.
"""

from __future__ import annotations

from collections.abc import Mapping

from onionpath.errors import MalformedError
from onionpath.onion.session_fields import Fields, decode_fields, encode_fields

# What Session's servers take: no body above it gets past their HTTP.
MAX_FRAMING_SIZE = 10 * 1024 * 1024  # bytes
# A host of 253 bytes, a target of 14, a key of 64 and the names around them leave room for somebody's headers.
MAX_FIELDS_SIZE = 2048  # bytes of JSON
# The object itself, its headers, and no more than a stray pair in them.
MAX_BRACKETS = 4
_LENGTH_SIZE = 4


def encode_framing(blob: bytes, fields: Mapping[str, object]) -> bytes:
    """Blob and fields in one."""
    return len(blob).to_bytes(_LENGTH_SIZE, "little") + blob + encode_fields(fields)


def decode_framing(data: bytes, *, max_size: int = MAX_FRAMING_SIZE) -> tuple[bytes, Fields]:
    """The blob, and the fields beside it.

    Raises:
        MalformedError: too long, a length that leaves no JSON or more than 2,048 bytes of it, or wrong JSON.
    """
    end = _LENGTH_SIZE + int.from_bytes(data[:_LENGTH_SIZE], "little")
    if not end < len(data) <= max_size:
        raise MalformedError("a framing is too long, or its length does not leave its JSON")
    fields = decode_fields(data[end:], max_size=MAX_FIELDS_SIZE, max_brackets=MAX_BRACKETS)
    return data[_LENGTH_SIZE:end], fields
