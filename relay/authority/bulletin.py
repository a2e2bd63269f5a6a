"""The bulletin: what an authority shows of the opening at hand to whoever visits it.

Nothing in it is believed by itself; votes and signatures are verified one by one. Spec: docs/specs/authorities.md §6.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from onionpath.directory.canonical import Count, Form, decode_canonical, encode_canonical
from onionpath.directory.document import DIGEST_SIZE, NO_PREVIOUS
from onionpath.directory.envelope import MAX_SIGNATURES, SignatureForm, parse_signatures, signature_forms
from onionpath.directory.trust import MAX_AUTHORITIES
from onionpath.directory.vote import Opening
from onionpath.errors import MalformedError

# Fixed by the specification (§3.1, §6.3).
VOTES_PER_AUTHOR = 2
MAX_BULLETIN_SIZE = 1024 * 1024  # bytes: 64 votes with 32 signatures each take 0.6 MB


@dataclass(frozen=True, slots=True)
class Bulletin:
    """See the module's first lines.

    Args:
        number, recovery_at: the opening at which we are.
        newest_number, newest_digest: the newest complete document; 0 and zeros for none.
        votes: envelopes, at most two of each authority.
        draft: digest of the draft that was signed, or empty.
        signatures: over the draft, by key.

    Raises:
        MalformedError: a value is outside of the specification.
    """

    number: int
    recovery_at: int
    newest_number: int
    newest_digest: bytes
    votes: tuple[bytes, ...] = field(repr=False)
    draft: bytes
    signatures: Mapping[bytes, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.newest_digest) != DIGEST_SIZE or len(self.draft) not in (0, DIGEST_SIZE):
            raise MalformedError("a bulletin holds a digest of a wrong length")
        if (self.newest_number == 0) != (self.newest_digest == NO_PREVIOUS):
            raise MalformedError("a bulletin names a document by half")
        if len(self.votes) > VOTES_PER_AUTHOR * MAX_AUTHORITIES:
            raise MalformedError("a bulletin holds too many votes")

    @property
    def opening(self) -> Opening:
        """At which its author is."""
        return Opening(self.number, self.recovery_at)

    def encode(self) -> bytes:
        """Its one form."""
        return encode_canonical(
            _BulletinForm(
                self.number,
                self.recovery_at,
                self.newest_number,
                self.newest_digest,
                self.votes,
                self.draft,
                signature_forms(self.signatures),
            )
        )


def decode_bulletin(encoded: bytes) -> Bulletin:
    """Read what a visited authority showed.

    Raises:
        MalformedError: wrong form.
    """
    return decode_canonical(_BulletinForm, encoded, what="the bulletin", max_size=MAX_BULLETIN_SIZE).parse()


class _BulletinForm(Form, frozen=True):
    number: Count
    recovery_at: Count
    newest_number: Count
    newest_digest: bytes
    votes: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=VOTES_PER_AUTHOR * MAX_AUTHORITIES)]
    draft: bytes
    signatures: Annotated[tuple[SignatureForm, ...], msgspec.Meta(max_length=MAX_SIGNATURES)]

    def parse(self) -> Bulletin:
        """The value; raises ``MalformedError`` if it is outside of the specification."""
        return Bulletin(
            self.number,
            self.recovery_at,
            self.newest_number,
            self.newest_digest,
            self.votes,
            self.draft,
            parse_signatures(self.signatures),
        )
