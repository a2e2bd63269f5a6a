"""Two members compare what they hold of an arc, and exchange what differs. Spec: docs/specs/replication.md §3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.crypto.tags import digest
from onionpath.swarm.arcs import Arc, whole_bucket
from onionpath.swarm.reconciliation import BucketDigest, Digested, Digests, Key, List, Standing
from onionpath.swarm.reconciliation import Listed as ListedHere
from relay.store.replica.layout import position_of
from relay.store.replica.messages import (
    MAX_STANDINGS,
    ArcForm,
    Compare,
    Compared,
    KeyForm,
    Listed,
    Listing,
)
from relay.store.replica.rows import give, take
from relay.store.replica.surroundings import Surroundings
from relay.store.replica.talk import Talk, ask, store


class Comparison(NamedTuple):
    """How it went.

    Args:
        has_taken: we have all that the other had.
        has_given: the other has all that we had.
        number: of the document that the other follows.
        told: what it said of its own standing.
    """

    has_taken: bool
    has_given: bool
    number: int
    told: Compared


def sum_of(digests: Iterable[BucketDigest]) -> bytes:
    """32 bytes that stand for all digests."""
    return digest(b"".join(each.bucket.to_bytes(2, "big") + each.digest for each in digests))


def compare(
    around: Surroundings, relay: RelayId, arc: Arc, *, takes: bool, gives: bool
) -> Talk[Comparison | None]:
    """Exchange what differs; None if nothing can be said.

    Args:
        takes, gives: in which direction rows go.
    """
    (mine,) = yield from store(Digests(arc))
    if not isinstance(mine, Digested):
        return None
    heard = yield from ask(around, relay, Compare(ArcForm.of(arc), sum_of(mine.buckets)))
    if heard is None or not isinstance(heard.answer, Compared):
        return None
    told = heard.answer
    if told.digests is None:
        return Comparison(True, True, heard.number, told)
    has_taken, has_given = takes, gives
    for bucket in _differing(mine.buckets, [each.value() for each in told.digests]):
        taken, given = yield from _exchange(around, relay, bucket, arc, takes=takes, gives=gives)
        has_taken, has_given = has_taken and taken, has_given and given
    return Comparison(has_taken, has_given, heard.number, told)


def _differing(mine: Iterable[BucketDigest], theirs: Iterable[BucketDigest]) -> Iterator[int]:
    here = {each.bucket: each.digest for each in mine}
    there = {each.bucket: each.digest for each in theirs}
    return (bucket for bucket in sorted({*here, *there}) if here.get(bucket) != there.get(bucket))


def _exchange(
    around: Surroundings, relay: RelayId, bucket: int, arc: Arc, *, takes: bool, gives: bool
) -> Talk[tuple[bool, bool]]:
    """One bucket, page by page, since whoever likes can fill one; whether all was taken, and all given."""
    taken, given, after = takes, gives, None
    while True:
        (here,) = yield from store(List(bucket, arc, after, MAX_STANDINGS))
        there = yield from _list_there(around, relay, List(bucket, arc, after))
        if not isinstance(here, ListedHere) or there is None:
            return False, False
        end = _end_of(here, there)
        mine, theirs = _up_to(end, here), _up_to(end, there)
        if takes:
            taken = (yield from take(around, relay, _later(theirs, mine))) and taken
        if gives:
            given = (yield from give(around, relay, _later(mine, theirs))) and given
        if end is None:
            return taken, given
        after = end


def _end_of(*pages: ListedHere) -> Key | None:
    """Up to where two pages tell everything; None if to the end."""
    ends = [page.standings[-1].key for page in pages if page.has_more and page.standings]
    return min(ends, key=_place, default=None)


def _up_to(end: Key | None, page: ListedHere) -> dict[Key, Standing]:
    return {each.key: each for each in page.standings if end is None or _place(each.key) <= _place(end)}


def _place(key: Key) -> tuple[int, bytes, str]:
    """By which listings ascend."""
    return position_of(key.account), key.account, key.name


def _later(some: dict[Key, Standing], others: dict[Key, Standing]) -> list[Key]:
    """The keys of which the first have the later standing."""
    return [key for key, standing in some.items() if _is_later(standing, others.get(key))]


def _is_later(standing: Standing, other: Standing | None) -> bool:
    # Most are equal, which is seen sooner than which of two ranks is the higher.
    return other is None or (standing != other and standing.rank > other.rank)


def list_here(bucket: int, arc: Arc) -> Talk[dict[Key, Standing] | None]:
    """All standings of a bucket's part on an arc in our store."""
    found: dict[Key, Standing] = {}
    last: Key | None = None
    while True:
        (listed,) = yield from store(List(bucket, arc, last))
        if not isinstance(listed, ListedHere):
            return None
        found.update((each.key, each) for each in listed.standings)
        if not listed.has_more or not listed.standings:
            return found
        last = listed.standings[-1].key


def _list_there(around: Surroundings, relay: RelayId, asked: List) -> Talk[ListedHere | None]:
    """A page of another member's; None if there is none, or it is not what was asked for."""
    after = None if asked.after is None else KeyForm.of(asked.after)
    heard = yield from ask(around, relay, Listing(asked.bucket, ArcForm.of(asked.arc), after))
    if heard is None or not isinstance(heard.answer, Listed):
        return None
    standings = tuple(each.value() for each in heard.answer.standings)
    piece = whole_bucket(asked.bucket).overlap(asked.arc)
    places = [_place(each.key) for each in standings]
    passed = [_place(asked.after)] if asked.after else []
    if not _ascend([*passed, *places]) or not all(piece and position in piece for position, *_ in places):
        return None
    return ListedHere(standings, heard.answer.has_more)


def _ascend(places: list[tuple[int, bytes, str]]) -> bool:
    return all(one < other for one, other in pairwise(places))
