from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from onionpath.injected import UnixTime
from simulations.virtual.heap import EventHeap
from simulations.virtual.record import Record
from simulations.virtual.wires import CONNECT_TIMEOUT_S, SOCKET_BUFFER, End, Fabric, WireModel

HASH = b"h" * 32


@dataclass(eq=False)
class Node:
    """Notes what happens to its ends."""

    name: str
    fabric: Fabric
    link_key_hash: bytes = HASH
    listens: bool = True
    got: list[tuple[float, bytes]] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    written_bytes: int = 0
    closed_at: list[float] = field(default_factory=list)

    @property
    def listener(self) -> Node | None:
        return self if self.listens else None

    def accepted(self, end: End) -> None:
        self.ends.append(end)

    def received(self, end: End, data: bytes) -> None:
        self.got.append((round(self.fabric.heap.now - 1000, 6), data))

    def written(self, end: End, size: int) -> None:
        self.written_bytes += size

    def closed(self, end: End) -> None:
        self.closed_at.append(round(self.fabric.heap.now - 1000, 6))


def two(model: WireModel) -> tuple[Fabric, Node, Node]:
    heap = EventHeap(UnixTime(1000.0))
    fabric = Fabric(heap, model, Record(keep=True), seed=7)
    one, other = Node("one", fabric), Node("other", fabric)
    fabric.host("there", other)
    return fabric, one, other


def joined(model: WireModel) -> tuple[Fabric, Node, Node, End]:
    fabric, one, other = two(model)
    answers: list[End | None] = []
    fabric.call(one, "there", HASH, answers.append)
    fabric.heap.run_until(1002.0)
    (end,) = answers
    assert end is not None
    return fabric, one, other, end


@pytest.mark.parametrize(
    ("listens", "key_hash", "address", "takes_s"),
    [
        (True, HASH, "there", 0.2),
        (False, HASH, "there", 0.2),
        (True, b"x" * 32, "there", 0.2),
        (True, HASH, "nowhere", CONNECT_TIMEOUT_S),
    ],
    ids=["open", "nobody listens", "another key", "nobody there"],
)
def test_a_connection_or_its_refusal_takes_a_round_trip_and_silence_the_timeout(
    listens: bool, key_hash: bytes, address: str, takes_s: float
) -> None:
    fabric, one, other = two(WireModel(latency_s=0.1))
    other.listens = listens
    answers: list[tuple[float, bool]] = []

    fabric.call(one, address, key_hash, lambda end: answers.append((fabric.heap.now, end is not None)))
    fabric.heap.run_until(1100.0)

    is_open = listens and key_hash == HASH and address == "there"
    ((at, answer),) = answers
    assert (takes_s, is_open) == (round(at - 1000, 6), answer)


def test_jitter_never_lets_a_later_write_overtake() -> None:
    fabric, _, other, end = joined(WireModel(latency_s=0.1, jitter_s=1.0))

    for number in range(50):
        end.send(bytes([number]))
        fabric.heap.run_until(fabric.heap.now + 0.01)
    fabric.heap.run_until(1010.0)

    assert [bytes([number]) for number in range(50)] == [data for _, data in other.got]
    assert 5 < len({time for time, _ in other.got})


def test_bandwidth_delays_what_comes_after() -> None:
    fabric, one, other, end = joined(WireModel(latency_s=0.1, bytes_per_s=1000))

    end.send(bytes(500))
    end.send(bytes(500))
    assert 0 == one.written_bytes
    fabric.heap.run_until(1010.0)

    assert [2.6, 3.1] == [time for time, _ in other.got]
    assert 1000 == one.written_bytes


def test_a_stall_holds_bytes_back_in_order_and_makes_the_writer_wait_beyond_a_buffer() -> None:
    fabric, one, other, end = joined(WireModel(latency_s=0.1))
    fabric.stall("one", "other")

    end.send(b"a" * SOCKET_BUFFER)
    end.send(b"b")
    fabric.heap.run_until(1030.0)
    assert ([], SOCKET_BUFFER) == (other.got, one.written_bytes)
    fabric.resume("one", "other")
    fabric.heap.run_until(1031.0)

    assert [(30.1, b"a" * SOCKET_BUFFER), (30.1, b"b")] == other.got
    assert SOCKET_BUFFER + 1 == one.written_bytes


def test_a_close_is_learnt_after_what_was_sent_before_it_also_through_a_stall() -> None:
    for stalls in (False, True):
        fabric, one, other, end = joined(WireModel(latency_s=0.1))
        if stalls:
            fabric.stall("one", "other")
        end.send(b"last words")
        end.close()
        fabric.heap.run_until(1005.0)
        if stalls:
            assert [] == other.closed_at
            fabric.resume("one", "other")
        fabric.heap.run_until(1010.0)

        assert [b"last words"] == [data for _, data in other.got]
        assert [5.1 if stalls else 2.1] == other.closed_at
        assert [] == one.closed_at


def test_a_cut_is_learnt_by_both_at_once_and_loses_what_is_on_its_way() -> None:
    fabric, one, other, end = joined(WireModel(latency_s=0.1))
    end.send(b"lost")

    assert 1 == fabric.cut("one", "other")
    fabric.heap.run_until(1010.0)

    assert ([], [2.0], [2.0]) == (other.got, one.closed_at, other.closed_at)


def test_parted_nodes_cannot_connect_until_they_are_healed() -> None:
    fabric, one, _ = two(WireModel(latency_s=0.1))
    answers: list[bool] = []
    fabric.part("one", "other")
    fabric.call(one, "there", HASH, lambda end: answers.append(end is not None))
    fabric.heap.run_until(1020.0)
    fabric.heal("one", "other")
    fabric.call(one, "there", HASH, lambda end: answers.append(end is not None))
    fabric.heap.run_until(1030.0)

    assert [False, True] == answers


def test_latency_is_drawn_for_each_pair_and_the_same_both_ways() -> None:
    fabric, one, other, end = joined(WireModel(latency_s=0.1, latency_up_to_s=0.5))
    end.send(b"there")
    other.ends[0].send(b"back")
    fabric.heap.run_until(1010.0)

    assert other.got[0][0] == one.got[0][0]
    assert 2.1 < other.got[0][0] < 2.5
