"""A vote: what one authority signs of a period. The ballot that it names is the relay's.

It stands here because two votes of one author are evidence, which everybody can check.
Spec: docs/specs/authorities.md §2.
"""

from __future__ import annotations

from dataclasses import dataclass

from onionpath.crypto.identity import IdentityKey, parse_public_key
from onionpath.directory.canonical import Count, Form, decode_canonical, encode_canonical
from onionpath.directory.countersigned import NO_SIGNATURES, Countersigned
from onionpath.directory.descriptor import NETWORK_ID_SIZE
from onionpath.directory.document import DIGEST_SIZE, MAX_NUMBER
from onionpath.errors import MalformedError

VOTE_TYPE = "application/vnd.onionpath.vote.v1+json"

# Fixed by the specification (§2).
MAX_VOTE_SIZE = 16 * 1024  # bytes of the envelope: 32 signatures take 6 KiB
SALT_SIZE = 32  # bytes


@dataclass(frozen=True, slots=True, order=True)
class Opening:
    """When votes for a document begin; the order is that of time.

    Args:
        number: of the document.
        recovery_at: 0 for half a period before the document's own, or the Unix time of an opening of recovery.
    """

    number: int
    recovery_at: int = 0


@dataclass(frozen=True, slots=True)
class Vote:
    """What an authority signs.

    Args:
        root_version: of the trust root that names the author.
        number: of the document that is being voted on.
        recovery_at: of the opening, 0 unless it is one of recovery.
        author: its Ed25519 public key.
        last_number, last_digest: the newest document that it holds; 0 and zeros for none.
        ballot: digest of the ballot.
        salt: 32 random bytes, so that nobody knows beforehand in which swarm a relay will store.

    Raises:
        MalformedError: a value is outside of the specification.
    """

    network_id: bytes
    root_version: int
    number: int
    recovery_at: int
    author: bytes
    last_number: int
    last_digest: bytes
    ballot: bytes
    salt: bytes

    def __post_init__(self) -> None:
        parse_public_key(self.author)
        sizes = len(self.network_id), len(self.last_digest), len(self.ballot), len(self.salt)
        if sizes != (NETWORK_ID_SIZE, DIGEST_SIZE, DIGEST_SIZE, SALT_SIZE):
            raise MalformedError("a vote holds an id or digest of a wrong length")
        if not 0 <= self.last_number < self.number <= MAX_NUMBER:
            raise MalformedError("a vote's numbers are out of range or not in order")
        if (self.last_number == 0) != (self.last_digest == bytes(DIGEST_SIZE)):
            raise MalformedError("a vote names a last document by halves")

    @property
    def opening(self) -> Opening:
        """For which it was made."""
        return Opening(self.number, self.recovery_at)


def sign_vote(vote: Vote, key: IdentityKey) -> Countersigned:
    """The vote with its author's signature."""
    return Countersigned(VOTE_TYPE, encode_vote(vote), NO_SIGNATURES).signed_by(key)


def encode_vote(vote: Vote) -> bytes:
    """The exact bytes that are signed."""
    return encode_canonical(
        _VoteForm(
            vote.network_id,
            vote.root_version,
            vote.number,
            vote.recovery_at,
            vote.author,
            vote.last_number,
            vote.last_digest,
            vote.ballot,
            vote.salt,
        )
    )


def decode_vote(payload: bytes) -> Vote:
    """Read signed bytes; nobody calls this before a signature verified.

    Raises:
        MalformedError: wrong form.
    """
    return decode_canonical(_VoteForm, payload, what="the vote", max_size=MAX_VOTE_SIZE).parse()


class _VoteForm(Form, frozen=True):
    network_id: bytes
    root_version: Count
    number: Count
    recovery_at: Count
    author: bytes
    last_number: Count
    last_digest: bytes
    ballot: bytes
    salt: bytes

    def parse(self) -> Vote:
        """The value; raises ``MalformedError`` if it is outside of the specification."""
        return Vote(
            self.network_id,
            self.root_version,
            self.number,
            self.recovery_at,
            self.author,
            self.last_number,
            self.last_digest,
            self.ballot,
            self.salt,
        )
