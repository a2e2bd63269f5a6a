"""HTTP requests and responses as values, and how large they may be.

Spec: docs/specs/ohttp.md §3.
"""

from __future__ import annotations

from dataclasses import dataclass

Fields = tuple[tuple[bytes, bytes], ...]
"""Names in lower case and values, in their order."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one message may hold.

    Args:
        body_bytes: of content.
        head_bytes: of control data, header fields and trailer fields together, as encoded.
        fields: lines in all sections together.
    """

    body_bytes: int
    head_bytes: int = 16 * 1024
    fields: int = 64

    @property
    def message_bytes(self) -> int:
        """A whole message without padding; 64 bytes are more than its lengths take."""
        return self.body_bytes + self.head_bytes + 64


# One direction of a web service's ordinary calls; a gateway holds a whole message in memory, because a seal opens
# only as a whole.
REQUEST_LIMITS = Limits(body_bytes=1024 * 1024)
RESPONSE_LIMITS = Limits(body_bytes=8 * 1024 * 1024)


# What a message says is the secret, so it stands in no ``repr`` and thereby in no log.
@dataclass(frozen=True, slots=True, repr=False)
class HttpRequest:
    """A request; ``path`` includes the query."""

    method: bytes
    scheme: bytes
    authority: bytes
    path: bytes
    fields: Fields = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True, repr=False)
class HttpResponse:
    """A final response; informational ones are not kept."""

    status: int
    fields: Fields = ()
    body: bytes = b""


def values_of(fields: Fields, name: bytes) -> list[bytes]:
    """The values of all lines with this name."""
    return [value for each, value in fields if each == name]
