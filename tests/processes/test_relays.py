"""Real relays against those who kill them, replay to them, or do not speak as they should."""

from __future__ import annotations

import os
import re
import resource
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import anyio
import pytest

from onionpath.client.client import Client
from onionpath.directory.directory import Directory
from onionpath.errors import PeerError
from onionpath.link.frames import CallBody, Kind, encode_call, encode_frame
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.service.calls import ServiceId
from simulations.local.network import LocalNetwork, LocalRelay
from tests.processes.raw_links import RawLink, echo_request, open_echo_request

pytestmark = pytest.mark.processes

IMPATIENT = {"limits.frame_s": 1.0, "limits.stall_s": 1.0, "limits.handshake_s": 1.0}


@pytest.fixture(scope="module")
def network() -> Iterator[LocalNetwork]:
    with LocalNetwork(relays=3, website=False, relay_settings=IMPATIENT) as network:
        yield network


@pytest.fixture(scope="module")
def directory(network: LocalNetwork) -> Directory:
    async def fetch() -> Directory:
        async with Client(network.trust_root_file) as client:
            return client.directory

    return anyio.run(fetch, backend="trio")


@pytest.fixture
def relay(network: LocalNetwork) -> LocalRelay:
    return network.relays[0]


def counted(relay: LocalRelay, reason: str) -> int:
    """How often the relay has counted this reason since it started."""
    found = re.search(rf'"{reason}":([0-9]+)', relay.statistics())
    return int(found[1]) if found else 0


def answer_to(relay: LocalRelay, directory: Directory, frame: bytes) -> Kind:
    with RawLink(relay, directory.document.parameters.geometry) as link:
        link.send(frame)
        return link.next_frame().kind


def test_a_killed_relay_comes_back_and_still_refuses_what_it_saw(
    network: LocalNetwork, directory: Directory, relay: LocalRelay
) -> None:
    """Otherwise whoever recorded a packet could send it again by crashing the relay, and watch where it goes."""
    recorded = echo_request(directory, relay.relay_id)
    assert Kind.REPLY is answer_to(relay, directory, recorded)
    assert Kind.REJECT is answer_to(relay, directory, recorded)
    before = relay.pid

    relay.kill()
    relay.restart()

    assert before != relay.pid
    assert Kind.REJECT is answer_to(relay, directory, recorded)
    assert 1 == counted(relay, "replay_replayed")
    assert Kind.REPLY is answer_to(relay, directory, echo_request(directory, relay.relay_id))


def garbage(directory: Directory) -> bytes:
    return bytes([0xEE]) * 64


def stray_class(directory: Directory) -> bytes:
    return bytes([Kind.REQUEST, 7]) + bytes(14)


def padding_that_says_something(directory: Directory) -> bytes:
    frame = encode_frame(directory.document.parameters.geometry, Kind.PING)
    return frame[:-1] + b"!"


def call_longer_than_its_frame(directory: Directory) -> bytes:
    geometry = directory.document.parameters.geometry
    head = encode_call(CallBody(ServiceId.ECHO, SizeClass.SMALL, b""))
    return encode_frame(geometry, Kind.CALL, head[:4] + (2**31).to_bytes(4, "big"))


def half_a_header(directory: Directory) -> bytes:
    return encode_frame(directory.document.parameters.geometry, Kind.PING)[:8]


def half_a_frame(directory: Directory) -> bytes:
    return encode_frame(directory.document.parameters.geometry, Kind.PING)[:4000]


BROKEN: dict[str, tuple[Callable[[Directory], bytes], str]] = {
    "garbage": (garbage, "link_frame_unknown"),
    "a class that there isn't": (stray_class, "link_frame_unknown"),
    "padding that isn't zero": (padding_that_says_something, "link_frame_padding"),
    "a call longer than its frame": (call_longer_than_its_frame, "link_call_length"),
    "half a header and then nothing": (half_a_header, "link_frame_too_slow"),
    "half a frame and then nothing": (half_a_frame, "link_frame_too_slow"),
}


@pytest.mark.parametrize(("make", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_link_that_breaks_the_protocol_is_closed_and_the_reason_counted(
    directory: Directory, relay: LocalRelay, make: Callable[[Directory], bytes], reason: str
) -> None:
    before = counted(relay, reason)
    with RawLink(relay, directory.document.parameters.geometry) as link:
        link.send(make(directory))
        assert link.is_closed_by_relay()

    assert before + 1 == counted(relay, reason)
    assert Kind.REPLY is answer_to(relay, directory, echo_request(directory, relay.relay_id))


def test_a_peer_that_never_reads_is_closed(
    network: LocalNetwork, directory: Directory, relay: LocalRelay
) -> None:
    geometry = directory.document.parameters.geometry
    call = encode_call(CallBody(ServiceId.ECHO, SizeClass.LARGE, b""))
    with RawLink(relay, geometry, receive_buffer=4096) as link:
        # 7.5 MB of answers: more than the sockets hold, less than what is closed for its amount.
        for number in range(60):
            link.send(encode_frame(geometry, Kind.CALL, call, exchange_id=number))
        network.processes.wait_for(
            lambda: counted(relay, "link_peer_never_reads") == 1, timeout_s=10, what="the relay to give up"
        )

    assert Kind.REPLY is answer_to(relay, directory, echo_request(directory, relay.relay_id))


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"])
def test_a_connection_that_never_becomes_tls_is_closed(
    directory: Directory, relay: LocalRelay, said: bytes
) -> None:
    with socket.create_connection((relay.endpoint.host, relay.endpoint.port), timeout=5) as connection:
        connection.sendall(said)
        try:
            while connection.recv(4096):
                pass
        except ConnectionError:
            pass  # closed all the same

    assert Kind.REPLY is answer_to(relay, directory, echo_request(directory, relay.relay_id))


OPEN_FILES = 160


@contextmanager
def with_few_files(network: LocalNetwork, relay: LocalRelay) -> Iterator[None]:
    """The relay is started again as a process that may open this many files, and inside of this it runs as that."""
    forking = network.processes.pid
    before = resource.prlimit(forking, resource.RLIMIT_NOFILE)
    relay.stop()
    resource.prlimit(forking, resource.RLIMIT_NOFILE, (OPEN_FILES, before[1]))
    try:
        relay.restart()
    finally:
        resource.prlimit(forking, resource.RLIMIT_NOFILE, before)
    yield
    relay.stop()
    relay.restart()


def take_connections(relay: LocalRelay, held: ExitStack) -> None:
    """More idle connections than it may open files, from as many sources as that takes."""
    for number in range(OPEN_FILES + 40):
        connection = held.enter_context(socket.socket())
        connection.settimeout(5)
        connection.bind((f"127.77.{1 + number // 50}.1", 0))
        connection.connect((relay.endpoint.host, relay.endpoint.port))


def takes_a_link(relay: LocalRelay, geometry: Geometry) -> bool:
    try:
        with RawLink(relay, geometry):
            return True
    except (OSError, PeerError):
        return False


def body_from_three_hops(link: RawLink, network: LocalNetwork, directory: Directory) -> bytes:
    """What the last of the network's three relays answers over this link to the first."""
    frame, open_reply = open_echo_request(directory, *(relay.relay_id for relay in network.relays))
    link.send(frame)
    while True:
        reply = link.next_frame()
        if reply.kind is not Kind.PING:
            return open_reply(reply).body


def test_a_relay_out_of_files_lives_and_carries_packets_all_the_same(
    network: LocalNetwork, directory: Directory, relay: LocalRelay
) -> None:
    """Connections cost nothing to whoever makes them; a dial without a file for it ended the whole relay."""
    with with_few_files(network, relay):
        before, geometry = relay.pid, directory.document.parameters.geometry
        with RawLink(relay, geometry) as link, ExitStack() as held:
            take_connections(relay, held)
            assert b"hello" == body_from_three_hops(link, network, directory)
        closed_at = time.monotonic()
        # It hangs up on whoever comes before it has noticed that the others left.
        network.processes.wait_for(
            lambda: takes_a_link(relay, geometry), timeout_s=2, what="the relay to take links again"
        )
        with RawLink(relay, geometry) as link:
            assert b"hello" == body_from_three_hops(link, network, directory)
        assert time.monotonic() - closed_at < 2
        assert before == relay.pid
        assert "Traceback" not in relay.log()


def test_nobody_else_may_read_what_relays_keep(network: LocalNetwork) -> None:
    for relay in network.relays:
        for folder, _, files in os.walk(relay.folder):
            assert 0 == stat.S_IMODE(os.stat(folder).st_mode) & 0o077, folder
            kept = [os.path.join(folder, name) for name in files if folder != str(relay.folder)]
            assert [] == [file for file in kept if os.stat(file).st_mode & 0o077]
