"""Members come and go with the signed document: nothing is answered before all is known, nothing let go too early."""

from __future__ import annotations

from tests.replica.scenes import Scene, count_at, owed


def test_a_newcomer_answers_once_it_has_what_the_others_have() -> None:
    scene = Scene(5, spare=1)
    *_, newcomer = scene.machines
    scene.store(scene.machines[0])

    scene.publish(scene.machines)

    assert {scene.hello} == scene.found_at(newcomer).keys()


def test_a_newcomer_that_hears_too_few_answers_no_question() -> None:
    """The two that it hears may be those that have missed what three others have acknowledged."""
    scene = Scene(5, spare=1)
    one, two, three, four, five, newcomer = scene.machines
    scene.store(one)
    scene.part([newcomer, one, two], [three, four, five])

    scene.publish([*scene.machines[:4], newcomer])
    scene.wait(60.0)
    assert 503 == scene.retrieve(newcomer).status

    scene.join()
    scene.wait(10.0)
    assert {scene.hello} == scene.found_at(newcomer).keys()


def test_a_member_that_lost_its_disk_answers_once_it_is_refilled() -> None:
    scene = Scene()
    scene.store(scene.machines[0])
    lost = scene.machines[1]
    scene.part([lost], scene.machines[2:])

    lost.lose_disk()
    scene.wait(30.0)
    assert 503 == scene.retrieve(lost).status

    scene.join()
    scene.wait(10.0)
    assert {scene.hello} == scene.found_at(lost).keys()


def test_whoever_leaves_keeps_its_rows_until_a_majority_of_the_others_has_them() -> None:
    scene = Scene(5, spare=3)
    old, new = scene.machines[:5], scene.machines[5:]
    scene.part(old[2:], old[:1], old[1:2])
    assert scene.store(old[4]).status == 200
    leaving, staying = old[3:], old[:3]
    scene.part(*([machine] for machine in scene.machines))

    scene.publish([*staying, *new])
    scene.wait(60.0)
    assert [1, 1] == [count_at(machine).messages for machine in leaving]

    scene.part([*leaving, *old[:2], new[0]], *([machine] for machine in new[1:]))
    scene.wait(60.0)
    assert [1, 1] == [count_at(machine).messages for machine in leaving]

    scene.join()
    scene.wait(60.0)
    assert [0, 0] == [count_at(machine).messages for machine in leaving]
    assert [1] * 6 == [count_at(machine).messages for machine in [*staying, *new]]


def test_what_two_leaving_members_alone_still_have_is_read_at_the_new_ones() -> None:
    """Three acknowledged it; one of them is gone for good, and the others leave."""
    scene = Scene(5, spare=3)
    old, new = scene.machines[:5], scene.machines[5:]
    scene.part(old[2:], old[:1], old[1:2])
    assert scene.store(old[4]).status == 200
    old[2].kill()
    scene.join()

    rest = [machine for machine in scene.machines if machine is not old[2]]
    scene.publish([*old[:2], *new], listed=rest)
    scene.wait(30.0)

    assert [{scene.hello}] * 5 == [scene.found_at(machine).keys() for machine in [*old[:2], *new]]


def test_whoever_follows_an_older_document_acknowledges_nothing_any_more() -> None:
    """The present members would never hear of it."""
    scene = Scene(5, spare=3)
    old, new = scene.machines[:5], scene.machines[5:]
    late = old[4]
    scene.world.unaware = {late.name}

    scene.publish([*old[:2], *new])

    assert 503 == scene.store(late).status


def test_a_swarm_splits_and_everybody_finds_his_messages() -> None:
    scene = Scene(5, spare=9)
    for number in range(20):
        scene.store(scene.machines[0], b"%d" % number)

    scene.publish(scene.machines)
    scene.wait(60.0)

    assert scene.world.newest is not None
    assert 2 == len({share.members for share in scene.world.newest.layout.shares})
    holding = [machine for machine in scene.machines if scene.retrieve(machine).status == 200]
    assert [20] * 7 == [len(scene.found_at(machine)) for machine in holding]
    assert [0] * 7 == [count_at(each).messages for each in scene.machines if each not in holding]


def test_the_first_members_of_a_network_answer_though_one_of_them_never_came() -> None:
    scene = Scene(5)
    scene.machines[0].kill()
    for machine in scene.machines[1:]:
        machine.lose_disk()
    scene.wait(30.0)

    assert 200 == scene.retrieve(scene.machines[1]).status


def test_members_that_can_never_be_heard_again_are_not_waited_for() -> None:
    """More than a swarm survives: what is left is served again as soon as the document names those who are left."""
    scene = Scene(5, spare=3)
    scene.store(scene.machines[0])
    for machine in scene.machines[:3]:
        machine.kill()

    rest = scene.machines[3:]
    scene.publish(rest, listed=rest)
    scene.wait(30.0)

    assert {scene.hello} == scene.found_at(rest[0]).keys()


def test_what_a_member_was_owed_is_forgotten_when_it_is_none_any_more() -> None:
    scene = Scene()
    one, *_, gone = scene.machines
    gone.kill()
    scene.store(one)
    scene.wait(10.0)
    assert () != owed(one, gone)

    scene.publish(scene.machines[:4], listed=scene.machines[:4])
    scene.wait(10.0)

    assert () == owed(one, gone)
