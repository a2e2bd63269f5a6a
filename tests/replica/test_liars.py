"""What one dishonest member can't do to the others, and what a relay that is no member can't do at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from onionpath.crypto.identity import RelayId
from onionpath.onion.statuses import Reason
from onionpath.swarm.arcs import WHOLE_RING, bucket_of
from onionpath.swarm.hashes import message_hash
from onionpath.swarm.operations import AccountId, Version
from onionpath.swarm.reconciliation import Key, Kind, Row, Standing
from relay.store.replica.comparing import Comparison, compare
from relay.store.replica.layout import position_of
from relay.store.replica.messages import (
    Answer,
    ArcForm,
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
    Question,
    Refused,
    Replied,
    RowForm,
    Said,
    Took,
    decode_replied,
    decode_said,
    encode_replied,
    encode_said,
)
from relay.store.replica.rows import take
from relay.store.replica.steps import Apply, Ask, Event, Job
from simulations.virtual.swarm.machines import SLOW_COMMIT_S, Machine
from tests.replica.scenes import TTL_MS, Scene, count_at, swarm_of

HOUR_MS = 3_600_000
STRANGER = AccountId(b"\x05" + bytes(32))
UNSEEN = message_hash(STRANGER, 0, b"never stored")


def ask(scene: Scene, asker: Machine, honest: Machine, question: Question, *, number: int = 1) -> Answer:
    """What an honest member answers a question that somebody made up."""
    answers: list[bytes] = []
    said = Said(number, scene.now_ms, question)  # type: ignore[arg-type]
    honest.question(asker.name, encode_said(said), answers.append)
    scene.wait(1.0)
    return decode_replied(answers[0]).answer


def forged_deletion(account: AccountId, name: str, version: int) -> RowForm:
    standing = Standing(Key(account, name), Kind.DELETED, Version(version), Version(0), 0, 0)
    return RowForm.of(Row(standing, 0, version + HOUR_MS, None))


def forged_message(account: AccountId, data: bytes, now_ms: int) -> RowForm:
    key, version = Key(account, message_hash(account, 0, data)), Version(now_ms)
    standing = Standing(key, Kind.LIVE, version, version, now_ms + TTL_MS, now_ms)
    return RowForm.of(Row(standing, 0, now_ms + TTL_MS + HOUR_MS, data))


def test_a_relay_that_is_no_member_learns_nothing_of_accounts_and_messages() -> None:
    scene = Scene(5, spare=1)
    *members, outsider = scene.machines
    scene.store(members[0])
    bucket = bucket_of(position_of(scene.account.id))
    key = KeyForm(scene.account.id, scene.hello)

    questions = [
        Compare(ArcForm.of(WHOLE_RING), bytes(32)),
        Listing(bucket, ArcForm.of(WHOLE_RING)),
        Bring([key]),
    ]

    assert [Refused("stale")] * 3 == [ask(scene, outsider, members[0], question) for question in questions]


@pytest.mark.parametrize("number", [1, 99], ids=["of the same document", "claiming a newer one"])
def test_a_relay_that_is_no_member_deletes_nothing(number: int) -> None:
    scene = Scene(5, spare=1)
    *members, outsider = scene.machines
    scene.store(members[0])
    give = Give([forged_deletion(scene.account.id, scene.hello, scene.now_ms + 1_000)])

    assert [Took(1)] * 5 == [ask(scene, outsider, member, give, number=number) for member in members]
    assert {scene.hello} == scene.found_at(members[0]).keys()


def test_whoever_was_a_member_lately_may_still_hand_over() -> None:
    scene = Scene(5, spare=1)
    former, *others = scene.machines
    scene.publish(others)

    assert Took(0) == ask(
        scene, former, others[0], Give([forged_message(scene.account.id, b"x", scene.now_ms)])
    )


def test_a_member_that_could_not_store_a_message_does_not_count_itself() -> None:
    """A forged deletion from so far ahead that nobody goes above it stands in its way."""
    scene = Scene()
    first, liar, *others = scene.machines
    far_ahead = scene.now_ms + HOUR_MS // 2
    ask(scene, liar, first, Give([forged_deletion(scene.account.id, scene.hello, far_ahead)]))
    scene.part([first, *others[:2]], [liar], [others[2]])

    reply = scene.store(first)

    assert 503 == reply.status
    assert 2 == sum("signature" in part for part in swarm_of(reply).values())


def heard_by(
    scene: Scene, honest: Machine, job: Job, liar: Sequence[Answer]
) -> tuple[list[Question], object]:
    """What a job asks a liar who gives these answers and then none, and what it comes to."""
    asked, answers, event = list[Question](), iter(liar), None
    try:
        while True:
            start = job.send(event)  # type: ignore[arg-type]
            ((tag, want),) = start.wants
            if isinstance(want, Ask):
                asked.append(decode_said(want.body).question)
                answer = next(answers, None)
                given = (
                    Reason.NEXT_TIMED_OUT
                    if answer is None
                    else encode_replied(Replied(1, scene.now_ms, answer))
                )
            else:
                assert isinstance(want, Apply)
                given = honest.store.apply(want.operations, now_ms=honest.now_ms)
            event = Event(tag, given)
    except StopIteration as ended:
        return asked, ended.value


def test_rows_that_nobody_asked_for_are_not_taken() -> None:
    scene = Scene()
    honest, liar, *_ = scene.machines
    strange = forged_message(STRANGER, b"strange", scene.now_ms)
    key = Key(scene.account.id, scene.hello)

    job = take(honest.member.around, liar.name, [key])
    _, has_all = heard_by(scene, honest, job, [Brought([strange], [])])

    assert has_all is False
    assert 0 == count_at(honest).messages


def test_a_bucket_is_compared_page_by_page() -> None:
    """A liar that lists without end is asked for what it names, a thousand at a time, and nothing piles up here."""
    scene = Scene()
    honest, liar, *_ = scene.machines
    position = position_of(scene.account.id)
    names = sorted(message_hash(scene.account.id, 0, bytes([each])) for each in range(4))
    pages = [
        Listed([forged_deletion(scene.account.id, name, scene.now_ms).standing], True) for name in names[:2]
    ]
    digests = Compared([DigestForm(bucket_of(position), 9, bytes(32))], True, False, None)
    rows = [Brought([forged_deletion(scene.account.id, name, scene.now_ms)], []) for name in names[:2]]

    job = compare(honest.member.around, liar.name, WHOLE_RING, takes=True, gives=True)
    asked, _ = heard_by(scene, honest, job, [digests, pages[0], rows[0], pages[1], rows[1]])

    assert [Compare, Listing, Bring, Listing, Bring, Listing] == [type(each) for each in asked]


@pytest.mark.parametrize("fault", ["again", "elsewhere"])
def test_a_listing_that_no_honest_member_gives_ends_the_comparison(fault: str) -> None:
    scene = Scene()
    honest, liar, *_ = scene.machines
    position = position_of(scene.account.id)
    standing = forged_deletion(scene.account.id, scene.hello, scene.now_ms).standing
    strange = forged_deletion(STRANGER, scene.hello, scene.now_ms).standing
    listed = {"again": [standing, standing], "elsewhere": [strange]}[fault]
    digests = Compared([DigestForm(bucket_of(position), 9, bytes(32))], True, False, None)

    job = compare(honest.member.around, liar.name, WHOLE_RING, takes=True, gives=True)
    asked, comparison = heard_by(scene, honest, job, [digests, Listed(listed, False)])

    assert [Compare, Listing] == [type(each) for each in asked]
    assert isinstance(comparison, Comparison)
    assert not comparison.has_taken


@pytest.mark.parametrize("away", [0, 1], ids=["all answer", "one is away"])
def test_a_member_that_makes_up_rows_does_not_spoil_a_deletion_that_the_others_have_made(
    monkeypatch: pytest.MonkeyPatch, away: int
) -> None:
    """It says that it has met a row that nobody else has, and falls silent when it is asked for it."""
    scene = Scene()
    first, liar, *others = scene.machines
    scene.store(first)
    tell_lies(monkeypatch, liar)
    for machine in others[:away]:
        machine.kill()

    reply, _ = scene.ask(first, scene.account.delete_all(now_ms=scene.now_ms))

    assert 200 == reply.status


def test_a_member_that_answers_late_stands_in_for_one_that_lied(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one that is away and one that is slow, the liar is the third that has made the change."""
    scene = Scene()
    first, liar, _, slow, dead = scene.machines
    scene.store(first)
    tell_lies(monkeypatch, liar)
    slow.slowest_s = SLOW_COMMIT_S
    dead.kill()

    reply, _ = scene.ask(first, scene.account.delete_all(now_ms=scene.now_ms))

    assert 200 == reply.status


def tell_lies(monkeypatch: pytest.MonkeyPatch, liar: Machine) -> None:
    """From now on it names a row of its own invention, and shows none."""
    honest = liar.question

    def question(relay: RelayId, body: bytes, on_answer: Callable[[bytes], None]) -> None:
        def lie(answer: bytes) -> None:
            replied = decode_replied(answer)
            if isinstance(replied.answer, Made):
                made = replace(replied.answer, touched=[*replied.answer.touched, UNSEEN])
                on_answer(encode_replied(replace(replied, answer=made)))

        honest(relay, body, lie)

    monkeypatch.setattr(liar, "question", question)


def test_rows_shown_one_by_one_keep_no_client_waiting() -> None:
    """Of a change whose rows a condition chose, a liar says that it has met thousands."""
    scene = Scene()
    honest, liar, *_ = scene.machines
    keys = [Key(scene.account.id, message_hash(scene.account.id, 0, b"%d" % each)) for each in range(9)]
    job = take(honest.member.around, liar.name, keys, later=[])

    tag = next(job).wants[0][0]
    for shown in (1, 2):
        tag = job.send(Event(tag, one_more_row(honest, keys[shown:]))).wants[0][0]

    with pytest.raises(StopIteration) as ended:
        job.send(Event(tag, one_more_row(honest, keys[3:])))
    assert ended.value.value is False


def one_more_row(honest: Machine, left: Sequence[Key]) -> bytes:
    """An answer that has taken 2.5 s, and leaves almost everything."""
    honest.member.around.now_ms += 2_500
    return encode_replied(
        Replied(1, honest.member.around.now_ms, Brought([], [KeyForm.of(key) for key in left]))
    )
