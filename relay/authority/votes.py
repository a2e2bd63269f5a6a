"""Votes and ballots: what one authority says of a period, short and signed, long and named by digest.

Spec: docs/specs/authorities.md §2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import msgspec

from onionpath.crypto.identity import PUBLIC_SIZE, IdentityKey, RelayId, parse_public_key
from onionpath.crypto.tags import digest
from onionpath.directory.canonical import Count, Form, decode_canonical, encode_canonical
from onionpath.directory.countersigned import NO_SIGNATURES, Countersigned
from onionpath.directory.descriptor import NETWORK_ID_SIZE
from onionpath.directory.document import DIGEST_SIZE, MAX_NUMBER, MAX_RELAYS
from onionpath.errors import MalformedError
from relay.authority.rounds import Opening

VOTE_TYPE = "application/vnd.onionpath.vote.v1+json"

# Fixed by the specification (§2).
MAX_VOTE_SIZE = 16 * 1024  # bytes of the envelope: 32 signatures take 6 KiB
MAX_BALLOT_SIZE = 6 * 1024 * 1024  # bytes: 20,000 relays take 3.2 MB
MAX_CAPACITY = 2**40  # bytes per second
SALT_SIZE = 32  # bytes


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


@dataclass(frozen=True, slots=True)
class Choice:
    """One relay of a ballot: the digest of its descriptor, and its measured capacity in bytes per second, or 0."""

    descriptor: bytes
    capacity: int = 0

    def __post_init__(self) -> None:
        if len(self.descriptor) != DIGEST_SIZE or not 0 <= self.capacity <= MAX_CAPACITY:
            raise MalformedError("a ballot holds an illegal digest or capacity")


@dataclass(frozen=True, slots=True)
class Ballot:
    """The relays that an authority has reached.

    Raises:
        MalformedError: none or too many, or one descriptor under two names.
    """

    choices: Mapping[RelayId, Choice]

    def __post_init__(self) -> None:
        if not 1 <= len(self.choices) <= MAX_RELAYS:
            raise MalformedError(f"a ballot holds 1 to {MAX_RELAYS} relays")
        if len({choice.descriptor for choice in self.choices.values()}) != len(self.choices):
            raise MalformedError("a ballot holds one descriptor under two names")
        # Whether a name is a key is not asked here: it costs 0.1 ms, and a name that is none has no descriptor.
        if any(len(relay) != PUBLIC_SIZE for relay in self.choices):
            raise MalformedError("a ballot holds a relay's name of a wrong length")

    def encode(self) -> bytes:
        """Its one form, in ascending order of relays."""
        choices = sorted(self.choices.items())
        return encode_canonical(
            _BallotForm(tuple(_ChoiceForm(name, one.descriptor, one.capacity) for name, one in choices))
        )


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


def ballot_digest(encoded: bytes) -> bytes:
    """The 32 bytes by which a vote names its ballot."""
    return digest(encoded)


def decode_ballot(encoded: bytes) -> Ballot:
    """Read the bytes that a vote named.

    Raises:
        MalformedError: wrong form.
    """
    return decode_canonical(_BallotForm, encoded, what="the ballot", max_size=MAX_BALLOT_SIZE).parse()


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


class _ChoiceForm(Form, frozen=True):
    relay_id: bytes
    descriptor: bytes
    capacity: Count


class _BallotForm(Form, frozen=True):
    relays: Annotated[tuple[_ChoiceForm, ...], msgspec.Meta(max_length=MAX_RELAYS)]

    def parse(self) -> Ballot:
        if any(one.relay_id >= two.relay_id for one, two in pairwise(self.relays)):
            raise MalformedError("a ballot's relays are repeated or out of order")
        return Ballot({RelayId(one.relay_id): Choice(one.descriptor, one.capacity) for one in self.relays})
