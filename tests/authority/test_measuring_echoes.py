"""What an authority reads from the one frame that answers its packet."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from onionpath.errors import Edge
from onionpath.injected import UnixTime
from onionpath.link.frames import Frame, Kind
from onionpath.onion.geometry import SizeClass
from onionpath.onion.packets import Forward, Packet, ReplyHead, ReplyKey, Serve
from onionpath.onion.statuses import Reason, ReplyStatus
from relay.authority.echoes import Echo, seal_echo
from relay.authority.findings import Broken
from tests.onion.paths import entropy, hop_key, hops_of, native

ONION = native()
PATH = (0, 1, 2)
NOW = UnixTime(1_700_000_000)
REFUSED = ReplyHead(ReplyStatus.REFUSED, Reason.HOP_BUSY)
NEXT_GONE = ReplyHead(ReplyStatus.EDGE_FAILED, Reason.NEXT_UNREACHABLE)
ANSWERED = ReplyHead(ReplyStatus.ANSWERED)


def an_echo(size_class: SizeClass = SizeClass.SMALL) -> Echo:
    return seal_echo(ONION, tuple(hops_of(PATH)), size_class, slot_s=300, now=NOW, entropy=entropy(1))


def peeled(packet: Packet) -> tuple[list[ReplyKey], bytes]:
    """Every relay's reply key, and the body that the last one reads."""
    keys: list[ReplyKey] = []
    for number in PATH:
        match ONION.peel(packet, hop_key(number)):
            case Forward(packet=onward, reply_key=key):
                keys.append(key)
                packet = onward
            case Serve(body=body, reply_key=key):
                return [*keys, key], body
    raise AssertionError("nobody was asked")


def reply(echo: Echo, head: ReplyHead, *, by: int, body: bytes | None = None) -> Frame:
    """The frame that comes back when this relay speaks last; by default it echoes."""
    keys, asked = peeled(echo.wrapped.packet)
    said = asked if body is None else body
    layer = ONION.seal_reply(keys[by], head, said if head is ANSWERED else b"", entropy=entropy(2))
    for key in reversed(keys[:by]):
        layer = ONION.seal_reply(key, ReplyHead(ReplyStatus.RELAYED), layer, entropy=entropy(3))
    return Frame(Kind.REPLY, echo.wrapped.packet.size_class, 0, 0, 0, 1, layer)


@pytest.mark.parametrize("size_class", SizeClass)
def test_what_was_sent_comes_back(size_class: SizeClass) -> None:
    echo = an_echo(size_class)

    assert echo.broken(ONION, reply(echo, ANSWERED, by=2)) is None


BROKEN: dict[str, tuple[Edge, Callable[[Echo], Frame]]] = {
    "another body": (Edge(1, 2), lambda echo: reply(echo, ANSWERED, by=2, body=bytes(32))),
    "the last relay refuses": (Edge(1, 2), lambda echo: reply(echo, REFUSED, by=2)),
    "the second reaches no third": (Edge(1, 2), lambda echo: reply(echo, NEXT_GONE, by=1)),
    "the first reaches no second": (Edge(0, 1), lambda echo: reply(echo, NEXT_GONE, by=0)),
    "the first rejects": (
        Edge(-1, 0),
        lambda echo: reply(echo, ANSWERED, by=2)._replace(kind=Kind.REJECT, body=b""),
    ),
    "the first changes the class": (
        Edge(-1, 0),
        lambda echo: reply(an_echo(SizeClass.LARGE), ANSWERED, by=2),
    ),
    "the first forges": (
        Edge(-1, 0),
        lambda echo: reply(echo, ANSWERED, by=2)._replace(body=bytes(8 * 1024 - 16)),
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_everything_else_accuses_an_edge(case: str) -> None:
    edge, answered = BROKEN[case]
    echo = an_echo()

    assert Broken(edge) == echo.broken(ONION, answered(echo))


def test_no_two_packets_of_a_probe_carry_the_same_body() -> None:
    """A last relay that remembered the first could answer the others before they came."""
    draw = entropy(1)
    bodies = {
        seal_echo(ONION, tuple(hops_of(PATH)), SizeClass.LARGE, slot_s=300, now=NOW, entropy=draw).body
        for _ in range(4)
    }

    assert 4 == len(bodies)
