"""How a job waits: for its store, and for another member."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

from onionpath.crypto.identity import RelayId
from onionpath.swarm.operations import Operation
from onionpath.swarm.reconciliation import Upkeep
from relay.store.replica.messages import Question
from relay.store.replica.steps import Apply, Ask, Event, Pause, Start, Want
from relay.store.replica.surroundings import Heard, Surroundings

ASK_TIMEOUT_S = 5.0

T = TypeVar("T")
Talk = Generator[Start, Event, T]


def wait_for(want: Want, *, later: list[Event] | None = None) -> Talk[Any]:
    """Begin something and wait for it.

    Args:
        later: takes what else comes meanwhile; without it, it is dropped.
    """
    tag = object()
    event = yield Start(((tag, want),))
    while event.tag is not tag:
        if later is not None:
            later.append(event)
        event = yield Start()
    return event.result


def store(*operations: Operation | Upkeep, later: list[Event] | None = None) -> Talk[list[Any]]:
    """What our store says, one result for each operation."""
    results: list[Any] = yield from wait_for(Apply(operations), later=later)
    return results


def ask(
    around: Surroundings, relay: RelayId, question: Question, *, later: list[Event] | None = None
) -> Talk[Heard | None]:
    """What another member answers; None if it doesn't."""
    want = Ask(relay, around.ask(question), ASK_TIMEOUT_S)
    result = yield from wait_for(want, later=later)
    return around.hear(relay, result)


def pause(seconds: float) -> Talk[None]:
    """Wait so long."""
    yield from wait_for(Pause(seconds))
