"""Streams in virtual time: the production client's end, paths, switch and exit, to servers of a few lines."""

from __future__ import annotations

from statistics import median

import pytest

from onionpath.errors import RefusedError, StreamError
from onionpath.service.stream_client import MAX_CONTINUATIONS
from simulations.virtual.destinations import Website, drip, echo, page, silence, website
from simulations.virtual.network import VirtualNetwork, virtual_network
from simulations.virtual.streams import VirtualStream
from simulations.virtual.wires import WireModel

SITE, ECHO, SILENT, SLOW = ("site", 80), ("echo", 7), ("silent", 9), ("slow", 80)
PAGE_BYTES = 600_000
SERVERS = {SITE: website(PAGE_BYTES), ECHO: echo, SILENT: silence, SLOW: drip(8)}


def world(relays: int = 6, **plan: object) -> VirtualNetwork:
    return virtual_network(relays=relays, destinations=SERVERS, **plan)


def test_what_is_sent_comes_back_and_both_ends_are_told() -> None:
    stream = world().client().open_stream(*ECHO)

    stream.send(b"hello ")
    assert b"hello " == stream.read(6)
    stream.send(b"again", and_end=True)

    assert b"again" == stream.read_all()
    assert 3 == len(set(stream.hops))


def test_a_page_comes_whole_and_in_order() -> None:
    stream = world().client().open_stream(*SITE)
    stream.send(b"GET")

    assert page(0, PAGE_BYTES) == stream.read_all()


def test_a_server_that_sends_a_byte_each_second_is_heard_as_it_speaks() -> None:
    network = world(wires=WireModel(latency_s=0.01))
    stream = network.client().open_stream(*SLOW)
    began = network.now

    assert page(0, 3) == stream.read(3)
    assert 3.0 == pytest.approx(network.now - began, abs=0.1)
    assert page(3, 8) == stream.read_all()


def test_an_idle_stream_lasts_at_three_small_calls_a_minute() -> None:
    network = world()
    stream = network.client().open_stream(*SILENT)
    before = network.counts()["served"]

    network.advance(minutes=20)

    # A poll ends after twenty seconds; the client may fetch a document meanwhile.
    assert 60 == pytest.approx(network.counts()["served"] - before, abs=4)
    assert not stream.is_over
    assert 0 == stream.end.continuations


def test_a_closed_stream_leaves_nothing_at_its_exit() -> None:
    network = world()
    stream = network.client().open_stream(*ECHO)
    stream.send(b"x" * 100)
    stream.read(100)
    stream.close()
    network.advance(seconds=2.0)

    exits = [relay.exit.statistics() for relay in network.relays if relay.exit]
    assert (1, 0, 0, 0) == tuple(
        sum(getattr(each, name) for each in exits) for name in ("opened", "open", "running", "held")
    )
    assert network.is_balanced()


def test_a_server_that_is_not_there_is_a_refusal_of_the_exit() -> None:
    with pytest.raises(RefusedError, match="refuses connections on port 81") as caught:
        world().client().open_stream("site", 81)

    assert ("connection_refused", 2) == (caught.value.reason, caught.value.hop)


@pytest.mark.parametrize("position", [0, 1], ids=["first hop", "middle hop"])
def test_a_download_survives_the_death_of_a_hop(position: int) -> None:
    network = world(relays=9)
    stream = network.client().open_stream(*SITE)
    stream.send(b"GET")
    beginning = stream.read(PAGE_BYTES // 4)
    *_, last = stream.hops

    network.kill(stream.hops[position])

    assert page(0, PAGE_BYTES) == beginning + stream.read_all()
    assert (1, last) == (stream.end.continuations, stream.hops[-1])


def test_a_stream_ends_with_its_exit_and_says_so() -> None:
    network = world(relays=9)
    stream = network.client().open_stream(*SITE)
    stream.send(b"GET")
    stream.read(1_000)
    network.kill(stream.hops[-1])
    network.advance(minutes=3)

    assert isinstance(stream.end.failure, Exception)
    assert stream.end.continuations <= MAX_CONTINUATIONS + 1
    with pytest.raises(type(stream.end.failure)):
        stream.read(PAGE_BYTES)


def test_an_exit_that_restarted_no_longer_knows_the_stream() -> None:
    network = world(relays=3)
    stream = network.client().open_stream(*ECHO)
    last = stream.hops[-1]
    network.kill(last)
    network.restart(last)
    stream.send(b"still there?")
    network.advance(minutes=1)

    assert isinstance(stream.end.failure, StreamError)
    assert "stream_unknown" == stream.end.failure.reason


def test_a_program_that_reads_nothing_stops_its_server_after_two_windows() -> None:
    network = virtual_network(relays=6, destinations={SITE: website(12_000_000)})
    stream = network.client().open_stream(*SITE)
    stream.is_reading = False
    stream.send(b"GET")
    network.advance(minutes=2)
    from_server = sum(each.size for each in network.record.between("site:80", stream.hops[-1]))

    stream.is_reading = True
    stream.step()

    # What the client has not taken, and what its exit holds beyond it.
    assert 4_000_000 < from_server <= (4 + 5) * 1024 * 1024
    assert 12_000_000 == len(stream.read_all())


@pytest.mark.slow
def test_twenty_megabytes_over_300_ms_come_at_more_than_five_megabytes_a_second() -> None:
    servers = {SITE: website(20_000_000)}
    network = virtual_network(relays=6, wires=WireModel(latency_s=0.05), destinations=servers, record=False)
    client, began = network.client(), network.now
    stream = client.open_stream(*SITE)
    asked = network.now
    stream.send(b"GET")

    assert page(0, 20_000_000) == stream.read_all()

    from_asking, from_opening = (20 / (network.now - since) for since in (asked, began))
    print(f"\n{from_asking:.2f} MB/s, {from_opening:.2f} with the opening")
    assert from_opening > 5.0


@pytest.mark.slow
@pytest.mark.parametrize("bytes_per_s", [100e6, 10e6, 3e6])
def test_small_requests_beside_a_download_stay_quick(bytes_per_s: float) -> None:
    """A download asks for as much as its client's line carries, and little more: what stands in a queue there makes
    everything else wait behind it."""
    servers = {SITE: website(20_000_000), ECHO: echo}
    network = virtual_network(relays=6, wires=WireModel(latency_s=0.05), destinations=servers, record=False)
    client = network.client()
    download, chat = (client.open_stream(*server, isolation="one program") for server in (SITE, ECHO))
    # Every byte of both goes over the wire to the guard.
    assert download.hops[0] == chat.hops[0]
    network.fabric.narrow(client.name, chat.hops[0], bytes_per_s=bytes_per_s)

    alone = [round_trip(network, chat) for _ in range(9)]
    began = network.now
    download.send(b"GET")
    beside = []
    while not download.is_over:
        beside.append(round_trip(network, chat))
    network.advance(seconds=1.0)  # What was begun a moment ago gets its turn.

    print(
        f"\n{median(alone):.3f} s alone, {median(beside):.3f} s beside {20 / (network.now - 1.0 - began):.1f} MB/s"
    )
    assert 3 <= len(beside)
    assert median(beside) <= 1.5 * median(alone)


class Lasting(Website):
    """Sends its page and keeps the connection, as websites do."""

    def send(self, at_most: int, *, at_s: float) -> bytes:
        data = super().send(at_most, at_s=at_s)
        self.is_over = False
        return data


@pytest.mark.parametrize("size", [1_400_000, 1_700_000, 2_000_000, 2_300_000])
def test_the_last_bytes_of_a_page_come_at_once_though_the_connection_stays(size: int) -> None:
    """A poll that was sent behind others waits for more bytes than are left, until all before it is acknowledged."""
    servers = {SITE: lambda: Lasting(size)}
    network = virtual_network(relays=6, wires=WireModel(latency_s=0.05), destinations=servers, record=False)
    client = network.client()
    stream = client.open_stream(*SITE)
    network.fabric.narrow(client.name, stream.hops[0], bytes_per_s=1e6)
    began = network.now
    stream.send(b"GET")

    assert page(0, size) == stream.read(size)
    # Some round trips to begin with, and for the last bytes.
    assert network.now - began < size / 1e6 + 2.5
    network.advance(seconds=1.0)  # What was begun a moment ago gets its turn.


def round_trip(network: VirtualNetwork, stream: VirtualStream) -> float:
    began = network.now
    stream.send(b"x" * 100)
    assert b"x" * 100 == stream.read(100)
    return network.now - began


@pytest.mark.parametrize("seed", range(4))
def test_bytes_arrive_once_and_in_order_while_hops_die_and_wires_stall(seed: int) -> None:
    wires = WireModel(latency_s=0.02, latency_up_to_s=0.2, jitter_s=0.1)
    network = world(relays=12, seed=seed, wires=wires, record=False)
    stream = network.client().open_stream(*ECHO)
    sent = page(0, 900_000)
    stream.send(sent, and_end=True)
    for position in (1, 0):
        network.advance(seconds=0.7)
        if stream.hops:
            network.stall(stream.hops[0], stream.hops[1], seconds=2.0)
            network.kill(stream.hops[position])

    assert sent == stream.read_all()
    assert 1 <= stream.end.continuations <= MAX_CONTINUATIONS
