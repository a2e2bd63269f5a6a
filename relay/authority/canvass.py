"""The canvass of one opening: which votes are accepted and countersigned, and what they amount to.

What a vote names is held before the vote is accepted, so that whoever countersigned it can show all of it.
Spec: docs/specs/authorities.md §3 and §4.
"""

from __future__ import annotations

from collections.abc import Mapping

from onionpath.crypto.identity import IdentityKey
from onionpath.directory.document import Document
from onionpath.directory.evidence import Evidence
from onionpath.directory.trust import TrustRoot
from onionpath.directory.vote import Opening, Vote
from onionpath.errors import MalformedError
from onionpath.injected import UnixTime
from relay.authority.ballot_box import Accepted, BallotBox, Opened
from relay.authority.ballots import ballot_digest, decode_ballot
from relay.authority.holdings import Holdings
from relay.authority.rounds import Rounds
from relay.authority.tabulation import candidates, tabulate


class Canvass:
    """See the module's first lines.

    Args:
        holdings: documents and descriptors, which this fills.
    """

    def __init__(
        self, opening: Opening, *, identity: IdentityKey, root: TrustRoot, rounds: Rounds, holdings: Holdings
    ) -> None:
        self._identity, self._root, self._rounds, self._holdings = identity, root, rounds, holdings
        self._opening = opening
        self._box = BallotBox(root, opening, needed=rounds.needed)

    @property
    def envelopes(self) -> tuple[bytes, ...]:
        """All accepted votes with all their signatures."""
        return tuple(accepted.opened.countersigned.encode() for accepted in self._box)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Of authors that voted twice."""
        return tuple(self._box.evidence.values())

    def ballot(self, digest: bytes) -> bytes | None:
        """A ballot of an accepted vote."""
        return next((one.encoded for one in self._box if one.opened.vote.ballot == digest), None)

    def consider(self, envelope: bytes, contents: Mapping[bytes, bytes], now: UnixTime) -> tuple[bytes, ...]:
        """Accept a vote if the rules allow it.

        Args:
            contents: by digest, unverified.

        Returns:
            the digests of what is lacking for that.

        Raises:
            MalformedError, DirectoryError: no honest authority shows that.
        """
        opened = self._box.open(envelope)
        if known := self._box.find(opened):
            self._box.put(Accepted(opened, known.ballot, known.encoded))
            return ()
        is_backed = len(opened.countersigned.signatures) >= self._rounds.to_be_accepted(self._opening, now)
        if not (is_backed and self._box.is_open_to(opened.vote.author)):
            return ()
        lacking = self._lacking(opened.vote, contents)
        if not lacking:
            self._accept(opened, contents, now)
        return lacking

    def take_descriptors(self, contents: Mapping[bytes, bytes]) -> tuple[bytes, ...]:
        """Take those that the draft may need; the digests of those that are lacking.

        Raises:
            MalformedError, SignatureThresholdError: one is none.
        """
        lacking = []
        for wanted in self._candidates():
            if self._holdings.descriptor(wanted) is None:
                if wanted in contents:
                    self._holdings.take_descriptor(wanted, contents[wanted])
                else:
                    lacking.append(wanted)
        return tuple(lacking)

    def tabulate(self) -> Document | None:
        """What the votes that count now amount to; None while they are too few or a descriptor is lacking."""
        found = {wanted: self._holdings.descriptor(wanted) for wanted in self._candidates()}
        held = {wanted: descriptor for wanted, descriptor in found.items() if descriptor is not None}
        if len(held) < len(found):
            return None
        return tabulate(self._box.counted(), held, self._root, documents=self._holdings.named)

    def _lacking(self, vote: Vote, contents: Mapping[bytes, bytes]) -> tuple[bytes, ...]:
        named = [] if self._holdings.has_document(vote.last_digest) else [vote.last_digest]
        return tuple(digest for digest in [*named, vote.ballot] if digest not in contents)

    def _accept(self, opened: Opened, contents: Mapping[bytes, bytes], now: UnixTime) -> None:
        vote, countersigned = opened.vote, opened.countersigned
        encoded = contents[vote.ballot]
        if ballot_digest(encoded) != vote.ballot:
            raise MalformedError("this is not the ballot that was asked for")
        ballot = decode_ballot(encoded)
        self._holdings.keep_last(vote.last_number, vote.last_digest, contents)
        if (
            self._rounds.may_countersign(self._opening, now)
            and self._identity.public not in countersigned.signers
        ):
            countersigned = countersigned.signed_by(self._identity)
        self._box.put(Accepted(Opened(vote, countersigned), ballot, encoded))

    def _candidates(self) -> list[bytes]:
        ballots = [counted.ballot for counted in self._box.counted()]
        named = candidates(ballots, needed=self._rounds.needed)
        return [wanted for digests in named.values() for wanted in digests]
