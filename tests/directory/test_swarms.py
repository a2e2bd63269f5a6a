"""Swarms as relays come and go, and the swarm of an account as Session's clients find it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onionpath.crypto.identity import RelayId
from onionpath.directory.swarms import (
    MIN_SIZE,
    RING,
    TARGET_SIZE,
    account_position,
    assign,
    assigned,
    members,
    swarm_of,
)
from onionpath.errors import UsageError
from tests.directory.networks import bytes_of, network

SEED = bytes_of("seed")
# What one relay that comes or goes may move at the worst: a swarm that ends, or one that begins.
MOST_MOVED = 4


def relays(count: int, *, first: int = 0) -> set[RelayId]:
    return {RelayId(bytes_of("relay", name)) for name in range(first, first + count)}


def sizes(swarms: dict[RelayId, int]) -> list[int]:
    return sorted(Counter(swarms.values()).values())


def moved(before: dict[RelayId, int], after: dict[RelayId, int]) -> int:
    """How many relays that were there before and after are in another swarm."""
    return sum(after[relay] != swarm for relay, swarm in before.items() if relay in after)


def is_legal(swarms: dict[RelayId, int]) -> bool:
    """Whether all sizes are 5 to 7, or as near as so few relays allow."""
    if len(swarms) < MIN_SIZE or len(swarms) in (8, 9):
        return len(set(swarms.values())) <= 1
    return all(MIN_SIZE <= size <= TARGET_SIZE for size in sizes(swarms))


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (1, [1]), (4, [4]), (7, [7]), (8, [8]), (9, [9]), (10, [5, 5]), (14, [7, 7]), (15, [5, 5, 5])],
)
def test_a_small_network_has_the_swarms_that_its_relays_allow(count: int, expected: list[int]) -> None:
    assert expected == sizes(assign({}, relays(count), seed=SEED))


def test_the_first_swarm_has_the_lowest_id_and_the_next_lie_far_apart() -> None:
    ids = sorted(set(assign({}, relays(28), seed=SEED).values()))

    assert [0, RING // 4, RING // 2, RING // 4 * 3] == ids


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=12),
    st.integers(0, 60),
    st.binary(max_size=8),
)
def test_every_relay_is_in_one_swarm_of_a_legal_size(
    changes: list[tuple[int, bool]], count: int, seed: bytes
) -> None:
    present = relays(count)
    swarms = assign({}, present, seed=seed)
    for size, is_join in changes:
        gone = set(Random(size).sample(sorted(present), min(size, len(present))))
        present = present | relays(size, first=1_000 + size) if is_join else present - gone
        swarms = assign(swarms, present, seed=seed)

        assert present == swarms.keys()
        assert is_legal(swarms)


@given(st.integers(0, 80), st.integers(0, 1_000))
def test_one_relay_that_comes_or_goes_moves_few_others(count: int, name: int) -> None:
    before = assign({}, relays(count), seed=SEED)
    joined = assign(before, before.keys() | relays(1, first=5_000 + name), seed=bytes_of(name))
    left = assign(joined, joined.keys() - {Random(name).choice(sorted(joined))}, seed=bytes_of(name, 2))

    assert MOST_MOVED >= moved(before, joined)
    assert MOST_MOVED >= moved(joined, left)


def test_nobody_moves_while_nobody_comes_or_goes() -> None:
    before = assign({}, relays(200), seed=SEED)

    assert before == assign(before, before.keys(), seed=bytes_of("another seed"))


def test_all_authorities_assign_alike_whatever_the_order() -> None:
    before = assign({}, relays(40), seed=SEED)
    backwards = dict(reversed(before.items()))
    present = sorted(relays(60, first=7))

    assert assign(before, present, seed=SEED) == assign(backwards, present[::-1], seed=SEED)


def test_another_seed_sends_a_newcomer_elsewhere() -> None:
    """Otherwise whoever chooses his name chooses his swarm, and with it whose messages he keeps."""
    full = assign({}, relays(300), seed=SEED)
    before = assign(full, relays(250), seed=SEED)
    (newcomer,) = relays(1, first=9_000)
    found = {assign(before, before.keys() | {newcomer}, seed=bytes_of(seed))[newcomer] for seed in range(20)}

    assert len(found) > 5


def test_another_seed_calls_newcomers_in_another_order() -> None:
    """The first of them fills the swarm that lacks one, and nobody should know beforehand who it is."""
    before = assign({}, relays(12), seed=SEED)
    small = next(swarm for swarm in before.values() if 6 == list(before.values()).count(swarm))
    leaver = next(relay for relay, swarm in before.items() if swarm == small)
    after = {relay: swarm for relay, swarm in before.items() if relay != leaver}
    newcomers = relays(3, first=9_000)
    drawn = [assign(after, after.keys() | newcomers, seed=bytes_of(seed)) for seed in range(20)]

    assert len({tuple(each[relay] for relay in sorted(newcomers)) for each in drawn}) > 2


@pytest.mark.slow
@pytest.mark.parametrize("count", [30, 300, 2_000])
def test_moves_over_a_thousand_changes(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The figures of the specification, §10.5."""
    random = Random(count)
    swarms = assign({}, relays(count), seed=SEED)
    moves = Counter[int]()
    for change in range(1_000):
        present = set(swarms)
        if random.random() < 0.5:
            present |= relays(1, first=10_000 + change)
        else:
            present.discard(random.choice(sorted(present)))
        after = assign(swarms, present, seed=bytes_of(change))
        assert is_legal(after)
        moves[moved(swarms, after)] += 1
        swarms = after

    total = sum(number * times for number, times in moves.items())
    with capsys.disabled():
        print(
            f"\n{count} relays, 1,000 changes: {total / 1_000:.3f} moves each, {dict(sorted(moves.items()))}"
        )
    assert MOST_MOVED >= max(moves)


def test_a_document_tells_each_swarms_relays() -> None:
    ours = network()
    one, two, three, *rest = ours.document.relays
    relays = (replace(one, swarm=9), replace(two, swarm=0), replace(three, swarm=9), *rest)
    document = replace(ours.document, relays=relays)

    assert {one.relay_id: 9, two.relay_id: 0, three.relay_id: 9} == assigned(document)
    assert [(0, (two.relay_id,)), (9, (one.relay_id, three.relay_id))] == list(members(document).items())


SESSION = [  # From session-storage-server c3b96a2, get_swarm_by_pk; the ids are quarters of the ring.
    ("bf28b9877f87629dcacd1c52934da42691a74a214f1814dc49928f025501f366", 0xADD060F6F6D32101, 3),
    ("d2f186f2025ed3ad9a36a7e5d9ce823ebda05ecc03e76baf916abb5e78e7f515", 0x640DC485A090CF29, 2),
    ("d860045e67d250c86c539e87d610522c013bb35dcdd8fd100dcefba3ba7e0b6e", 0xB8C6D227C664F49A, 3),
]


@pytest.mark.parametrize(("account", "position", "quarter"), SESSION)
def test_accounts_lie_where_session_has_them(account: str, position: int, quarter: int) -> None:
    quarters = [RING // 4 * each for each in range(4)]

    assert position == account_position(bytes.fromhex(account))
    assert quarters[quarter] == swarm_of(bytes.fromhex(account), quarters)


def at(position: int) -> bytes:
    return position.to_bytes(8, "big") + bytes(24)


@pytest.mark.parametrize(
    ("position", "expected"),
    [(100, 100), (149, 100), (150, 100), (151, 200), (200, 200), (RING - 1, 100), (RING // 2, 200), (0, 100)],
)
def test_the_nearest_swarm_stores_and_of_two_as_near_the_left_one(position: int, expected: int) -> None:
    assert expected == swarm_of(at(position), [100, 200])


@given(st.sets(st.integers(0, RING - 2), min_size=1, max_size=9), st.integers(0, RING - 1))
def test_no_swarm_is_nearer_than_the_one_found(ids: set[int], position: int) -> None:
    def distance(swarm: int) -> int:
        return min((swarm - position) % RING, (position - swarm) % RING)

    found = swarm_of(at(position), sorted(ids))

    assert min(map(distance, ids)) == distance(found)


def test_an_account_without_swarms_or_key_has_none() -> None:
    for account, swarms in ((bytes(33), [0]), (bytes(32), [])):
        with pytest.raises(UsageError):
            swarm_of(account, swarms)


def test_ids_stay_apart_in_the_largest_network() -> None:
    ids = sorted(set(assign({}, relays(2_000), seed=SEED).values()))
    gaps = [two - one for one, two in pairwise([*ids, ids[0] + RING])]

    assert max(gaps) <= 2 * min(gaps)
