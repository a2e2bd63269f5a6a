"""The ring, cut into shares, is the one that looks up an account's swarm bit by bit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.identity import RelayId
from onionpath.directory.swarms import RING, account_position, swarm_of
from onionpath.swarm.arcs import WHOLE_RING
from relay.store.replica.layout import Layout

IDS = st.sets(st.integers(0, RING - 2) | st.integers(0, 9) | st.integers(RING - 9, RING - 2), min_size=1)


def layout_of(ids: set[int]) -> Layout:
    swarms = {swarm: (RelayId(swarm.to_bytes(32, "big")),) for swarm in ids}
    return Layout.of_swarms(1, swarms, frozenset())


def key_at(position: int) -> bytes:
    return position.to_bytes(8, "big") + bytes(24)


@given(IDS, st.lists(st.integers(0, RING - 1)))
def test_an_account_lies_in_the_share_of_its_swarm(ids: set[int], positions: list[int]) -> None:
    layout = layout_of(ids)
    edges = [edge % RING for share in layout.shares for edge in (share.arc.start, share.arc.end - 1)]

    for position in [*positions, *edges, *ids]:
        swarm = swarm_of(key_at(position), sorted(ids))
        assert position == account_position(key_at(position))
        assert {RelayId(swarm.to_bytes(32, "big"))} == layout.share_at(position).members


@given(IDS)
def test_shares_cover_the_ring_once(ids: set[int]) -> None:
    shares = layout_of(ids).shares

    assert (0, RING) == (shares[0].arc.start, shares[-1].arc.end)
    assert [share.arc.end for share in shares[:-1]] == [share.arc.start for share in shares[1:]]


def test_without_a_swarm_nobody_holds_anything() -> None:
    assert [(WHOLE_RING, frozenset())] == [
        tuple(share) for share in Layout.of_swarms(1, {}, frozenset()).shares
    ]
