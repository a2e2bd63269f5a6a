"""Two members compare what they hold of an arc, and exchange what differs. Spec: docs/specs/replication.md §3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.crypto.tags import digest
from onionpath.swarm.arcs import Arc
from onionpath.swarm.reconciliation import BucketDigest, Digested, Digests, Key, List, Standing
from onionpath.swarm.reconciliation import Listed as ListedHere
from relay.store.replica.messages import (
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
    """One bucket; whether all was taken, and all given."""
    here = yield from list_here(bucket, arc)
    there = yield from _list_there(around, relay, bucket, arc)
    if here is None or there is None:
        return False, False
    taken = takes and (yield from take(around, relay, _later(there, here)))
    given = gives and (yield from give(around, relay, _later(here, there)))
    return taken, given


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


def _list_there(
    around: Surroundings, relay: RelayId, bucket: int, arc: Arc
) -> Talk[dict[Key, Standing] | None]:
    found: dict[Key, Standing] = {}
    last: KeyForm | None = None
    while True:
        heard = yield from ask(around, relay, Listing(bucket, ArcForm.of(arc), last))
        if heard is None or not isinstance(heard.answer, Listed):
            return None
        standings = heard.answer.standings
        before = len(found)
        found.update((each.key.value(), each.value()) for each in standings)
        # One who says that there is more and gives nothing new would be asked for ever.
        if not heard.answer.has_more or len(found) == before:
            return found
        last = standings[-1].key
