"""A client's request, carried out step by step. Spec: docs/specs/replication.md §2, §4.2."""

from __future__ import annotations

from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.plans import Plan, Read, Step, carry_out
from onionpath.swarm.replies import NOT_READY
from relay.store.replica.steps import Event, Job, Run, Start
from relay.store.replica.surroundings import Surroundings
from relay.store.replica.talk import Talk, store
from relay.store.replica.writes import write


def request_job(around: Surroundings, plan: Plan, *, max_reply: int) -> Job:
    """Carry a plan out; gives its ``SessionReply``."""
    run = carry_out(plan, max_reply=max_reply)
    replies: tuple[SessionReply, ...] | None = None
    while True:
        try:
            steps = run.send(replies)  # type: ignore[arg-type]  # the first is None, as generators want it
        except StopIteration as ended:
            return ended.value
        replies = yield from _carry_out(around, steps)


def _carry_out(around: Surroundings, steps: tuple[Step, ...]) -> Talk[tuple[SessionReply, ...]]:
    """All steps at the same time; their replies in their order."""
    replies: dict[int, SessionReply] = {}
    event: Event = yield Start(tuple((number, Run(_step(around, step))) for number, step in enumerate(steps)))
    while True:
        replies[event.tag] = event.result
        if len(replies) == len(steps):
            return tuple(replies[number] for number in range(len(steps)))
        event = yield Start()


def _step(around: Surroundings, step: Step) -> Job:
    return _read(around, step) if isinstance(step, Read) else write(around, step)


def _read(around: Surroundings, read: Read) -> Talk[SessionReply]:
    if not around.may_answer_for(read.account):
        return NOT_READY
    if read.gate is None:
        (found,) = yield from store(read.question)
    else:
        said, found = yield from store(read.gate.question, read.question)
        if read.gate.refuses(said):
            return read.gate.refusal
    return read.reply(found, now_ms=around.now_ms)
