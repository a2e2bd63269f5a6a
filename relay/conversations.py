"""Long calls to other relays, carried by asks: which part goes when. No task and no clock; whoever waits is told.

A part whose CALL or ANSWER is a large frame takes one of its relay's turns; conversations with that relay have them in
turn. So what they have under way stays far below what may wait for one link, in either direction, and a short call is
not held up by long ones. Spec: docs/specs/link.md §9; the decisions are ``onionpath.service.long_calls``'.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from onionpath.crypto.identity import RelayId
from onionpath.injected import Entropy
from onionpath.link.frames import CallBody, call_capacity
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.statuses import Reason
from onionpath.service.call_shares import CallShares
from onionpath.service.long_call_parts import TRANSFER_ID_SIZE
from onionpath.service.long_calls import Capacities, LongCall, Part, PartCall

# 2 MiB in a direction: 20 MB/s over a round trip of 100 ms, and a quarter of what may wait for one link.
TURNS = 16
# Of replies that have not come whole, as their peers announce them; one peer alone may have half. Without it one that
# ends nothing could have us hold eleven megabytes for each call under way.
MOST_HELD_BYTES = 128 * 1024 * 1024
MOST_HELD = 16_384  # Above what may be asked at once.
# Nobody waits for the answer to END; this is how long it may wait for a link.
END_TIMEOUT_S = 10.0

Answered = Callable[[bytes | Reason], None]


class Asker(Protocol):
    """A driver of a switch: it asks other relays single calls."""

    def ask(
        self, number: int, relay_id: RelayId, call: CallBody, *, timeout_s: float, answered: Answered
    ) -> None:
        """Ask another relay.

        Args:
            number: the asker's own, for this ask alone.
            answered: called once, perhaps before this returns.
        """
        ...

    def forget_ask(self, number: int) -> None:
        """Whoever asked does not want to know any more."""
        ...


@dataclass(slots=True, eq=False)
class Conversation:
    """One long call under way; ``under_way`` are its asks by number, ``held`` the bytes counted for its reply."""

    relay: RelayId
    service: int
    timeout_s: float
    call: LongCall
    told: Answered
    under_way: dict[int, Part] = field(default_factory=dict)
    held: int = 0
    is_over: bool = False


@dataclass(slots=True, eq=False)
class _Turns:
    """Of one relay: how many are taken, and who wants one next."""

    taken: int = 0
    waiting: deque[Conversation] = field(default_factory=deque)


class Conversations:
    """See the module's first lines.

    Args:
        entropy: for names of transfers.
        most_bytes: of replies that have not come whole; a call whose reply finds no room ends as congested.
    """

    def __init__(
        self,
        asker: Asker,
        geometry: Geometry,
        *,
        entropy: Entropy,
        turns: int = TURNS,
        most_bytes: int = MOST_HELD_BYTES,
    ) -> None:
        self._asker = asker
        self._capacities = Capacities(*(call_capacity(geometry, size_class) for size_class in SizeClass))
        self._entropy = entropy
        self._most_turns = turns
        self._turns: dict[RelayId, _Turns] = {}
        self._replies: CallShares[RelayId] = CallShares(max_calls=MOST_HELD, max_bytes=most_bytes)
        self._next_number = 1

    def begin(
        self, relay: RelayId, service: int, request: bytes, *, timeout_s: float, told: Answered
    ) -> Conversation:
        """Ask; ``told`` is called once with what came of it, perhaps before this returns, unless ``end`` comes first.

        Raises:
            UsageError: the request is too long.
        """
        call = LongCall(request, self._entropy(TRANSFER_ID_SIZE), self._capacities)
        conversation = Conversation(relay, service, timeout_s, call, told)
        self._advance(conversation)
        return conversation

    def end(self, conversation: Conversation) -> None:
        """Nobody wants to know any more: both sides forget it; idempotent."""
        if conversation.is_over:
            return
        conversation.is_over = True
        turns = self._turns.get(conversation.relay)
        if turns is not None and conversation in turns.waiting:
            turns.waiting.remove(conversation)
        for number, part in conversation.under_way.items():
            self._asker.forget_ask(number)
            if part.is_large:
                self._give_turn_back(conversation.relay)
        conversation.under_way.clear()
        if conversation.held:
            self._replies.give_back(conversation.relay, conversation.held)
        if conversation.call.needs_end:
            self._ask(conversation, conversation.call.end, END_TIMEOUT_S, _hear_nothing)

    def _advance(self, conversation: Conversation) -> None:
        """Send what is due, as far as there are turns."""
        due = conversation.call.due
        while due and not conversation.is_over:
            if due[0].is_large and not self._take_turn(conversation):
                return
            self._send(conversation, due.popleft())

    def _send(self, conversation: Conversation, part: Part) -> None:
        number = self._next_number
        conversation.under_way[number] = part
        told = partial(self._answered, conversation, number)
        self._ask(conversation, conversation.call.call(part), conversation.timeout_s, told)

    def _ask(self, conversation: Conversation, call: PartCall, timeout_s: float, told: Answered) -> None:
        number, self._next_number = self._next_number, self._next_number + 1
        body = CallBody(conversation.service, call.answer_class, call.body)
        self._asker.ask(number, conversation.relay, body, timeout_s=timeout_s, answered=told)

    def _answered(self, conversation: Conversation, number: int, answer: bytes | Reason) -> None:
        part = conversation.under_way.pop(number)
        conversation.call.answered(part, answer)
        self._hold(conversation)
        if part.is_large:
            self._give_turn_back(conversation.relay)
        result = conversation.call.result
        if result is None:
            self._advance(conversation)
        elif not conversation.is_over:
            self.end(conversation)
            conversation.told(result)

    def _hold(self, conversation: Conversation) -> None:
        """Count a reply once it is announced; one that came whole in its first part is nobody's to hold."""
        size = conversation.call.reply_size
        if conversation.held or conversation.is_over or conversation.call.result is not None or not size:
            return
        if self._replies.has_room(conversation.relay, size):
            self._replies.take(conversation.relay, size)
            conversation.held = size
        else:
            conversation.call.give_up(Reason.NEXT_CONGESTED)

    # Turns.

    def _take_turn(self, conversation: Conversation) -> bool:
        turns = self._turns.setdefault(conversation.relay, _Turns())
        if turns.taken < self._most_turns:
            turns.taken += 1
            return True
        if conversation not in turns.waiting:
            turns.waiting.append(conversation)
        return False

    def _give_turn_back(self, relay: RelayId) -> None:
        turns = self._turns[relay]
        turns.taken -= 1
        while turns.waiting and turns.taken < self._most_turns:
            self._give_turn(turns.waiting.popleft(), turns)
        # Whoever was told of an end meanwhile may have begun anew, with turns of its own.
        if not turns.taken and self._turns.get(relay) is turns:
            del self._turns[relay]

    def _give_turn(self, conversation: Conversation, turns: _Turns) -> None:
        """One part of this conversation; if it has more, it stands at the end of the row again."""
        due = conversation.call.due
        if not due:
            return
        turns.taken += 1
        part = due.popleft()
        if due:
            turns.waiting.append(conversation)
        self._send(conversation, part)


def _hear_nothing(answer: bytes | Reason) -> None:
    """The answer to END changes nothing."""
