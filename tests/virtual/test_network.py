from __future__ import annotations

from collections import Counter

import pytest

from onionpath.errors import Edge
from onionpath.link.frames import Kind
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Call, Limits, Reply, ServiceId
from relay.limits import PeerLimits, SwitchLimits
from simulations.virtual.heap import EventHeap
from simulations.virtual.network import VirtualNetwork, virtual_network
from simulations.virtual.requests import Ask, Ending, Outcome, echo
from simulations.virtual.wires import WireModel

WAITS = 9


class WaitingService:
    """Answers after a while, as a service that reaches somebody does."""

    limits = Limits(concurrent=4, timeout_s=20.0)

    def __init__(self, heap: EventHeap, seconds: float) -> None:
        self._heap, self._seconds = heap, seconds
        self.begun = self.done = 0

    async def answer(self, call: Call) -> Reply:
        self.begun += 1
        await self._heap.sleep(self._seconds)
        self.done += 1
        return Reply(b"at last")


def waiting(seconds: float, **more: object) -> VirtualNetwork:
    return virtual_network(services={WAITS: lambda heap: WaitingService(heap, seconds)}, **more)  # type: ignore[arg-type]


def test_an_echo_crosses_three_relays_and_takes_as_long_as_its_wires() -> None:
    network = virtual_network(relays=9, seed=7, wires=WireModel(latency_s=0.03))
    client = network.client()

    first, second = client.request(echo(b"hello")), client.request(echo(b"again"))

    assert (b"hello", b"again", 3) == (first.body, second.body, len(set(first.path)))
    # Six wires there and back; the first time also three connections to make, and two of them to prove.
    assert pytest.approx(0.18, abs=1e-6) == second.took_s
    assert pytest.approx(0.18 + 3 * 0.06 + 2 * 0.06, abs=1e-6) == first.took_s


def test_relays_really_prove_themselves_to_each_other() -> None:
    network = virtual_network(relays=5)
    path = network.client().request(echo()).path

    kinds = [each.kind for each in network.record.handlings if each.relay == path[1] and not each.sent]

    assert [Kind.CLAIM, Kind.PROOF, Kind.REQUEST, Kind.CHALLENGE, Kind.REPLY] == kinds


def test_every_wire_carries_frames_of_two_sizes_whatever_happens() -> None:
    network = virtual_network(relays=9, seed=3, period_s=600)
    client = network.client()
    for number in range(12):
        client.request(echo(b"x" * 5000 * (number % 2), large_reply=number % 3 == 0))
        network.kill(number % 9)
        network.advance(minutes=2)
        client.request(echo())
        network.restart(number % 9)
        network.cut(number % 9, (number + 1) % 9)
        network.advance(minutes=9)

    geometry = network.world.onion.geometry
    assert {geometry.small, geometry.large} == network.record.sizes()


def test_a_relays_own_view_names_its_neighbours_and_nobody_else() -> None:
    network = virtual_network(relays=9)
    guard, middle, last = network.client().request(echo()).path

    def peers(relay: str) -> set[str]:
        return {each.peer for each in network.record.handlings if each.relay == relay and each.peer}

    assert ({middle}, {guard, last}, {middle}) == (peers(guard), peers(middle), peers(last))


def test_a_killed_hop_is_blamed_by_its_edge_and_the_next_attempt_goes_around_it() -> None:
    network = virtual_network(relays=9)
    client = network.client()
    _, middle, _ = client.request(echo()).path
    network.kill(middle)

    outcome = client.request(echo())

    assert (Ending.ANSWERED, 2) == (outcome.ending, outcome.attempts)
    assert middle not in outcome.path


def test_with_every_relay_dead_a_request_is_unreachable_at_the_first_edge() -> None:
    network = virtual_network(relays=9)
    client = network.client()
    for number in range(9):
        network.kill(number)

    outcome = client.request(echo())

    assert (Ending.UNREACHABLE, 3, Edge(-1, 0)) == (outcome.ending, outcome.attempts, outcome.edge)


def test_one_deadline_holds_for_all_attempts_over_stalled_wires() -> None:
    network = virtual_network(relays=9)
    client = network.client()
    for number in range(9):
        network.stall(client, number)

    outcome = client.request(Ask(ServiceId.ECHO, deadline_s=12.0))

    assert Ending.UNREACHABLE is outcome.ending
    assert outcome.took_s <= 12.0 + 1e-6


def test_a_stall_that_ends_in_time_costs_only_time() -> None:
    network = virtual_network(relays=9)
    client = network.client()
    guard, middle, _ = client.request(echo()).path
    network.stall(guard, middle, seconds=5.0)

    outcome = client.request(echo())

    assert (Ending.ANSWERED, 1) == (outcome.ending, outcome.attempts)
    assert 5.0 < outcome.took_s < 6.0


def test_a_call_with_effects_whose_exit_died_is_unknown_and_nobody_else_is_asked() -> None:
    network = waiting(3.0)
    client = network.client()
    path = client.request(Ask(WAITS)).path
    request = client.start(Ask(WAITS))
    network.advance(seconds=1.0)

    network.kill(path[-1])
    network.advance(seconds=30.0)

    assert request.outcome is not None
    assert (Ending.UNKNOWN, 3) == (request.outcome.ending, request.outcome.attempts)
    assert path[-1] == request.outcome.path[-1]


def test_a_call_with_effects_whose_middle_died_is_carried_out_once_and_answered() -> None:
    services: list[WaitingService] = []

    def make(heap: EventHeap) -> WaitingService:
        services.append(WaitingService(heap, 3.0))
        return services[-1]

    network = virtual_network(relays=9, services={WAITS: make})
    network.advance(minutes=15)
    client = network.client()
    path = client.request(Ask(WAITS)).path
    request = client.start(Ask(WAITS))
    network.advance(seconds=1.0)
    network.kill(path[1])
    network.advance(seconds=30.0)

    assert request.outcome is not None
    assert path[-1] == request.outcome.path[-1]
    assert Ending.ANSWERED is request.outcome.ending
    assert 2 == sum(each.begun for each in services)


def test_a_killed_relay_takes_its_waiting_calls_along() -> None:
    services: list[WaitingService] = []

    def make(heap: EventHeap) -> WaitingService:
        services.append(WaitingService(heap, 3.0))
        return services[-1]

    network = virtual_network(relays=3, services={WAITS: make})
    client = network.client()
    client.start(Ask(WAITS))
    network.advance(seconds=1.0)
    for number in range(3):
        network.kill(number)
    network.advance(seconds=30.0)

    assert (1, 0) == (sum(each.begun for each in services), sum(each.done for each in services))


def test_a_service_that_waits_is_answered_later_and_one_that_waits_too_long_is_refused() -> None:
    answered = waiting(3.0).client().request(Ask(WAITS))
    refused = waiting(60.0).client().request(Ask(WAITS, deadline_s=90.0))

    assert (b"at last", 1) == (answered.body, answered.attempts)
    assert 3.0 < answered.took_s < 4.0
    assert (Ending.REFUSED, Reason.SERVICE_TIMED_OUT) == (refused.ending, refused.reason)
    assert 20.0 < refused.took_s < 21.0


def test_cancelled_and_lost_calls_leave_every_account_balanced() -> None:
    network = waiting(5.0, relays=6)
    clients = [network.client() for _ in range(3)]
    endings: Counter[Ending] = Counter()

    def ended(outcome: Outcome) -> None:
        endings[outcome.ending] += 1

    for round_number in range(4):
        for client in clients:
            for _ in range(3):
                client.start(Ask(WAITS, deadline_s=3.0), then=ended)
                client.start(echo(), then=ended)
        network.advance(seconds=1.0)
        assert not network.is_balanced()
        clients[round_number % 3].close()
        network.cut(round_number, round_number + 1)
        network.kill(round_number)
        network.advance(seconds=10.0)
        network.restart(round_number)
    network.advance(minutes=2)

    assert 4 * 3 * 6 == endings.total()
    # No call that waits is answered in its time; every echo finds its way around the dead.
    assert 4 * 3 * 3 == endings[Ending.ANSWERED]
    assert 4 * 3 * 3 == endings[Ending.UNKNOWN] + endings[Ending.REFUSED]
    assert 0 < endings[Ending.UNKNOWN]
    assert 0 == sum(client.under_way for client in clients)
    assert network.is_balanced()


def test_a_drain_under_load_loses_nothing() -> None:
    network = waiting(2.0, relays=9)
    client = network.client()
    guard, middle, last = client.request(Ask(WAITS)).path
    for hop in (middle, last, guard):
        under_way = [client.start(Ask(WAITS)) for _ in range(4)] + [client.start(echo()) for _ in range(4)]
        network.advance(seconds=0.5)
        network.drain(hop)
        network.advance(seconds=5.0)
        assert not network.relay(hop).is_running
        endings = [request.outcome.ending for request in under_way if request.outcome]

        assert [Ending.ANSWERED] * 8 == endings
        network.restart(hop)
        network.advance(minutes=2)


def test_a_client_beyond_its_rate_is_read_more_slowly_and_loses_nothing() -> None:
    slow = SwitchLimits(client=PeerLimits(packets_per_second=5, burst=2, in_flight=64))
    network = virtual_network(relays=3, limits=slow)
    client = network.client()

    under_way = [client.start(echo()) for _ in range(12)]
    network.advance(seconds=10.0)

    times = [request.outcome.took_s for request in under_way if request.outcome]
    assert [Ending.ANSWERED] * 12 == [each.outcome.ending for each in under_way if each.outcome]
    # Three go at once, because one more has been earned while the connection was made; nine wait a fifth each.
    assert pytest.approx(9 / 5, abs=0.1) == max(times) - min(times)


def test_a_cold_network_founds_itself_over_its_wires() -> None:
    network = virtual_network(relays=5, warm=False)
    client = network.client(cold=True)
    # Authorities begin to vote each minute, and sign after three quarters of one.
    network.advance(minutes=3)

    assert client.request(echo()).is_answered
    assert 5 == len(client.directory.relays if client.directory else ())
    assert 1 == len(network.authority.signed)


def test_a_relay_that_is_added_is_listed_in_the_next_document_and_used() -> None:
    network = virtual_network(relays=2, period_s=300)
    client = network.client()
    assert Ending.NO_PATH is client.request(echo()).ending

    added = network.add_relay()
    network.advance(minutes=7)

    assert added.name in client.request(echo()).path
