"""Long calls take turns at a peer's link, and leave nothing behind when they end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from onionpath.crypto.identity import RelayId
from onionpath.link.frames import CallBody, call_capacity
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.statuses import Reason
from onionpath.service.long_call_parts import (
    TOLD_HEAD_SIZE,
    Asked,
    State,
    Told,
    Verb,
    encode_told,
    parse_asked,
)
from relay.conversations import Conversation, Conversations

PEER, OTHER = RelayId(b"\1" * 32), RelayId(b"\2" * 32)
LONG = bytes(8_140 + 5 * 131_020)  # a small part and five large ones
TAKEN = encode_told(Told(State.TAKEN))
# The first bytes, which fit a small frame, of a reply of a million.
BEGUN = encode_told(
    Told(State.REPLY, 1_000_000, 0, bytes(call_capacity(Geometry(), SizeClass.SMALL) - TOLD_HEAD_SIZE))
)


@dataclass
class Calls:
    """An asker whose calls stay where they are until a test answers them."""

    under_way: dict[int, tuple[RelayId, Asked, Callable[[bytes | Reason], None]]] = field(
        default_factory=dict
    )
    sent: int = 0

    def ask(
        self,
        number: int,
        relay_id: RelayId,
        call: CallBody,
        *,
        timeout_s: float,
        answered: Callable[[bytes | Reason], None],
    ) -> None:
        self.under_way[number] = relay_id, parse_asked(call.body), answered
        self.sent += 1

    def forget_ask(self, number: int) -> None:
        self.under_way.pop(number, None)

    def answer_first(self, answer: bytes | Reason = TAKEN) -> Asked:
        """Answer what has been under way for longest."""
        _, asked, answered = self.under_way.pop(min(self.under_way))
        answered(answer)
        return asked

    def answer_latest(self, answer: bytes) -> None:
        """Answer what was sent last."""
        _, _, answered = self.under_way.pop(max(self.under_way))
        answered(answer)


class Asking:
    """Conversations with two turns for each peer."""

    def __init__(self) -> None:
        self.calls = Calls()
        self.conversations = Conversations(
            self.calls, Geometry(), entropy=self.entropy, turns=2, most_bytes=4_000_000
        )
        self.told: list[bytes | Reason] = []
        self._names = 0

    def entropy(self, size: int) -> bytes:
        self._names += 1
        return bytes([self._names]) * size

    def begin(self, request: bytes = LONG, relay: RelayId = PEER) -> Conversation:
        return self.conversations.begin(relay, 8, request, timeout_s=5.0, told=self.told.append)

    def begin_parts(self, count: int) -> list[Conversation]:
        """So many long requests, of each of which the first part was taken."""
        begun = [self.begin() for _ in range(count)]
        for _ in begun:
            self.calls.answer_first()
        return begun

    def large(self) -> list[int]:
        """Which conversations have large parts under way, by the first byte of their names."""
        return [asked.transfer_id[0] for _, asked, _ in self.calls.under_way.values() if asked.offset]


def test_no_more_large_parts_are_under_way_than_there_are_turns() -> None:
    asking = Asking()
    asking.begin_parts(1)

    for _ in range(3):
        assert 2 == len(asking.calls.under_way)
        asking.calls.answer_first()


def test_long_calls_to_one_peer_have_turns_in_turn() -> None:
    asking = Asking()
    asking.begin_parts(3)
    began = asking.large()

    order = [asking.calls.answer_first().transfer_id[0] for _ in range(9)]

    assert [1, 1] == began
    assert [1, 1, 1, 2, 3, 1, 2, 3, 1] == order


def test_a_short_call_waits_for_no_long_one_and_other_peers_have_turns_of_their_own() -> None:
    asking = Asking()
    asking.begin_parts(1)

    asking.begin(b"short")
    asking.begin(bytes(100_000), relay=OTHER)

    assert 4 == len(asking.calls.under_way)


def test_who_gives_up_frees_its_turns_and_asks_and_tells_the_peer() -> None:
    asking = Asking()
    first, _ = asking.begin_parts(2)
    assert [1, 1] == asking.large()

    asking.conversations.end(first)
    asking.conversations.end(first)

    assert [2, 2] == asking.large()
    assert [Verb.END] == [
        asked.verb for _, asked, _ in asking.calls.under_way.values() if asked.verb is not Verb.PUT
    ]
    assert [] == asking.told


def test_who_gives_up_while_it_waits_for_a_turn_never_has_one() -> None:
    asking = Asking()
    _, second, _ = asking.begin_parts(3)

    asking.conversations.end(second)
    while [1] * len(asking.large()) == asking.large():
        asking.calls.answer_first()

    assert {1, 3} == set(asking.large())


def test_a_part_that_fails_ends_the_call_once_and_its_turns_go_on() -> None:
    asking = Asking()
    asking.begin_parts(2)

    asking.calls.answer_first(Reason.NEXT_CONGESTED)

    assert [Reason.NEXT_CONGESTED] == asking.told
    assert [2, 2] == asking.large()


def test_whoever_is_told_may_ask_again_at_once() -> None:
    asking = Asking()

    def again(result: bytes | Reason) -> None:
        asking.told.append(result)
        asking.begin(bytes(100_000))

    asking.conversations.begin(PEER, 8, bytes(100_000), timeout_s=5.0, told=again)
    asking.calls.answer_first(Reason.NEXT_CLOSED)
    asking.begin(bytes(100_000))
    asking.begin(bytes(100_000))

    puts = [asked for _, asked, _ in asking.calls.under_way.values() if asked.verb is Verb.PUT]
    assert ([Reason.NEXT_CLOSED], 2) == (asking.told, len(puts))


def test_replies_that_never_end_are_held_only_as_far_as_there_is_room() -> None:
    asking = Asking()

    def begin(relay: RelayId) -> Conversation:
        begun = asking.begin(b"short", relay=relay)
        asking.calls.answer_latest(BEGUN)
        return begun

    first, second, _ = begin(PEER), begin(PEER), begin(PEER)
    assert [Reason.NEXT_CONGESTED] == asking.told
    begin(OTHER)
    asking.conversations.end(first)
    asking.conversations.end(second)
    begin(PEER)

    assert [Reason.NEXT_CONGESTED] == asking.told
