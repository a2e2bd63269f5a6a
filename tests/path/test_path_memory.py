"""What a client remembers: joined with what another program wrote, and read back from lines."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.path.bias import PathBias
from onionpath.path.middles import Middle
from onionpath.path.path_memory import PathMemory, merge
from onionpath.path.path_memory_lines import (
    Damaged,
    Newer,
    OtherNetwork,
    Unreadable,
    Whole,
    decode_memory,
    encode_memory,
)
from onionpath.path.sample import Guard, Sample
from tests.directory.networks import NETWORK_ID
from tests.path.networks import relay_id
from tests.path.virtual_relays import days

OTHER_NETWORK = b"\x07" * 32
NOTHING = PathMemory()

dates = st.integers(-100, 0).map(days)
biases = st.sampled_from([PathBias(), PathBias(10, 7, 5, 5), PathBias(200, 20), PathBias(10, 3, 5, 5)])


def in_order(guards: Sequence[Guard]) -> Sample:
    """As ``confirm`` keeps them: the confirmed ones first."""
    return tuple(sorted(guards, key=lambda guard: guard.confirmed_at is None))


guards = st.builds(
    Guard,
    st.integers(0, 79).map(relay_id),
    dates,
    st.none() | dates,
    st.none() | dates,
    st.booleans(),
    biases,
)
samples = st.lists(guards, max_size=12, unique_by=lambda guard: guard.relay_id).map(in_order)
middles = st.lists(
    st.builds(Middle, st.integers(80, 99).map(relay_id), dates),
    max_size=4,
    unique_by=lambda middle: middle.relay_id,
).map(tuple)
memories = st.builds(PathMemory, samples, middles)
MANY = [Guard(relay_id(name), days(0)) for name in range(80)]

SOME = PathMemory(
    (
        Guard(relay_id(0), days(-3), confirmed_at=days(-2), bias=PathBias(10, 9, 3, 3)),
        Guard(relay_id(1), days(-1), unlisted_since=days(0), is_disabled=True),
        Guard(relay_id(2), days(-5)),
    ),
    (Middle(relay_id(3), days(4)), Middle(relay_id(4), days(9))),
)


def names(memory: PathMemory) -> list[bytes]:
    return [guard.relay_id for guard in memory.guards]


@given(memories, memories)
def test_if_nobody_else_has_written_ours_is_kept(base: PathMemory, ours: PathMemory) -> None:
    """For what a client does to a memory; it never forgets that a guard is disabled, nor makes dates later."""
    mine = {guard.relay_id: guard for guard in ours.guards}
    known = [mine[guard.relay_id] for guard in base.guards if guard.relay_id in mine]
    new = [guard for guard in ours.guards if guard.relay_id not in {guard.relay_id for guard in base.guards}]
    followed = PathMemory(in_order([*known, *new]), ours.middles)
    base = replace(base, guards=in_order([mine.get(guard.relay_id, guard) for guard in base.guards]))

    assert set(followed.guards) == set(merge(base, followed, base=base).guards)
    assert {*ours.middles} >= {*merge(base, followed, base=base).middles} - {*base.middles}


@given(memories, memories, memories)
def test_joining_again_changes_nothing(kept: PathMemory, ours: PathMemory, base: PathMemory) -> None:
    once = merge(kept, ours, base=base)

    assert once == merge(once, ours, base=base)


@given(memories)
def test_joining_with_itself_changes_nothing(memory: PathMemory) -> None:
    assert memory == merge(memory, memory, base=memory) == merge(memory, memory, base=NOTHING)


@given(memories, memories)
def test_a_join_knows_the_guards_of_both(kept: PathMemory, ours: PathMemory) -> None:
    joined = names(merge(kept, ours, base=NOTHING))

    assert len(joined) == len(set(joined))
    assert {*names(kept), *names(ours)} == {*joined}


def test_a_join_has_60_guards_at_most_and_those_of_the_disk_first() -> None:
    kept, ours = PathMemory(tuple(MANY[:40])), PathMemory(tuple(MANY[30:]))

    assert tuple(MANY[:60]) == merge(kept, ours, base=NOTHING).guards


@given(memories, memories)
def test_the_order_on_disk_stays_among_the_guards_that_are_used(kept: PathMemory, ours: PathMemory) -> None:
    confirmed = [guard.relay_id for guard in kept.guards if guard.confirmed_at is not None]

    joined = names(merge(kept, ours, base=NOTHING))

    assert confirmed == joined[: len(confirmed)]


@given(memories, memories)
def test_a_join_has_the_earliest_dates_and_forgets_no_verdict(kept: PathMemory, ours: PathMemory) -> None:
    known = {guard.relay_id: guard for guard in kept.guards}

    for guard in merge(kept, ours, base=NOTHING).guards:
        both = [each for each in (*kept.guards, *ours.guards) if each.relay_id == guard.relay_id]
        assert min(each.added_at for each in both) == guard.added_at
        assert any(each.is_disabled for each in both) == guard.is_disabled
        assert guard.bias in [each.bias for each in both]
        assert guard.relay_id in known or guard in ours.guards


@given(memories, memories)
def test_two_programs_that_write_in_turn_soon_agree(mine: PathMemory, yours: PathMemory) -> None:
    disk = merge(NOTHING, mine, base=NOTHING)
    yours_now = disk = merge(disk, yours, base=NOTHING)
    mine_now = disk = merge(disk, mine, base=mine)
    yours_now = disk = merge(disk, yours_now, base=yours_now)

    assert names(mine_now) == names(yours_now) == names(disk)
    assert mine_now.middles == yours_now.middles


def test_what_we_let_go_does_not_come_back_from_the_disk() -> None:
    ours = PathMemory(SOME.guards[1:], SOME.middles[1:])

    assert ours == merge(SOME, ours, base=SOME)


def test_what_another_program_let_go_does_not_come_back_from_us_unless_we_used_it_as_new() -> None:
    kept = PathMemory(SOME.guards[1:], SOME.middles[1:])

    assert set(names(SOME)) == set(names(merge(kept, SOME, base=NOTHING)))


def test_middles_that_we_replaced_stay_replaced() -> None:
    ours = replace(SOME, middles=(*SOME.middles[1:], Middle(relay_id(9), days(5))))

    assert ours.middles == merge(SOME, ours, base=SOME).middles


def test_a_guard_or_middle_that_we_let_go_and_drew_again_begins_a_new_life() -> None:
    ours = PathMemory(
        (*SOME.guards[1:], Guard(SOME.guards[0].relay_id, days(130))),
        (SOME.middles[1], Middle(SOME.middles[0].relay_id, days(140))),
    )

    joined = merge(SOME, ours, base=SOME)

    assert ours == joined == merge(joined, ours, base=SOME)


def test_middles_of_two_programs_are_four_at_most() -> None:
    ours = PathMemory((), tuple(Middle(relay_id(name), days(5)) for name in range(10, 14)))

    assert (*SOME.middles, *ours.middles[:2]) == merge(SOME, ours, base=NOTHING).middles


COUNTED, RECOUNTED = PathBias(299, 250), PathBias(150, 125)


@pytest.mark.parametrize(
    ("kept", "ours", "base", "expected"),
    [
        (COUNTED, RECOUNTED, COUNTED, RECOUNTED),
        (RECOUNTED, COUNTED, COUNTED, RECOUNTED),
        (PathBias(20, 9), PathBias(30, 29), PathBias(10, 9), PathBias(30, 29)),
        (PathBias(20, 19), PathBias(20, 9), PathBias(10, 9), PathBias(20, 9)),
    ],
    ids=["we-counted", "the-other-counted", "both-counted", "both-counted-as-much"],
)
def test_counters_are_those_of_whoever_counted_since(
    kept: PathBias, ours: PathBias, base: PathBias, expected: PathBias
) -> None:
    def memory(bias: PathBias) -> PathMemory:
        return PathMemory((Guard(relay_id(0), days(0), bias=bias),))

    assert memory(expected) == merge(memory(kept), memory(ours), base=memory(base))


@pytest.mark.parametrize(("kept", "ours"), [(True, False), (False, True)])
def test_a_guard_that_either_program_disabled_is_disabled(kept: bool, ours: bool) -> None:
    def memory(is_disabled: bool) -> PathMemory:
        return PathMemory((Guard(relay_id(0), days(0), is_disabled=is_disabled),))

    assert memory(True) == merge(memory(kept), memory(ours), base=memory(False))


def test_a_guard_that_our_directory_lists_again_is_listed() -> None:
    first, theirs = (Guard(relay_id(0), days(0), unlisted_since=days(day)) for day in (1, 2))
    back = Guard(relay_id(0), days(0))

    assert (back,) == merge(PathMemory((theirs,)), PathMemory((back,)), base=PathMemory((first,))).guards


def test_a_guard_that_came_and_went_since_we_wrote_is_gone_since_it_went() -> None:
    then, later = (Guard(relay_id(0), days(0), unlisted_since=days(day)) for day in (1, 15))
    base = PathMemory((then,))

    assert (later,) == merge(base, PathMemory((later,)), base=base).guards


def test_what_is_longer_than_any_memory_is_not_read() -> None:
    assert Unreadable() == decode_memory(encode_memory(SOME, NETWORK_ID) + b"\n" * 65_536, NETWORK_ID)


@given(memories)
def test_what_is_written_is_read(memory: PathMemory) -> None:
    assert Whole(memory) == decode_memory(encode_memory(memory, NETWORK_ID), NETWORK_ID)


def test_a_full_memory_fits_the_size_that_is_read() -> None:
    full = PathMemory(
        tuple(
            Guard(relay_id(name), days(0), days(0), days(0), True, PathBias(299, 299, 99, 99))
            for name in range(60)
        ),
        tuple(Middle(relay_id(name), days(0)) for name in range(60, 64)),
    )

    assert len(encode_memory(full, NETWORK_ID)) < 24_576


@pytest.mark.parametrize("line", range(1, 6))
def test_a_damaged_line_costs_its_own_guard_only(line: int) -> None:
    lines = encode_memory(SOME, NETWORK_ID).splitlines(keepends=True)
    lines[line] = lines[line].replace(b"e", b"f", 1)
    left = PathMemory(
        tuple(guard for number, guard in enumerate(SOME.guards, 1) if number != line),
        tuple(middle for number, middle in enumerate(SOME.middles, 4) if number != line),
    )

    assert Damaged(left, 1) == decode_memory(b"".join(lines), NETWORK_ID)


def test_a_damaged_first_line_costs_no_guard() -> None:
    content = encode_memory(SOME, NETWORK_ID)

    assert Damaged(SOME, 1) == decode_memory(b"\0" + content[1:], NETWORK_ID)


def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes() -> None:
    lines = encode_memory(SOME, NETWORK_ID).splitlines(keepends=True)
    start = b"".join(lines[:2]) + lines[2][:50]

    assert Damaged(PathMemory(SOME.guards[:1]), 4) == decode_memory(start, NETWORK_ID)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\0" * 4096, b"x" * 100_000, b"{}", b"onionpath-guards"], ids=len
)
def test_what_holds_no_guard_at_all_is_unreadable(content: bytes) -> None:
    assert Unreadable() == decode_memory(content, NETWORK_ID)


def test_what_trails_is_damage() -> None:
    assert Damaged(SOME, 1) == decode_memory(encode_memory(SOME, NETWORK_ID) + b"\n", NETWORK_ID)


def test_a_memory_of_nothing_is_whole() -> None:
    """It must not be taken for damage when a network has no relay yet."""
    assert Whole(NOTHING) == decode_memory(encode_memory(NOTHING, NETWORK_ID), NETWORK_ID)


def test_another_networks_memory_is_named() -> None:
    content = encode_memory(SOME, OTHER_NETWORK)

    assert OtherNetwork(OTHER_NETWORK.hex()) == decode_memory(content, NETWORK_ID)


def test_lines_of_another_network_are_worth_nothing() -> None:
    ours, theirs = encode_memory(SOME, NETWORK_ID), encode_memory(SOME, OTHER_NETWORK)
    mixed = ours.splitlines(keepends=True)[:1] + theirs.splitlines(keepends=True)[1:]

    assert Unreadable() == decode_memory(b"".join(mixed), NETWORK_ID)


def test_a_newer_version_is_named_and_a_damaged_version_is_no_newer_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("onionpath.path.path_memory_lines.VERSION", 7)
    newer = encode_memory(SOME, NETWORK_ID)
    monkeypatch.undo()

    assert Newer(7) == decode_memory(newer, NETWORK_ID)
    damaged = encode_memory(SOME, NETWORK_ID).replace(b"guards 1 ", b"guards 7 ", 1)
    assert Damaged(SOME, 1) == decode_memory(damaged, NETWORK_ID)


@given(memories, st.randoms(use_true_random=False))
def test_no_damage_invents_a_guard(memory: PathMemory, chance: random.Random) -> None:
    content = bytearray(encode_memory(memory, NETWORK_ID))
    for _ in range(chance.randrange(1, 20)):
        content[chance.randrange(len(content))] = chance.randrange(256)

    read = decode_memory(bytes(content), NETWORK_ID)

    match read:
        case Whole(found) | Damaged(found, _):
            assert {*found.guards} <= {*memory.guards}
            assert {*found.middles} <= {*memory.middles}
            # What is left is in its old order.
            assert found.guards == tuple(guard for guard in memory.guards if guard in found.guards)
        case _:
            assert Unreadable() == read
