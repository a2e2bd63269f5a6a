"""Ballots: which relays one authority has reached, and how fast they are; a vote names it by digest.

Spec: docs/specs/authorities.md §2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import msgspec

from onionpath.crypto.identity import PUBLIC_SIZE, RelayId
from onionpath.crypto.tags import digest
from onionpath.directory.canonical import Count, Form, decode_canonical, encode_canonical
from onionpath.directory.document import DIGEST_SIZE, MAX_RELAYS
from onionpath.errors import MalformedError

# Fixed by the specification (§2).
MAX_BALLOT_SIZE = 6 * 1024 * 1024  # bytes: 20,000 relays take 3.2 MB
MAX_CAPACITY = 2**40  # bytes per second


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


def ballot_digest(encoded: bytes) -> bytes:
    """The 32 bytes by which a vote names its ballot."""
    return digest(encoded)


def decode_ballot(encoded: bytes) -> Ballot:
    """Read the bytes that a vote named.

    Raises:
        MalformedError: wrong form.
    """
    return decode_canonical(_BallotForm, encoded, what="the ballot", max_size=MAX_BALLOT_SIZE).parse()


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
