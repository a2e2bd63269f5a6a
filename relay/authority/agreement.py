"""One of several authorities: votes, accepts and countersigns others' votes, signs, and collects signatures.

It decides; whoever runs it carries out the ``Actions``:

| of the actions | to do |
|---|---|
| ``state`` | store it durably, then call ``stored``; what was decided is shown to nobody before that |
| ``document`` | there is a new document; serve it from its ``valid_from`` on |
| ``evidence`` | keep it, and tell the operator |
| ``wanted`` | fetch these contents from whom the bulletin came, and merge both; ``Visit`` does that |

Call ``tick`` after each ``calendar.pause_s``, visit all others after each ``calendar.visit_pause_s``, and vote when
``may_vote``.

What a driver must hear of survives an exception: a document is kept until it was returned, and whatever is unstored is
returned again by each ``tick``.

An opening is where all begin anew but for one thing: what was signed of a number is signed for good.
Spec: docs/specs/authorities.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from onionpath.crypto.identity import IdentityKey
from onionpath.crypto.tags import digest
from onionpath.directory.countersigned import open_countersigned
from onionpath.directory.document import PAYLOAD_TYPE as DOCUMENT_TYPE
from onionpath.directory.document import Document
from onionpath.directory.evidence import Equivocation, Evidence, is_proof, verify_evidence
from onionpath.directory.trust import TrustRoot
from onionpath.directory.vote import (
    MAX_VOTE_SIZE,
    SALT_SIZE,
    VOTE_TYPE,
    Opening,
    Vote,
    decode_vote,
    sign_vote,
)
from onionpath.errors import DirectoryError, MalformedError, UsageError
from onionpath.injected import Entropy, UnixTime
from relay.authority.actions import NOTHING, Actions
from relay.authority.ballots import Ballot, ballot_digest
from relay.authority.bulletin import Bulletin
from relay.authority.calendar import Calendar
from relay.authority.canvass import Canvass
from relay.authority.diary import Diary, decode_diary
from relay.authority.draft import Draft
from relay.authority.holdings import Holdings, authenticate
from relay.authority.roll import Known
from relay.authority.rounds import Rounds

# So that a visitor can take the parts of a bulletin that has changed meanwhile.
BULLETINS_KEPT = 4

NO_CONTENTS: Mapping[bytes, bytes] = {}


class Agreement:
    """See the module's first lines.

    Args:
        root: must name this identity.
        earlier: versions of the trust root before this one, the newest first; their documents go before ours.
        newest: the last complete document, verified, if the diary may not hold it.
        state: ``Actions.state`` as it was stored last.
        entropy: for the salts of votes.

    Raises:
        UsageError: the root doesn't name this identity.
        MalformedError: the state is damaged. Don't start without it: it prevents two signatures of one number.
    """

    def __init__(
        self,
        *,
        identity: IdentityKey,
        root: TrustRoot,
        earlier: Sequence[TrustRoot] = (),
        newest: Document | None = None,
        state: bytes | None = None,
        entropy: Entropy,
    ) -> None:
        if identity.public not in root.signers:
            raise UsageError("the trust root does not name this identity as an authority")
        self._identity, self._root, self._entropy = identity, root, entropy
        diary = Diary() if state is None else decode_diary(state)
        self._diary = diary
        roots = (root, *earlier)
        kept = authenticate(diary.newest, roots) if diary.newest else None
        known = [document for document in (newest, kept) if document is not None]
        self._holdings = Holdings(roots, max(known, key=lambda document: document.number, default=None))
        self.calendar = Calendar(Rounds.of(root), self._holdings)
        self._draft = Draft.decode(diary.draft, {identity.public}) if diary.draft else None
        self._root_version_voted = _root_version(diary.vote, identity) if diary.vote else root.version
        self._opening, self._round = max(diary.opening, Opening(diary.signed)), 0
        self._canvass = self._new_canvass()
        self._unstored: Diary | None = None
        self._unannounced: Document | None = None
        self._told: set[Evidence] = set()
        self._contradicting: set[bytes] = set()
        self._bulletins: deque[tuple[bytes, bytes]] = deque(maxlen=BULLETINS_KEPT)

    @property
    def newest(self) -> Document | None:
        """The last complete document."""
        return self._holdings.newest

    @property
    def identity(self) -> bytes:
        """Our public key."""
        return self._identity.public

    @property
    def votes_accepted(self) -> int:
        """In the opening at hand."""
        return len(self._canvass.envelopes)

    @property
    def voted(self) -> Opening:
        """Where we voted last."""
        return self._diary.opening

    @property
    def draft(self) -> Draft | None:
        """What we signed last, shown only once it was stored."""
        return self._draft

    def may_vote(self, now: UnixTime) -> bool:
        """Whether it is time for ``vote``."""
        opening = self.calendar.opening(now)
        return (
            self._unstored is None
            and self.calendar.rounds.may_vote(opening, now)
            and opening > self._diary.opening
            and opening.number > max(self._diary.signed, self._holdings.newest_number)
        )

    def relays_needed(self, now: UnixTime, first_document_relays: int) -> int:
        """How many relays a ballot needs: few right after an outage would make a network of those few."""
        return first_document_relays if now >= self._holdings.valid_until else 1

    def vote(self, ballot: Ballot, descriptors: Collection[Known], now: UnixTime) -> Actions:
        """Vote in the opening at hand.

        Args:
            descriptors: at least those that the ballot names, verified.

        Raises:
            UsageError: it isn't the time, or we did already.
        """
        if not self.may_vote(now):
            raise UsageError("an authority votes once in an opening, at its beginning")
        self._turn(now)
        self._holdings.learn(descriptors)
        encoded = ballot.encode()
        vote = Vote(
            network_id=self._root.network_id,
            root_version=self._root.version,
            number=self._opening.number,
            recovery_at=self._opening.recovery_at,
            author=self._identity.public,
            last_number=self._holdings.newest_number,
            last_digest=self._holdings.newest_digest,
            ballot=ballot_digest(encoded),
            salt=self._entropy(SALT_SIZE),
        )
        envelope = sign_vote(vote, self._identity).encode()
        self._root_version_voted = self._root.version
        return self._write(
            replace(
                self._latest,
                voted=self._opening.number,
                recovery_at=self._opening.recovery_at,
                vote=envelope,
                ballot=encoded,
            )
        )

    def learn(self, descriptors: Collection[Known]) -> None:
        """Keep verified descriptors for the number at hand."""
        self._holdings.learn(descriptors)

    def stored(self, now: UnixTime) -> Actions:
        """The state that was given last is durable now."""
        if self._unstored is not None:
            self._diary, self._unstored = self._unstored, None
        return self.tick(now)

    def tick(self, now: UnixTime) -> Actions:
        """Take part in the round of this moment."""
        return self._hand_over(self._take_part(now))

    def _take_part(self, now: UnixTime) -> Actions:
        if self._unstored is not None:
            return Actions(state=self._unstored.encode())
        self._turn(now)
        self._consider_our_own(now)
        before, self._round = self._round, self.calendar.rounds.round(self._opening, now)
        # Who starts in the middle of a round may have seen less than others: it waits for the next one.
        if 0 < before < self._round and self._may_sign(now):
            return self._sign()
        return self._complete()

    def merge(
        self, bulletin: Bulletin, now: UnixTime, contents: Mapping[bytes, bytes] = NO_CONTENTS
    ) -> Actions:
        """Take over what is new in another authority's bulletin.

        Args:
            contents: those that were wanted and could be had, by digest.

        Raises:
            MalformedError, DirectoryError: no honest authority shows that. What came before it was taken, and what
                follows from that is returned the next time.
        """
        self._turn(now)
        wanted: list[bytes] = []
        if bulletin.opening == self._opening == self.calendar.opening(now):
            for envelope in bulletin.votes:
                wanted += self._canvass.consider(envelope, contents, now)
            wanted += self._canvass.take_descriptors(contents)
        if bulletin.number == self._opening.number:
            self._collect(bulletin)
        done, adopted = self._complete(), self._adopt(bulletin, contents)
        return self._hand_over(
            Actions(
                state=adopted.state or done.state,
                evidence=adopted.evidence,
                wanted=tuple(dict.fromkeys([*wanted, *adopted.wanted])),
            )
        )

    def proven(self, evidence: Evidence) -> Equivocation:
        """What evidence that we have handed over proves."""
        return verify_evidence(evidence, self._root)

    def bulletin(self) -> bytes:
        """What to show to a visitor."""
        encoded = self._compose().encode()
        name = digest(encoded)
        if all(name != kept for kept, _ in self._bulletins):
            self._bulletins.append((name, encoded))
        return encoded

    def content(self, wanted: bytes) -> bytes | None:
        """What to show to whoever asks for this digest: a bulletin, ballot, descriptor or document."""
        shown = next((encoded for name, encoded in self._bulletins if name == wanted), None)
        return shown or self._canvass.ballot(wanted) or self._holdings.content(wanted)

    def _turn(self, now: UnixTime) -> None:
        """Go on to the opening of this moment."""
        opening = self.calendar.opening(now)
        if opening > self._opening:
            is_new_number = opening.number > self._opening.number
            self._opening, self._round = opening, 0
            self._canvass = self._new_canvass()
            self._holdings.begin_opening()
            if is_new_number:
                self._holdings.begin_number()
                self._told.clear()
                self._contradicting.clear()

    def _new_canvass(self) -> Canvass:
        return Canvass(
            self._opening,
            identity=self._identity,
            root=self._root,
            rounds=self.calendar.rounds,
            holdings=self._holdings,
        )

    @property
    def _latest(self) -> Diary:
        """What is being stored counts as written: nothing of it may be lost."""
        return self._unstored or self._diary

    def _write(self, diary: Diary) -> Actions:
        newest, draft = self._holdings.newest, self._draft
        self._unstored = replace(
            diary, newest=newest.envelope if newest else b"", draft=draft.envelope if draft else b""
        )
        return Actions(state=self._unstored.encode())

    def _consider_our_own(self, now: UnixTime) -> None:
        # Our vote is taken as if it came from somebody else, so that it counts after a restart, too. What was voted
        # before a succession counts for nobody any more, and still was our only vote of this opening.
        is_of_this_root = self._root_version_voted == self._root.version
        if (
            self._diary.opening == self._opening == self.calendar.opening(now)
            and self._diary.vote
            and is_of_this_root
        ):
            own = {ballot_digest(self._diary.ballot): self._diary.ballot}
            self._canvass.consider(self._diary.vote, own, now)

    def _may_sign(self, now: UnixTime) -> bool:
        is_at_hand = self._opening == self.calendar.opening(now)
        is_new = self._opening.number > max(self._diary.signed, self._holdings.newest_number)
        return is_at_hand and is_new and self.calendar.rounds.may_sign(self._opening, now)

    def _sign(self) -> Actions:
        document = self._canvass.tabulate()
        if document is None:
            return NOTHING
        self._draft = Draft.sign(document, self._identity)
        return self._write(replace(self._latest, signed=self._opening.number))

    def _our_draft(self) -> Draft | None:
        """The draft of the number at hand, once it may be shown."""
        draft = self._draft
        is_shown = draft is not None and draft.number == self._opening.number == self._diary.signed
        return draft if is_shown else None

    def _collect(self, bulletin: Bulletin) -> None:
        draft = self._our_draft()
        if draft is not None and bulletin.draft == draft.digest:
            self._draft = draft.collect(bulletin.signatures, self._root.signers)

    def _complete(self) -> Actions:
        draft = self._our_draft()
        if draft is None or self._holdings.newest_number >= draft.number:
            return NOTHING
        if len(draft.signatures) < self._root.threshold:
            return NOTHING
        try:
            document = self._holdings.authenticate(draft.envelope)
        except DirectoryError:
            # Signed before a succession of which we know too little: others may still show us the document.
            return NOTHING
        return self._renew(document, draft.digest)

    def _renew(self, document: Document, name: bytes) -> Actions:
        self._holdings.renew(document, name)
        self._unannounced = document
        return self._write(self._latest)

    def _hand_over(self, actions: Actions) -> Actions:
        """These, and what an exception may have kept back since the last time."""
        document, self._unannounced = self._unannounced, None
        evidence = self._untold((*self._canvass.evidence, *actions.evidence))
        return replace(actions, document=document, evidence=evidence)

    def _adopt(self, bulletin: Bulletin, contents: Mapping[bytes, bytes]) -> Actions:
        """Take a newer document, or notice that there are two of one number."""
        ours, name = self._holdings.newest_number, bulletin.newest_digest
        is_known = name == self._holdings.newest_digest or name in self._contradicting
        if bulletin.newest_number < max(ours, 1) or is_known:
            return NOTHING
        if not self._holdings.has_document(name) and name not in contents:
            return Actions(wanted=(name,))
        document = self._holdings.document(name, contents)
        if document.number != bulletin.newest_number:
            raise MalformedError("a bulletin names a document by another number than its own")
        evidence = self._contradictions(document)
        if document.number > ours:
            return replace(self._renew(document, name), evidence=evidence)
        self._contradicting.add(name)
        return Actions(evidence=evidence)

    def _contradictions(self, document: Document) -> tuple[Evidence, ...]:
        """What proves that somebody signed this and something else of its number."""
        newest, draft = self._holdings.newest, self._draft
        others = [newest.envelope] if newest and newest.number == document.number else []
        if draft and draft.number == document.number:
            others.append(draft.envelope)
        pairs = [Evidence(DOCUMENT_TYPE, other, document.envelope) for other in others]
        return tuple(pair for pair in pairs if is_proof(pair, self._root))

    def _untold(self, evidence: Collection[Evidence]) -> tuple[Evidence, ...]:
        fresh = [one for one in evidence if one not in self._told]
        self._told.update(fresh)
        return tuple(fresh)

    def _compose(self) -> Bulletin:
        draft = self._our_draft()
        return Bulletin(
            number=self._opening.number,
            recovery_at=self._opening.recovery_at,
            newest_number=self._holdings.newest_number,
            newest_digest=self._holdings.newest_digest,
            votes=self._canvass.envelopes,
            draft=draft.digest if draft else b"",
            signatures=draft.signatures if draft else {},
        )


def _root_version(vote: bytes, key: IdentityKey) -> int:
    opened = open_countersigned(vote, payload_type=VOTE_TYPE, signers={key.public}, max_size=MAX_VOTE_SIZE)
    return decode_vote(opened.payload).root_version
