"""Replicas that exchange rows come to hold the same, whatever each has seen before and in whatever order."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onionpath.directory.swarms import RING, account_position
from onionpath.swarm.arcs import BUCKETS, WHOLE_RING, Arc, bucket_of, whole_bucket
from onionpath.swarm.operations import (
    Delete,
    Deleted,
    Expire,
    ExpiryRule,
    IsRevoked,
    Operation,
    Outdone,
    Retrieved,
    Revoke,
    Revoked,
    Version,
)
from onionpath.swarm.reconciliation import (
    BucketDigest,
    Count,
    Counted,
    Digested,
    Digests,
    Fetch,
    Fetched,
    Key,
    Kind,
    LetGo,
    List,
    Listed,
    Missing,
    MissingFound,
    Purge,
    Removed,
    Row,
    Standing,
    Take,
    Taken,
)
from relay.store.inline import InlineStore
from relay.store.rows import LONGEST_LIFE_MS, MARGIN_MS
from tests.store.accounts import (
    ALICE,
    BOB,
    DAY_MS,
    EVERYTHING,
    HOUR_MS,
    NOW_MS,
    account_named,
    all_of,
    message_of,
    put,
)
from tests.store.test_against_model import OPERATIONS

HELLO = message_of(b"hello")


def digests(store: InlineStore, arc: Arc = WHOLE_RING, *, now_ms: int = NOW_MS) -> tuple[BucketDigest, ...]:
    (found,) = store.apply([Digests(arc)], now_ms=now_ms)
    assert isinstance(found, Digested)
    return found.buckets


def standings(store: InlineStore, *, now_ms: int = NOW_MS) -> list[Standing]:
    found = []
    for bucket in digests(store, now_ms=now_ms):
        (listed,) = store.apply([List(bucket.bucket, WHOLE_RING)], now_ms=now_ms)
        assert isinstance(listed, Listed)
        found += listed.standings
    return found


def rows(store: InlineStore, *, now_ms: int = NOW_MS) -> tuple[Row, ...]:
    keys = tuple(standing.key for standing in standings(store, now_ms=now_ms))
    (fetched,) = store.apply([Fetch(keys, EVERYTHING)], now_ms=now_ms)
    assert isinstance(fetched, Fetched)
    return fetched.rows


def give(source: InlineStore, target: InlineStore, *, now_ms: int = NOW_MS) -> Taken:
    (taken,) = target.apply([Take(rows(source, now_ms=now_ms))], now_ms=now_ms)
    assert isinstance(taken, Taken)
    return taken


def live_names(store: InlineStore, *, now_ms: int = NOW_MS) -> list[str]:
    (found,) = store.apply([all_of()], now_ms=now_ms)
    assert isinstance(found, Retrieved)
    return [message.hash for message in found.messages]


@given(
    st.lists(st.tuples(OPERATIONS, st.sets(st.integers(0, 2))), max_size=25),
    st.randoms(use_true_random=False),
)
@settings(max_examples=5, deadline=None)
def test_replicas_agree_once_each_has_had_the_rows_of_the_others(
    steps: list[tuple[Operation, set[int]]], order: Random
) -> None:
    converge(steps, order)


@pytest.mark.slow
@pytest.mark.timeout(600)
@given(
    st.lists(st.tuples(OPERATIONS, st.sets(st.integers(0, 2))), max_size=40),
    st.randoms(use_true_random=False),
)
@settings(max_examples=1_000, deadline=None)
def test_replicas_agree_a_thousand_times(steps: list[tuple[Operation, set[int]]], order: Random) -> None:
    converge(steps, order)


def converge(steps: list[tuple[Operation, set[int]]], order: Random) -> None:
    """Each operation reaches some of three replicas, in any order; then they exchange rows in a ring, twice."""
    stores = [InlineStore() for _ in range(3)]
    for number, store in enumerate(stores):
        reached = [operation for operation, replicas in steps if number in replicas]
        order.shuffle(reached)
        store.apply(reached, now_ms=NOW_MS)
    for _ in range(2):
        for source, target in ((0, 1), (1, 2), (2, 0)):
            give(stores[source], stores[target])
    assert digests(stores[0]) == digests(stores[1]) == digests(stores[2])
    assert set(standings(stores[0])) == set(standings(stores[1])) == set(standings(stores[2]))
    for store in stores:
        assert_counts_are_right(store)


def assert_counts_are_right(store: InlineStore) -> None:
    """What is kept by adding and subtracting is what the rows add up to."""
    everything = rows(store)
    with InlineStore() as other:
        other.apply([Take(tuple(reversed(everything)))], now_ms=NOW_MS)
        assert digests(other) == digests(store)
        assert other.apply([Count(WHOLE_RING)], now_ms=NOW_MS) == store.apply(
            [Count(WHOLE_RING)], now_ms=NOW_MS
        )
        assert other.statistics().size == store.statistics().size


def test_a_message_that_was_deleted_does_not_come_back_from_a_replica_that_has_it_still() -> None:
    with InlineStore() as ours, InlineStore() as theirs:
        for store in (ours, theirs):
            store.apply([put(HELLO)], now_ms=NOW_MS)
        ours.apply([Delete(ALICE, (HELLO.hash,), Version(NOW_MS + 1))], now_ms=NOW_MS)

        assert Taken(0) == give(theirs, ours)
        assert Taken(1) == give(ours, theirs)
        assert ([], []) == (live_names(ours), live_names(theirs))


def test_a_shortened_message_does_not_come_back_after_it_was_purged() -> None:
    later_ms = NOW_MS + 2 * HOUR_MS
    with InlineStore() as ours, InlineStore() as theirs:
        for store in (ours, theirs):
            store.apply([put(HELLO)], now_ms=NOW_MS)
        shorten = Expire(ALICE, (HELLO.hash,), (NOW_MS + HOUR_MS,), ExpiryRule.SHORTEN, Version(NOW_MS + 1))
        ours.apply([shorten], now_ms=NOW_MS)
        assert [Removed(1)] == ours.apply([Purge()], now_ms=later_ms)

        assert Taken(0) == give(theirs, ours, now_ms=later_ms)
        assert [] == live_names(ours, now_ms=later_ms)


def test_a_tombstone_is_kept_until_the_message_would_have_ended_everywhere() -> None:
    with InlineStore() as store:
        store.apply([put(HELLO), Delete(ALICE, (HELLO.hash,), Version(NOW_MS + 1))], now_ms=NOW_MS)
        end_ms = HELLO.expiry_ms + MARGIN_MS

        assert [Removed(0)] == store.apply([Purge()], now_ms=end_ms - 1)
        assert [Removed(1)] == store.apply([Purge()], now_ms=end_ms)
        assert () == digests(store)


def test_a_message_that_is_on_its_way_finds_its_tombstone() -> None:
    with InlineStore() as store:
        store.apply([Delete(ALICE, (HELLO.hash,), Version(NOW_MS + 1))], now_ms=NOW_MS)

        store.apply([put(HELLO, NOW_MS)], now_ms=NOW_MS)

        assert [] == live_names(store)


def test_expired_rows_of_a_peer_are_not_taken() -> None:
    with InlineStore() as ours, InlineStore() as theirs:
        theirs.apply([put(HELLO)], now_ms=NOW_MS)
        peers_rows = rows(theirs)

        assert [Taken(0)] == ours.apply([Take(peers_rows)], now_ms=HELLO.expiry_ms)


def defects() -> dict[str, Row]:
    with InlineStore() as store:
        store.apply([put(HELLO), Revoke(ALICE, (bytes(36),), True, Version(NOW_MS))], now_ms=NOW_MS)
        by_kind = {row.standing.kind: row for row in rows(store)}
    live, token = by_kind[Kind.LIVE], by_kind[Kind.REVOKED]
    far_ms = NOW_MS + LONGEST_LIFE_MS + MARGIN_MS + 1
    return {
        "other data": replace(live, data=b"hullo"),
        "other namespace": replace(live, namespace=2),
        "other account": replace(live, standing=live.standing._replace(key=Key(BOB, HELLO.hash))),
        "namespace that is none": replace(token, namespace=2**15),
        "no data": replace(live, data=None),
        "expiry too late": replace(live, standing=live.standing._replace(expiry_ms=far_ms)),
        "negative timestamp": replace(live, standing=live.standing._replace(timestamp_ms=-1)),
        "version too large": replace(live, standing=live.standing._replace(expiry_version=Version(2**53))),
        "token with data": replace(token, data=b""),
        "token with expiry": replace(token, standing=token.standing._replace(expiry_ms=1)),
        "token of another form": replace(token, standing=token.standing._replace(key=Key(ALICE, "AB" * 36))),
        "tombstone of no hash": replace(token, standing=token.standing._replace(kind=Kind.DELETED)),
        "account too short": replace(token, standing=token.standing._replace(key=Key(ALICE[:-1], "ab" * 36))),
    }  # fmt: skip


@pytest.mark.parametrize("name", defects())
def test_a_row_that_no_honest_peer_gives_is_refused_and_named(name: str) -> None:
    row = defects()[name]
    with InlineStore() as store:
        assert [Taken(0, wrong=(row.standing.key,))] == store.apply([Take((row,))], now_ms=NOW_MS)
        assert () == digests(store)


def test_a_version_from_the_future_is_left_out_because_it_could_never_be_outdone() -> None:
    with InlineStore() as store:
        store.apply([put(HELLO)], now_ms=NOW_MS)
        (row,) = rows(store)
        version = Version(NOW_MS + MARGIN_MS + 1)
        future = replace(row, standing=row.standing._replace(version=version, expiry_version=version))

        assert [Taken(0)] == store.apply([Take((future,))], now_ms=NOW_MS)


def test_rows_are_let_go_only_if_they_stand_as_they_were_confirmed() -> None:
    with InlineStore() as store:
        other = message_of(b"other")
        store.apply([put(HELLO), put(other)], now_ms=NOW_MS)
        confirmed = tuple(standings(store))
        store.apply([put(other, NOW_MS + 1)], now_ms=NOW_MS)

        assert [Removed(1)] == store.apply([LetGo(confirmed)], now_ms=NOW_MS)
        assert [other.hash] == live_names(store)


def test_an_arc_that_cuts_a_bucket_is_compared_by_its_part_alone() -> None:
    position = account_position(ALICE[1:])
    with InlineStore() as store:
        store.apply([put(HELLO)], now_ms=NOW_MS)
        whole = digests(store)

        assert whole == digests(store, Arc(position, position + 1))
        assert () == digests(store, Arc(position + 1, RING))
        assert () == digests(store, Arc(0, position))
        assert [Listed((), False)] == store.apply(
            [List(bucket_of(position), Arc(0, position))], now_ms=NOW_MS
        )


def test_the_pieces_of_an_arc_are_the_buckets_that_it_touches() -> None:
    start, end = whole_bucket(7).start + 1, whole_bucket(9).start + 1

    assert [(7, Arc(start, whole_bucket(7).end)), (8, whole_bucket(8)), (9, Arc(end - 1, end))] == list(
        Arc(start, end).pieces()
    )
    assert BUCKETS == len(list(WHOLE_RING.pieces()))


def test_long_lists_come_in_pages_that_overlap_nowhere() -> None:
    messages = [message_of(b"%d" % number) for number in range(7)]
    with InlineStore() as store:
        store.apply([put(message) for message in messages], now_ms=NOW_MS)
        bucket, after, names, has_more = bucket_of(account_position(ALICE[1:])), None, list[str](), True
        while has_more:
            (page,) = store.apply([List(bucket, WHOLE_RING, after, most=3)], now_ms=NOW_MS)
            assert isinstance(page, Listed)
            names += [standing.key.name for standing in page.standings]
            after, has_more = page.standings[-1].key, page.has_more

        assert sorted(message.hash for message in messages) == names


def test_rows_are_fetched_up_to_a_size_and_the_rest_is_named() -> None:
    messages = [message_of(bytes([number]) * 100) for number in range(3)]
    keys = tuple(Key(ALICE, message.hash) for message in messages)
    with InlineStore() as store:
        store.apply([put(message) for message in messages], now_ms=NOW_MS)
        (fetched,) = store.apply([Fetch((Key(BOB, "none"), *keys), 200)], now_ms=NOW_MS)

        assert isinstance(fetched, Fetched)
        assert (list(keys[:2]), keys[2:]) == ([row.standing.key for row in fetched.rows], fetched.left)


def test_revocations_reach_a_replica_that_missed_them_and_the_latest_fifty_are_kept() -> None:
    tokens = tuple(bytes([number]) * 36 for number in range(60))
    with InlineStore() as ours, InlineStore() as theirs:
        for number, token in enumerate(tokens):
            ours.apply([Revoke(ALICE, (token,), True, Version(NOW_MS + number))], now_ms=NOW_MS)
        give(ours, theirs)

        for store in (ours, theirs):
            found = store.apply([IsRevoked(ALICE, token) for token in tokens], now_ms=NOW_MS)
            assert [Revoked(0)] * 10 + [Revoked(1)] * 50 == found


def test_what_counts_for_an_arc_is_what_its_accounts_hold() -> None:
    with InlineStore() as store:
        carol = account_named("carol")
        store.apply(
            [put(message_of(b"12345", account=carol)), Delete(carol, (HELLO.hash,), Version(NOW_MS))],
            now_ms=NOW_MS,
        )
        position = account_position(carol[1:])

        assert [Counted(1, 1, 1029)] == store.apply([Count(Arc(position, position + 1))], now_ms=NOW_MS)
        assert [Counted(0, 0, 0)] == store.apply([Count(Arc(0, position))], now_ms=NOW_MS)
        assert [MissingFound(())] == store.apply([Missing()], now_ms=NOW_MS)


def test_a_revocation_stays_while_its_account_has_messages() -> None:
    """Otherwise whoever was shut out would have to wait, and no more."""
    year_ms = 365 * DAY_MS
    token = bytes(36)
    with InlineStore() as store:
        store.apply([Revoke(ALICE, (token,), True, Version(NOW_MS))], now_ms=NOW_MS)
        lasting = message_of(
            b"still here", timestamp_ms=NOW_MS + year_ms, expiry_ms=NOW_MS + year_ms + DAY_MS
        )
        store.apply([put(lasting, NOW_MS + year_ms)], now_ms=NOW_MS + year_ms)

        store.apply([Purge()], now_ms=NOW_MS + year_ms)
        assert [Revoked(1)] == store.apply([IsRevoked(ALICE, token)], now_ms=NOW_MS + year_ms)

        store.apply([Purge()], now_ms=NOW_MS + 3 * year_ms)
        assert () == digests(store, now_ms=NOW_MS + 3 * year_ms)


def test_a_late_copy_of_an_old_change_undoes_nothing_later() -> None:
    early, late = Version(NOW_MS + 1), Version(NOW_MS + 3)
    with InlineStore() as store:
        store.apply([put(HELLO, late)], now_ms=NOW_MS)
        delete = Delete(ALICE, (HELLO.hash,), early)
        assert [Deleted({}, outdone_by=late)] == store.apply([delete], now_ms=NOW_MS)
        assert [HELLO.hash] == live_names(store)

        store.apply([Delete(ALICE, (HELLO.hash,), late)], now_ms=NOW_MS)
        assert [Outdone(late), Outdone(late)] == store.apply(
            [put(HELLO, early), put(HELLO, late)], now_ms=NOW_MS
        )
        assert [] == live_names(store)


def test_of_two_messages_in_an_outbox_the_later_one_stays_in_both_replicas() -> None:
    early, late = (message_of(data, namespace=-1) for data in (b"early", b"late"))
    with InlineStore() as ours, InlineStore() as theirs:
        ours.apply([put(early, NOW_MS, is_alone=True)], now_ms=NOW_MS)
        theirs.apply([put(late, NOW_MS + 1, is_alone=True)], now_ms=NOW_MS)
        give(ours, theirs)
        give(theirs, ours)

        for store in (ours, theirs):
            assert [Retrieved((late,), False)] == store.apply([all_of(namespace=-1)], now_ms=NOW_MS)
        assert digests(ours) == digests(theirs)


def test_a_question_between_changes_counts_nothing_twice() -> None:
    other = message_of(b"other")
    with InlineStore() as asked, InlineStore() as silent:
        asked.apply([put(HELLO), Digests(WHOLE_RING), put(other), Digests(WHOLE_RING)], now_ms=NOW_MS)
        silent.apply([put(other), put(HELLO)], now_ms=NOW_MS)

        assert digests(silent) == digests(asked)
        assert [Counted(2, 0, 1034)] == asked.apply([Count(WHOLE_RING)], now_ms=NOW_MS)
