"""What a member holds, and with whom it has to compare before it may answer questions about it.

A holding begins when a document gives us an arc. Each time its members change, a *debt* is added: so many of the
earlier members must have been heard, under the new document, before we know all that they acknowledged. While there
is a debt, the holding is *behind*. A holding that is ours no longer is *leaving*: its rows stay until the present
members have confirmed to have them. Spec: docs/specs/replication.md §4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from onionpath.crypto.identity import RelayId
from onionpath.swarm.arcs import Arc
from onionpath.swarm.majorities import enough_to_read, majority
from relay.store.replica.layout import Layout, Share

# Layouts may follow each other while one cannot be caught up with; of more than these the oldest is given up.
MAX_DEBTS = 8


@dataclass(frozen=True, slots=True)
class Debt:
    """So many of these relays are still to be compared with.

    Args:
        relays: without ourselves.
        number: of the last document that had them as members. Who owes something to members of an earlier one is not
            heard yet.
        is_present: they are the present members.
        heard: those that we have compared with since.
        new: those whose stores are new, so that they cannot know.
    """

    relays: frozenset[RelayId]
    needed: int
    number: int
    is_present: bool = False
    heard: frozenset[RelayId] = frozenset()
    new: frozenset[RelayId] = frozenset()

    def heard_from(self, relay: RelayId, *, is_new: bool) -> Debt:
        """The same, after a relay has told what it knows; nothing, if its store is new."""
        heard = self.heard if is_new else self.heard | {relay}
        return replace(self, heard=heard, new=self.new | {relay} if is_new else self.new - {relay})

    def is_paid(self, listed: frozenset[RelayId]) -> bool:
        """Whether enough were heard, or all that can be: nobody can ask relays that are listed no more."""
        can_know = (self.relays & listed | self.heard) - self.new
        # A majority that begins without rows has nothing that was acknowledged: the first members of a network.
        begins = self.is_present and len(self.new) + 1 >= majority(len(self.relays) + 1)
        return begins or len(self.heard) >= min(self.needed, len(can_know))


@dataclass(frozen=True, slots=True)
class Holding:
    """An arc whose rows are, or may be, in our store.

    Args:
        members: who holds it by the newest document that we know.
        debts: oldest first.
        is_leaving: we are no member any more.
        is_new: our store began without rows that others may have acknowledged; until its debts are paid.
    """

    arc: Arc
    members: frozenset[RelayId]
    debts: tuple[Debt, ...] = ()
    is_leaving: bool = False
    is_new: bool = False

    @property
    def partners(self) -> frozenset[RelayId]:
        """Whom it has to do with."""
        return self.members.union(*(debt.relays for debt in self.debts))

    @property
    def owes_since(self) -> int | None:
        """The number of the oldest layout that is still to be compared with, but for the present one."""
        return next((debt.number for debt in self.debts if not debt.is_present), None)

    @property
    def is_newcomer(self) -> bool:
        """Whether the present members are to be compared with."""
        return any(debt.is_present for debt in self.debts)

    def owing(self, debt: Debt, listed: frozenset[RelayId]) -> Holding:
        """The same with one more debt. That to the present members is the last, and there is one."""
        past = tuple(each for each in self.debts if not each.is_present)
        present = tuple(each for each in self.debts if each.is_present)
        if debt.is_present:
            present = (debt,)
        elif all(each.relays != debt.relays for each in past):
            past = (*past, debt)[-MAX_DEBTS:]
        return replace(self, debts=(*past, *present))._settled(listed)

    def heard(
        self, relay: RelayId, listed: frozenset[RelayId], *, owes_since: int | None, is_new: bool
    ) -> Holding:
        """The same, after we have taken all that another relay has.

        Args:
            owes_since, is_new: what it has told of its own standing.
        """
        debts = (
            debt.heard_from(relay, is_new=is_new)
            if relay in debt.relays and (owes_since is None or owes_since >= debt.number)
            else debt
            for debt in self.debts
        )
        return replace(self, debts=tuple(debts))._settled(listed)

    def _settled(self, listed: frozenset[RelayId]) -> Holding:
        debts = tuple(debt for debt in self.debts if not debt.is_paid(listed))
        return replace(self, debts=debts, is_new=self.is_new and bool(debts))


@dataclass(frozen=True, slots=True)
class Duties:
    """All of it, as it is kept in the store.

    Args:
        number: of the newest document that was followed; 0 before the first.
    """

    number: int = 0
    holdings: tuple[Holding, ...] = ()

    @property
    def partners(self) -> frozenset[RelayId]:
        """All relays that hold what we hold, or know of it, we too."""
        return frozenset().union(*(each.partners for each in self.holdings))

    def at(self, position: int) -> Holding | None:
        """What we hold there."""
        return next((each for each in self.holdings if position in each.arc), None)

    def within(self, arc: Arc) -> Iterator[Holding]:
        """The holdings that touch an arc."""
        return (each for each in self.holdings if each.arc.overlap(arc))

    def covers(self, arc: Arc) -> bool:
        """Whether all of an arc is held."""
        return all(old is not None for _, old in _pieces(arc, self.holdings))

    def with_change(self, old: Holding, new: Holding | None) -> Duties:
        """The same with another holding instead, or none; nothing changes if the old one is gone already."""
        if old not in self.holdings:
            return self
        kept = [new if each == old else each for each in self.holdings]
        return replace(self, holdings=tuple(each for each in kept if each is not None))


def follow(duties: Duties, layout: Layout, *, before: Layout | None, ours: RelayId) -> Duties:
    """The duties under a newer document.

    Args:
        before: the layout that was followed last, if it is still known.
    """
    known = before if before is not None and before.number == duties.number else None
    has_followed = known is not None and known.number == layout.number - 1
    transition = _Transition(layout, known, duties.number, ours)
    holdings: list[Holding] = []
    for share in layout.shares:
        for arc, old in _pieces(share.arc, duties.holdings):
            piece = Share(arc, share.members)
            holdings += transition.received(piece) if old is None else [transition.kept(piece, old)]
    if not has_followed:
        # What was acknowledged under documents that we have not seen is known to the present members alone.
        holdings = [transition.as_newcomer(each) for each in holdings]
    return Duties(layout.number, tuple(_joined(holdings)))


def newcomer_debt(members: frozenset[RelayId], ours: RelayId, number: int) -> Debt:
    """To have compared with enough of the present members."""
    return Debt(members - {ours}, enough_to_read(len(members)), number, is_present=True)


@dataclass(frozen=True, slots=True)
class _Transition:
    """From one document to the next."""

    layout: Layout
    before: Layout | None
    last_number: int
    ours: RelayId

    def kept(self, share: Share, old: Holding) -> Holding:
        """What we held before."""
        kept = replace(old, arc=share.arc, members=share.members, is_leaving=self.ours not in share.members)
        if old.members == share.members:
            return kept
        if old.members:
            # We are one of those who together know everything, if we were one of them.
            counts = 0 if old.is_leaving else 1
            needed = enough_to_read(len(old.members)) - counts
            debt = Debt(old.members - {self.ours}, needed, self.last_number)
            kept = kept.owing(debt, self.layout.listed)
        return self.as_newcomer(kept) if old.is_newcomer else kept

    def received(self, share: Share) -> Iterator[Holding]:
        """What others held before, as far as we know who they were."""
        if self.ours not in share.members:
            return
        if self.before is None:
            yield self.as_newcomer(Holding(share.arc, share.members, is_new=True))
            return
        for earlier in self.before.within(share.arc):
            holding = Holding(earlier.arc, share.members)
            needed = enough_to_read(len(earlier.members)) if earlier.members else 0
            debt = Debt(earlier.members - {self.ours}, needed, self.last_number)
            yield holding.owing(debt, self.layout.listed)

    def as_newcomer(self, holding: Holding) -> Holding:
        """The same, and it owes a comparison with the present members."""
        debt = newcomer_debt(holding.members, self.ours, self.layout.number)
        return holding.owing(debt, self.layout.listed)


def _pieces(arc: Arc, holdings: Sequence[Holding]) -> Iterator[tuple[Arc, Holding | None]]:
    """An arc, cut by what is held of it."""
    start = arc.start
    for holding in holdings:
        shared = holding.arc.overlap(arc)
        if shared is None:
            continue
        if start < shared.start:
            yield Arc(start, shared.start), None
        yield shared, holding
        start = shared.end
    if start < arc.end:
        yield Arc(start, arc.end), None


def _joined(holdings: list[Holding]) -> Iterator[Holding]:
    """Neighbours of which all else is equal become one, so that there are no more than swarms."""
    last: Holding | None = None
    for each in holdings:
        if last is not None and last.arc.end == each.arc.start and replace(each, arc=last.arc) == last:
            last = replace(last, arc=Arc(last.arc.start, each.arc.end))
            continue
        if last is not None:
            yield last
        last = each
    if last is not None:
        yield last
