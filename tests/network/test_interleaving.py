"""Whatever happens in whatever order, each exchange ends exactly once and nothing is held afterwards."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onionpath.errors import MalformedError
from onionpath.link.frames import CallBody, Kind, encode_call, encode_frame
from onionpath.onion.geometry import SizeClass
from onionpath.service.calls import ServiceId
from relay.limits import PeerLimits, SwitchLimits
from tests.network.calls import echo
from tests.network.memory import MemoryClient, MemoryNetwork, Pending, memory_network

# Small enough that every bound is met now and then.
TIGHT = SwitchLimits(
    client=PeerLimits(packets_per_second=5, burst=6, in_flight=4),
    relay=PeerLimits(packets_per_second=50, burst=20, in_flight=12),
    in_flight=16,
    queued_bytes_per_peer=6 * 8192,
    queued_bytes=20 * 8192,
    dial_queue=3,
)

relays = st.integers(0, 3)
steps = st.one_of(
    st.tuples(st.just("send"), relays, st.permutations(range(4))),
    st.tuples(st.just("send"), relays, st.permutations(range(4))),
    st.tuples(st.just("call"), relays, st.none()),
    st.tuples(st.just("cut"), relays, relays),
    st.tuples(st.just("leave"), relays, st.none()),
    st.tuples(st.just("deafen"), relays, st.none() | relays),
    st.tuples(st.just("hang"), relays, st.booleans()),
    st.tuples(st.just("connect"), relays, relays),
    st.tuples(st.just("hold"), relays, st.booleans()),
    st.tuples(st.just("answer"), relays, st.none()),
    st.tuples(st.just("go away"), relays, relays),
    st.tuples(st.just("advance"), st.integers(0, 40), st.none()),
    st.tuples(st.just("run"), st.none(), st.none()),
)


class Story:
    """One network to which things happen."""

    def __init__(self) -> None:
        self.network: MemoryNetwork = memory_network(relays=4, limits=TIGHT)
        self.clients: dict[int, MemoryClient] = {}
        self.pending: list[Pending] = []
        self.calls = 0

    def client(self, first: int) -> MemoryClient:
        client = self.clients.get(first)
        if client is None or not client.end.is_open:
            client = self.clients[first] = self.network.client(first, name=f"client of {first}")
        return client

    def happen(self, what: str, one: int, other: object) -> None:
        network = self.network
        match what, other:
            case "send", list(path):
                path = [one, *(relay for relay in path if relay != one)][:3]
                # Three at once, so that the bounds are met.
                self.pending += [self.client(one).send(echo(), path=path) for _ in range(3)]
            case "call", _:
                body = encode_call(CallBody(ServiceId.ECHO, SizeClass.SMALL, b"x"))
                self.client(one).send_frame(Kind.CALL, body, exchange_id=10_000 + self.calls)
                self.calls += 1
            case "cut", int(there):
                network.cut(one, there)
            case "leave", _:
                network.cut(self.client(one).name, one)
            case "deafen", int(there):
                for end in network.relays[one].ends.values():
                    if end.other.owner is network.relays[there]:
                        end.reads = False
            case "deafen", _:
                self.client(one).end.reads = False
            case "hang", bool(hang):
                network.relays[one].dials_hang = hang
            case "connect", int(there) if there != one:
                network.complete_dial(network.relays[one], network.relays[there].relay_id)
            case "hold", bool(hold):
                network.relays[one].holding = hold
            case "answer", _:
                network.answer_held(one)
            case "go away", int(there):
                for end in list(network.relays[one].ends.values()):
                    if end.other.owner is network.relays[there]:
                        network.transmit(end, encode_frame(network.geometry, Kind.GOING_AWAY))
            case "advance", _:
                network.advance(one)
            case _:
                network.run()

    def assert_everything_ends(self) -> None:
        for relay in self.network.relays:
            relay.dials_hang = relay.holding = False
            for relay_id in relay.hanging:
                actions = relay.switch.dial_failed(relay_id, now=self.network.now)
                self.network.carry_out(relay, actions)
        # Longer than any deadline, and not so long that idle links end and hide what they held.
        self.network.advance(60)
        assert self.network.is_idle()
        for relay in self.network.relays:
            assert 0 == relay.switch.statistics().in_flight
            assert "layer_malformed" not in relay.counts
        for pending in self.pending:
            assert len(pending.frames) <= 1
            assert len(pending.frames) == 1 or not (pending.client.end.is_open and pending.client.end.reads)
            if pending.frames and pending.frames[0].kind is Kind.REPLY:
                assert 0 <= pending.answer().hop <= 2


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=5, max_size=40))
def test_every_exchange_ends_once_and_leaves_nothing(story: list[tuple[str, int, object]]) -> None:
    """The pending tables are where a relay would leak, or answer twice, which reveals a key."""
    telling = Story()
    for step in story:
        telling.happen(*step)
    telling.assert_everything_ends()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=8))
def test_garbage_never_raises(chunks: list[bytes]) -> None:
    network = memory_network(relays=2)
    client = network.client()
    for chunk in chunks:
        client.send_bytes(chunk)
    network.run()
    network.advance(20)

    assert network.is_idle()


headers = st.fixed_dictionaries(
    {
        "size_class": st.sampled_from(SizeClass),
        "depth": st.integers(0, 4),
        "generation": st.sampled_from([0, 7, 255]),
        "slot": st.sampled_from([0, 6_000_000, 2**32 - 1]),
        "exchange_id": st.integers(0, 3),
    }
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Kind), st.binary(max_size=96), headers), max_size=6))
def test_frames_of_any_kind_with_any_header_never_raise(
    frames: list[tuple[Kind, bytes, dict[str, int]]],
) -> None:
    network = memory_network(relays=2)
    stranger = network.client()
    for kind, body, header in frames:
        stranger.send_frame(kind, body, **header)
    try:
        network.run()
    except MalformedError as error:  # pragma: no cover
        raise AssertionError("a switch lets no peer's fault out") from error
    network.advance(30)

    assert network.is_idle()
