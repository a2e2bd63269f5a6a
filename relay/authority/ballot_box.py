"""The votes of one opening that were accepted, and which of them count. Spec: docs/specs/authorities.md §3.

| of an author, accepted | it counts |
|---|---|
| no vote | not |
| one, with fewer than R signatures | not |
| one, with R signatures or more | once |
| two | not, for good |

It only ever grows, so that it does not matter in which order votes and signatures come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from onionpath.directory.countersigned import Countersigned, open_countersigned
from onionpath.directory.evidence import Evidence
from onionpath.directory.trust import TrustRoot
from onionpath.directory.vote import MAX_VOTE_SIZE, VOTE_TYPE, Opening, Vote, decode_vote
from onionpath.errors import MalformedError
from relay.authority.ballots import Ballot
from relay.authority.bulletin import VOTES_PER_AUTHOR
from relay.authority.tabulation import Counted


@dataclass(frozen=True, slots=True)
class Opened:
    """A vote as it reads, and its verified signatures, of which one is its author's."""

    vote: Vote
    countersigned: Countersigned


@dataclass(frozen=True, slots=True)
class Accepted:
    """A vote with its ballot, as it reads and as it came."""

    opened: Opened
    ballot: Ballot
    encoded: bytes = field(repr=False)


class BallotBox:
    """Up to two votes of each authority.

    Args:
        opening: votes for another one are refused.
        needed: signatures that a vote needs to count.
    """

    def __init__(self, root: TrustRoot, opening: Opening, *, needed: int) -> None:
        self._root, self._opening, self._needed = root, opening, needed
        self._accepted: dict[bytes, list[Accepted]] = {one.identity: [] for one in root.authorities}
        self._first_seen: dict[bytes, Countersigned] = {}
        self._evidence: dict[bytes, Evidence] = {}

    def __iter__(self) -> Iterator[Accepted]:
        return (accepted for votes in self._accepted.values() for accepted in votes)

    @property
    def evidence(self) -> Mapping[bytes, Evidence]:
        """Of authors that voted twice, whether or not both votes were accepted."""
        return self._evidence

    def open(self, envelope: bytes) -> Opened:
        """Verify a vote's envelope; the signatures of accepted votes are not verified again.

        Raises:
            MalformedError: wrong form, or a vote for something else.
            SignatureThresholdError: no authority has signed it.
        """
        countersigned = open_countersigned(
            envelope,
            payload_type=VOTE_TYPE,
            signers=self._root.signers,
            max_size=MAX_VOTE_SIZE,
            known=[accepted.opened.countersigned for accepted in self],
        )
        accepted = self._find(countersigned.payload)
        if accepted is not None:
            return Opened(accepted.opened.vote, countersigned)
        vote = decode_vote(countersigned.payload)
        expected = self._root.network_id, self._root.version, self._opening
        if (vote.network_id, vote.root_version, vote.opening) != expected:
            raise MalformedError("a vote is of another network, trust root or opening")
        if vote.author not in countersigned.signers:
            raise MalformedError("a vote is not signed by its author")
        self._note(vote.author, countersigned)
        return Opened(vote, countersigned)

    def find(self, opened: Opened) -> Accepted | None:
        """This vote, if it was accepted before."""
        return self._find(opened.countersigned.payload)

    def is_open_to(self, author: bytes) -> bool:
        """Whether another vote of this author would say anything new."""
        return len(self._accepted[author]) < VOTES_PER_AUTHOR

    def put(self, accepted: Accepted) -> bool:
        """Keep a vote, or further signatures to one that is kept; True if there was something new."""
        before = self.find(accepted.opened)
        votes = self._accepted[accepted.opened.vote.author]
        if before is None:
            votes.append(accepted)
            return True
        merged = before.opened.countersigned.merged(accepted.opened.countersigned)
        if len(merged.signatures) == len(before.opened.countersigned.signatures):
            return False
        votes[votes.index(before)] = replace(before, opened=replace(before.opened, countersigned=merged))
        return True

    def counted(self) -> list[Counted]:
        """The votes that count now."""
        alone = [votes[0] for votes in self._accepted.values() if len(votes) == 1]
        return [
            Counted(one.opened.vote, one.ballot)
            for one in alone
            if len(one.opened.countersigned.signatures) >= self._needed
        ]

    def _find(self, payload: bytes) -> Accepted | None:
        return next((one for one in self if one.opened.countersigned.payload == payload), None)

    def _note(self, author: bytes, countersigned: Countersigned) -> None:
        first = self._first_seen.setdefault(author, countersigned)
        if first.payload != countersigned.payload and author not in self._evidence:
            self._evidence[author] = Evidence(VOTE_TYPE, first.encode(), countersigned.encode())
