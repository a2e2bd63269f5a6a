"""A change is acknowledged when a majority has it on disk, whatever the others do."""

from __future__ import annotations

import pytest

from onionpath.swarm.hashes import message_hash
from onionpath.swarm.reconciliation import Key
from relay.store.room import MOST_STRANGE_TRACES
from simulations.virtual.swarm.machines import Machine
from tests.replica.scenes import TTL_MS, Scene, count_at, owed, part_of, swarm_of


def test_every_member_says_that_it_has_it() -> None:
    scene = Scene()

    reply = scene.store(scene.machines[0])

    assert 200 == reply.status
    assert {machine.name.hex() for machine in scene.machines} == set(swarm_of(reply))
    assert all(part["hash"] == scene.hello for part in swarm_of(reply).values())
    assert [1] * 5 == [count_at(machine).messages for machine in scene.machines]


def test_three_of_five_are_enough_and_two_are_not() -> None:
    scene = Scene()
    one, two, three, four, five = scene.machines

    scene.part([one, two, three], [four, five])

    assert 200 == scene.store(one).status
    assert 503 == scene.store(four).status


def test_who_did_not_answer_is_named() -> None:
    scene = Scene()
    one, two, three, four, five = scene.machines
    scene.part([one, two, three, five], [four])

    assert {"failed": True, "timeout": True} == part_of(scene.store(one), four)


def test_a_dead_member_is_waited_for_once_and_shortly() -> None:
    """Otherwise each store would take five seconds as long as anybody is down."""
    scene = Scene()
    one, *_, dead = scene.machines
    dead.kill()

    _, first_s = scene.ask(one, scene.account.store(b"1", now_ms=scene.now_ms, ttl_ms=TTL_MS))
    scene.wait(6.0)
    _, second_s = scene.ask(one, scene.account.store(b"2", now_ms=scene.now_ms, ttl_ms=TTL_MS))

    assert 0.25 < first_s < 0.5
    assert second_s < 0.25


def test_a_member_that_returns_is_soon_given_what_it_missed() -> None:
    scene = Scene()
    dead = scene.machines[4]
    dead.kill()
    scene.store(scene.machines[0])
    scene.wait(10.0)

    dead.start()
    scene.wait(5.0)

    assert {scene.hello} == scene.found_at(dead).keys()


def test_what_a_member_missed_is_noted_until_it_has_it() -> None:
    scene = Scene()
    one, *_, dead = scene.machines
    dead.kill()
    scene.store(one)
    scene.wait(10.0)
    assert (Key(scene.account.id, scene.hello),) == owed(one, dead)
    assert 1 == one.member.around.counts.owed

    dead.start()
    scene.wait(5.0)

    assert () == owed(one, dead)


def test_a_member_that_is_heard_again_is_visited_within_seconds() -> None:
    scene = Scene()
    one, two, three, four, deaf = scene.machines
    scene.wait(120.0)
    scene.part([one, two, three, four], [deaf])
    scene.store(one)
    scene.wait(6.0)

    scene.join()
    scene.store(one, b"other")
    scene.wait(6.0)

    assert 2 == count_at(deaf).messages


def test_a_full_disk_fails_for_itself_alone() -> None:
    scene = Scene()
    one, full = scene.machines[0], scene.machines[3]
    full.is_disk_full = True

    reply = scene.store(one)

    assert 200 == reply.status
    assert {"failed": True, "query_failure": True} == part_of(reply, full)


def test_a_member_whose_own_disk_is_full_has_the_others_store_it() -> None:
    scene = Scene()
    scene.machines[0].is_disk_full = True

    assert 200 == scene.store(scene.machines[0]).status


@pytest.mark.parametrize("skew_s", [-31.0, 31.0])
def test_a_member_with_a_wrong_clock_acknowledges_nothing(skew_s: float) -> None:
    """Its versions would be those of another time, and deletions would lose against what is older."""
    scene = Scene()
    scene.machines[0].skew_s = skew_s

    assert 200 != scene.store(scene.machines[0]).status
    assert 200 == scene.store(scene.machines[1], b"other").status
    assert scene.machines[0].member.around.counts.skewed > 0


def overlapping(scene: Scene) -> tuple[Machine, list[Machine]]:
    """Leave a message with the first three, and part the last three from them; they share the third."""
    one, two, three, four, five = scene.machines
    scene.part([one, two, three], [four], [five])
    assert scene.store(one).status == 200
    scene.part([three, four, five], [one], [two])
    return three, [four, five]


def test_who_had_missed_a_message_has_its_new_expiry_once_that_is_acknowledged() -> None:
    """Otherwise one member alone would have it, and the loss of that one would undo what was acknowledged."""
    scene = Scene()
    shared, others = overlapping(scene)
    expiry_ms = scene.now_ms + 2 * TTL_MS

    reply, _ = scene.ask(shared, scene.account.extend(expiry_ms, scene.hello))

    assert 200 == reply.status
    shared.kill()
    assert [{scene.hello: expiry_ms}] * 2 == [scene.found_at(machine) for machine in others]


def test_who_had_missed_a_message_never_gets_it_once_its_deletion_is_acknowledged() -> None:
    scene = Scene()
    shared, others = overlapping(scene)

    reply, _ = scene.ask(shared, scene.account.delete_all(now_ms=scene.now_ms))

    assert 200 == reply.status
    shared.kill()
    scene.join()
    scene.wait(70.0)
    assert [{}] * 4 == [scene.found_at(each) for each in [*scene.machines[:2], *others]]


def test_a_deletion_is_acknowledged_by_none_that_would_let_the_message_back_in() -> None:
    """Members that have no room for one more trace of what they never had are given the tombstone."""
    scene = Scene()
    unknown = (message_hash(scene.account.id, 0, b"%d" % each) for each in range(MOST_STRANGE_TRACES))
    assert scene.ask(scene.machines[0], scene.account.delete(*unknown))[0].status == 200
    shared, others = overlapping(scene)

    reply, _ = scene.ask(others[0], scene.account.delete(scene.hello))

    assert 200 == reply.status
    shared.kill()
    scene.join()
    scene.wait(70.0)
    assert [{}] * 4 == [scene.found_at(each) for each in [*scene.machines[:2], *others]]


def test_a_deletion_is_repeated_above_a_member_whose_clock_is_ahead() -> None:
    scene = Scene()
    ahead, *others, behind = scene.machines
    ahead.skew_s, behind.skew_s = 9.0, -9.0
    scene.part([ahead, *others], [behind])
    assert scene.store(ahead).status == 200
    scene.join()

    reply, _ = scene.ask(behind, scene.account.delete(scene.hello))

    assert 200 == reply.status
    assert [{}] * 5 == [scene.found_at(machine) for machine in scene.machines]


def test_a_new_expiry_never_brings_a_deleted_message_back() -> None:
    """A member that missed the deletion gives the message a later version of its expiry, and no life."""
    scene = Scene()
    one, two, three, four, five = scene.machines
    assert scene.store(one).status == 200
    scene.part([one, two, three, four], [five])
    assert scene.ask(one, scene.account.delete(scene.hello))[0].status == 200
    scene.ask(five, scene.account.extend(scene.now_ms + 2 * TTL_MS, scene.hello))

    scene.join()
    scene.wait(70.0)

    assert [{}] * 5 == [scene.found_at(machine) for machine in scene.machines]


def test_replicas_that_missed_different_messages_agree_within_a_minute() -> None:
    scene = Scene()
    one, two, three, four, five = scene.machines
    scene.part([one, two, three], [four, five])
    scene.store(one)
    scene.store(four, b"not acknowledged, and not lost either")

    scene.join()
    scene.wait(60.0)

    assert 1 == len({frozenset(scene.found_at(machine)) for machine in scene.machines})
    assert 2 == len(scene.found_at(one))


def test_a_version_from_far_ahead_is_not_followed() -> None:
    """A liar could otherwise lead all others to versions that no store takes."""
    scene = Scene()
    one = scene.machines[0]
    around = one.member.around

    version = around.next_version(one.now_ms + 3_600_000)

    assert version <= one.now_ms + 1
    assert 200 == scene.store(one).status
