"""What a member answers the others. Spec: docs/specs/replication.md §2.1, §2.5, §3, §4."""

from __future__ import annotations

from onionpath.crypto.identity import RelayId
from onionpath.errors import MalformedError
from onionpath.swarm.forwarding import decode_forwarded, plan_forwarded
from onionpath.swarm.operations import AccountId
from onionpath.swarm.parts import Failed, encode_part
from onionpath.swarm.plans import Write
from onionpath.swarm.reconciliation import Digested, Digests, Fetch, Fetched, List, Take, Taken
from onionpath.swarm.reconciliation import Listed as ListedHere
from relay.store.replica import messages
from relay.store.replica.changes import brought_by, is_made, outdone_by, touched_by
from relay.store.replica.comparing import sum_of
from relay.store.replica.layout import name_of
from relay.store.replica.messages import (
    MAX_ROWS_SIZE,
    MAX_STANDINGS,
    Answer,
    Bring,
    Brought,
    Compare,
    Compared,
    DigestForm,
    Give,
    KeyForm,
    Listed,
    Listing,
    Made,
    NotMade,
    Outdone,
    Refused,
    RowForm,
    Said,
    StandingForm,
    Took,
)
from relay.store.replica.steps import Job
from relay.store.replica.surroundings import Surroundings
from relay.store.replica.talk import Talk, store

BUSY = Refused("busy")
MALFORMED = Refused("malformed")
SKEWED = Refused("skewed")
STALE = Refused("stale")


def answer(around: Surroundings, relay: RelayId, said: Said) -> Job:
    """Answer a question; gives the ``Answer``."""
    if around.is_skewed(said.clock_ms):
        return SKEWED
    around.heard_of(relay, said.number)
    if not around.is_ready:
        return BUSY
    try:
        return (yield from _answer(around, relay, said))
    except MalformedError:
        return MALFORMED


def _answer(around: Surroundings, relay: RelayId, said: Said) -> Talk[Answer]:
    match said.question:
        case messages.Change():
            return (yield from _change(around, relay, said.question, said.number))
        case Compare():
            return (yield from _compare(around, relay, said.question))
        case Listing():
            return (yield from _list(around, relay, said.question))
        case Bring():
            return (yield from _bring(around, relay, said.question))
        case Give():
            return (yield from _take(around, relay, said.question, said.number))


def _change(around: Surroundings, first: RelayId, question: messages.Change, number: int) -> Talk[Answer]:
    """Judge the change as if a client had asked for it, and make it."""
    forwarded = decode_forwarded(question.request)
    plan = plan_forwarded(forwarded, now_ms=around.now_ms)
    if not isinstance(plan, Write):
        return NotMade(Failed.REFUSED)
    if around.is_skewed(forwarded.judged_at_ms) or not around.is_credible(forwarded.version):
        return SKEWED
    if plan.gate is not None:
        (said,) = yield from store(plan.gate.question)
        if plan.gate.refuses(said):
            return NotMade(Failed.REFUSED)
    # Nothing may come between this look and the store, or a new document could.
    if not around.is_ready or not _may_take(around, plan.account, number, members=question.members):
        return STALE
    change = brought_by(plan.change(forwarded.version), first)
    (result,) = yield from store(change)
    outdone = outdone_by(result)
    if outdone is not None:
        return Outdone(outdone)
    if not is_made(result):
        return NotMade(Failed.STORE)
    return Made(encode_part(plan.part(result, around.identity)), list(touched_by(change, result)))


def _may_take(around: Surroundings, account: AccountId, number: int, *, members: bytes | None = None) -> bool:
    """Whether something new of an account may come into our store.

    Args:
        number: of the document of whoever brings it.
        members: whom it takes for the account's, if that matters.
    """
    holding = around.holding_of(account)
    if number > around.layout.number:
        # What we are about to hand over must not grow behind the backs of those who have confirmed it.
        return holding is None or not holding.is_leaving
    if holding is None or holding.is_leaving:
        return False
    return members is None or members == name_of(holding.members)


def _compare(around: Surroundings, relay: RelayId, question: Compare) -> Talk[Answer]:
    arc = question.arc.value()
    if not around.is_partner(relay, arc):
        return STALE
    (found,) = yield from store(Digests(arc))
    if not isinstance(found, Digested):
        return BUSY
    holdings = tuple(around.duties.within(arc))
    owes = [each.owes_since for each in holdings if each.owes_since is not None]
    is_equal = question.sum == sum_of(found.buckets)
    return Compared(
        None if is_equal else [DigestForm.of(each) for each in found.buckets],
        around.duties.covers(arc),
        any(each.is_new for each in holdings),
        min(owes, default=None),
    )


def _list(around: Surroundings, relay: RelayId, question: Listing) -> Talk[Answer]:
    arc = question.arc.value()
    if not around.is_partner(relay, arc):
        return STALE
    after = None if question.after is None else question.after.value()
    (found,) = yield from store(List(question.bucket, arc, after, MAX_STANDINGS))
    if not isinstance(found, ListedHere):
        return BUSY
    return Listed([StandingForm.of(each) for each in found.standings], found.has_more)


def _bring(around: Surroundings, relay: RelayId, question: Bring) -> Talk[Answer]:
    keys = tuple(key.value() for key in question.keys)
    if not all(around.is_partner_for(relay, account) for account in {key.account for key in keys}):
        return STALE
    (found,) = yield from store(Fetch(keys, MAX_ROWS_SIZE))
    if not isinstance(found, Fetched):
        return BUSY
    return Brought([RowForm.of(row) for row in found.rows], [KeyForm.of(key) for key in found.left])


def _take(around: Surroundings, giver: RelayId, question: Give, number: int) -> Talk[Answer]:
    rows = tuple(row.value() for row in question.rows)
    wanted = tuple(
        row
        for row in rows
        if around.is_partner_for(giver, row.standing.key.account)
        and _may_take(around, row.standing.key.account, number)
    )
    (taken,) = yield from store(Take(wanted))
    if not isinstance(taken, Taken):
        return BUSY
    return Took(len(rows) - len(wanted) + len(taken.refused) + len(taken.wrong))
