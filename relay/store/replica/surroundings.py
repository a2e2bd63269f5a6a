"""What all jobs of a member share: who it is, what it knows of the others, and what time it is."""

from __future__ import annotations

from typing import NamedTuple

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.errors import MalformedError
from onionpath.onion.statuses import Reason
from onionpath.swarm.arcs import WHOLE_RING, Arc
from onionpath.swarm.operations import AccountId, Version
from relay.store.replica.duties import Duties, Holding
from relay.store.replica.layout import Layout, Share, position_of
from relay.store.replica.messages import (
    Answer,
    Question,
    Refused,
    Replied,
    Said,
    decode_replied,
    encode_replied,
    encode_said,
)

# Members whose clocks differ by more cannot give versions in the order of time. Fixed by the specification (§1.2).
MAX_SKEW_MS = 30_000
# Two clocks that differ by as much from a third one, whose versions they have seen.
MAX_AHEAD_MS = 2 * MAX_SKEW_MS
# Documents whose layouts are remembered: whoever was a member then may still have rows to hand over.
EARLIER_LAYOUTS = 8


class Heard(NamedTuple):
    """A member's answer, and the document by which it gave it."""

    number: int
    answer: Answer


class Counts(NamedTuple):
    """What went wrong between members, whoever of two noticed it, and what followed.

    Args:
        skewed, malformed: messages whose clock is too far from ours, or that have not their form.
        stale: refusals because two members go by different documents.
        owed, given: rows that were noted for members that had missed them, and rows that were given to members.
    """

    skewed: int = 0
    malformed: int = 0
    stale: int = 0
    owed: int = 0
    given: int = 0


class Surroundings:
    """State of one member. Nothing here waits.

    Args:
        identity: signs the member's share of replies; its name is ours.
    """

    def __init__(self, identity: IdentityKey) -> None:
        self.identity = identity
        self.ours: RelayId = identity.relay_id
        self.now_ms = 0
        self.layout = Layout(0, (Share(WHOLE_RING, frozenset()),), frozenset())
        self._earlier: tuple[Layout, ...] = ()
        self.duties = Duties()
        self.is_ready = False  # our duties are those of the layout, on disk
        self.down: set[RelayId] = set()
        self.returned: set[RelayId] = set()  # they answered again since somebody looked here
        self.wants_document = False
        self.counts = Counts()
        self._version = 0

    # Accounts.

    def members_of(self, account: AccountId) -> frozenset[RelayId]:
        """Who stores for an account."""
        return self.layout.share_at(position_of(account)).members

    def follow(self, layout: Layout) -> None:
        """Go by another document from now on, and remember the last ones."""
        if layout != self.layout:
            self._earlier = (*self._earlier, self.layout)[-EARLIER_LAYOUTS:]
        self.layout = layout

    def is_partner(self, relay: RelayId, arc: Arc) -> bool:
        """Whether a relay has to do with all of an arc: it holds it, held it lately, or we are to hear it about it."""
        layouts = (self.layout, *self._earlier)
        if any(all(relay in share.members for share in layout.within(arc)) for layout in layouts):
            return True
        holdings = tuple(self.duties.within(arc))
        return bool(holdings) and all(relay in holding.partners for holding in holdings)

    def is_partner_for(self, relay: RelayId, account: AccountId) -> bool:
        """The same of an account's place."""
        position = position_of(account)
        return self.is_partner(relay, Arc(position, position + 1))

    def holding_of(self, account: AccountId) -> Holding | None:
        """What we hold there, whether it is ours still or not."""
        return self.duties.at(position_of(account))

    def may_answer_for(self, account: AccountId) -> bool:
        """Whether we know all that was acknowledged, as far as one member can."""
        holding = self.holding_of(account)
        return self.is_ready and holding is not None and not holding.is_leaving and not holding.debts

    def next_version(self, known: int) -> Version:
        """One that is above our clock, above all that we gave, and above ``known``, if that can be believed."""
        above = known + 1 if self.is_credible(known) else 0
        self._version = max(self.now_ms, self._version + 1, above)
        return Version(self._version)

    def is_credible(self, version: int) -> bool:
        """Whether a member with a right clock can have given this version by now.

        A liar's could be years ahead, and whoever went above it would be refused by all others.
        """
        return version <= self.now_ms + MAX_AHEAD_MS

    # Other members.

    def ask(self, question: Question) -> bytes:
        """A question as it goes out."""
        return encode_said(Said(self.layout.number, self.now_ms, question))  # type: ignore[arg-type]

    def answer(self, answer: Answer) -> bytes:
        """An answer as it goes out."""
        if isinstance(answer, Refused):
            self._count_refusal(answer)
        return encode_replied(Replied(self.layout.number, self.now_ms, answer))

    def hear(self, relay: RelayId, result: bytes | Reason) -> Heard | None:
        """What a member has answered; None if that is of no use, and then it is down."""
        replied = self._read(result)
        if replied is None or self.is_skewed(replied.clock_ms):
            self.down.add(relay)
            return None
        self.heard_of(relay, replied.number)
        if isinstance(replied.answer, Refused):
            self._count_refusal(replied.answer)
        return Heard(replied.number, replied.answer)

    def _count_refusal(self, refused: Refused) -> None:
        match refused.why:
            case "stale":
                self.counts = self.counts._replace(stale=self.counts.stale + 1)
            case "malformed":
                self.counts = self.counts._replace(malformed=self.counts.malformed + 1)

    def heard_of(self, relay: RelayId, number: int) -> None:
        """A member lives, and has the document of this number."""
        if relay in self.down:
            self.down.discard(relay)
            self.returned.add(relay)
        if number > self.layout.number:
            self.wants_document = True

    def is_skewed(self, clock_ms: int) -> bool:
        """Whether a member's clock and ours differ by too much; counted."""
        is_skewed = abs(clock_ms - self.now_ms) > MAX_SKEW_MS
        if is_skewed:
            self.counts = self.counts._replace(skewed=self.counts.skewed + 1)
        return is_skewed

    def _read(self, result: bytes | Reason) -> Replied | None:
        if isinstance(result, Reason):
            return None
        try:
            return decode_replied(result)
        except MalformedError:
            self.counts = self.counts._replace(malformed=self.counts.malformed + 1)
            return None

    # Duties.

    def change_holding(self, old: Holding, new: Holding | None) -> None:
        """Hold something else from now on; it is written down a moment later, which loses nothing but work."""
        self.duties = self.duties.with_change(old, new)

    def current(self, holding: Holding) -> Holding | None:
        """What has become of a holding while a job was waiting."""
        found = self.duties.at(holding.arc.start)
        return found if found is not None and found.arc == holding.arc else None
