"""What the frame that ends an exchange means: an answer, or the edge where the call got lost."""

from __future__ import annotations

from typing import Any

import pytest

from onionpath.client.onion_exchange import OnionExchange, onion_call
from onionpath.errors import FIRST_EDGE, Edge, UnreachableError, UsageError
from onionpath.link.frames import Frame, Kind
from onionpath.onion.geometry import SizeClass
from onionpath.onion.packets import ReplyHead
from onionpath.onion.statuses import Reason, ReplyStatus
from tests.onion.paths import SLOT, a_call, entropy, hops_of, native, reply_layers, walk


def an_exchange() -> OnionExchange:
    return OnionExchange.begin(native(), hops_of(range(3)), a_call(), slot=SLOT, entropy=entropy(1))


def a_frame(body: bytes) -> Frame:
    return Frame(Kind.REPLY, SizeClass.SMALL, 0, 0, 0, 1, body)


def a_reply(exchange: OnionExchange, *, speaker: int, head: ReplyHead, body: bytes = b"") -> bytes:
    """What the client gets when this hop speaks and those before it pass it on."""
    keys = walk(exchange.packet).reply_keys
    return reply_layers(keys[: speaker + 1], head, body)[0]


def edge_of(exchange: OnionExchange, frame: Frame) -> Edge | None:
    with pytest.raises(UnreachableError) as caught:
        exchange.judge(frame)
    assert caught.value.sent
    return caught.value.edge


def test_the_answer_of_the_last_hop_is_the_calls() -> None:
    exchange = an_exchange()
    reply = a_reply(exchange, speaker=2, head=ReplyHead(ReplyStatus.ANSWERED), body=b"hello")

    assert b"hello" == exchange.judge(a_frame(reply)).body


def test_a_refusal_of_the_last_hop_is_an_answer() -> None:
    exchange = an_exchange()
    head = ReplyHead(ReplyStatus.REFUSED, Reason.SERVICE_BUSY)

    answer = exchange.judge(a_frame(a_reply(exchange, speaker=2, head=head)))
    assert Reason.SERVICE_BUSY is answer.head.reason


@pytest.mark.parametrize("speaker", [0, 1])
@pytest.mark.parametrize(
    "head",
    [
        ReplyHead(ReplyStatus.EDGE_FAILED, Reason.NEXT_TIMED_OUT),
        ReplyHead(ReplyStatus.REFUSED, Reason.HOP_BUSY),
    ],
    ids=["a report", "a refusal"],
)
def test_whatever_a_hop_on_the_way_says_accuses_the_edge_behind_it(speaker: int, head: ReplyHead) -> None:
    """It may be the hop that lies, or the next one that fails; nobody can tell from here."""
    exchange = an_exchange()
    reply = a_reply(exchange, speaker=speaker, head=head)

    assert Edge(speaker, speaker + 1) == edge_of(exchange, a_frame(reply))


def test_a_reply_that_was_damaged_accuses_the_first_whose_seal_does_not_open() -> None:
    exchange = an_exchange()
    reply = bytearray(a_reply(exchange, speaker=2, head=ReplyHead(ReplyStatus.ANSWERED)))
    reply[-1] ^= 1

    assert FIRST_EDGE == edge_of(exchange, a_frame(bytes(reply)))


@pytest.mark.parametrize(
    "changes",
    [{"kind": Kind.REJECT}, {"kind": Kind.ANSWER}, {"depth": 1}, {"size_class": SizeClass.LARGE}],
    ids=["a rejection", "an answer without an onion", "another depth", "another size"],
)
def test_a_frame_of_another_form_accuses_the_first_hop_whatever_it_carries(changes: dict[str, Any]) -> None:
    exchange = an_exchange()
    reply = a_reply(exchange, speaker=2, head=ReplyHead(ReplyStatus.ANSWERED))

    assert FIRST_EDGE == edge_of(exchange, a_frame(reply)._replace(**changes))


def test_a_call_takes_the_smallest_packet_that_holds_it() -> None:
    geometry = native().geometry
    small, large = (geometry.request_capacity(each, geometry.last_depth) for each in SizeClass)

    for size, expected in ((0, SizeClass.SMALL), (small, SizeClass.SMALL), (small + 1, SizeClass.LARGE)):
        call = onion_call(geometry, 1, bytes(size), idempotency_key=bytes(16), large_reply=False)
        assert (expected, SizeClass.SMALL) == (call.request_class, call.reply_class)
    with pytest.raises(UsageError, match=str(large)):
        onion_call(geometry, 1, bytes(large + 1), idempotency_key=bytes(16), large_reply=True)
