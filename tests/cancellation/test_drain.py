"""SIGTERM while requests are under way: they are answered or refused, and the relay is gone within ten seconds."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from onionpath.client.client import Client
from onionpath.directory.directory import Directory
from onionpath.onion.packets import Answer, OnionCall
from onionpath.service.calls import ServiceId
from onionpath.service.stream import StreamRequest
from simulations.local.network import LocalNetwork
from tests.leaks.driving import Somebody
from tests.leaks.programs import RelayProgram, relay_program

pytestmark = pytest.mark.processes

CALLERS = 4


@pytest.fixture(scope="module")
def network() -> Iterator[LocalNetwork]:
    with LocalNetwork(relays=3, website=False) as network:
        yield network


@pytest.fixture(scope="module")
def directory(network: LocalNetwork) -> Directory:
    async def fetch() -> Directory:
        async with Client(network.trust_root_file) as client:
            return client.directory

    directory = anyio.run(fetch, backend="trio")
    network.relays[1].stop()
    return directory


class Load:
    """Callers that ask one after the other, each over one link, until the relay takes no more."""

    def __init__(self, network: LocalNetwork, directory: Directory) -> None:
        self.ended: Counter[str] = Counter()
        self.answered = 0
        self._somebody = Somebody(network, directory)
        self._relay = network.relays[1]
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(CALLERS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self._threads)

    def _ask(self) -> None:
        under_way = False
        try:
            with self._somebody.link(self._relay) as link:
                while True:
                    sealed = self._somebody.seal(
                        [self._relay], OnionCall(ServiceId.ECHO, b"hello", bytes(16))
                    )
                    under_way = True
                    answer = self._somebody.send(link, sealed)
                    under_way = False
                    if not isinstance(answer, Answer):
                        self.ended[answer.name] += 1
                        return
                    assert b"hello" == answer.body
                    self.answered += 1
        except (EOFError, ConnectionError):
            self.ended["closed with a request under way" if under_way else "closed"] += 1
        except TimeoutError:
            self.ended["nothing came"] += 1


def end_under_load(network: LocalNetwork, directory: Directory, log: Path) -> None:
    load = Load(network, directory)
    with relay_program(network.relays[1], log) as program:
        load.start()
        assert program.wait_for(lambda: load.answered > 10, timeout_s=10)
        began = time.monotonic()
        program.process.send_signal(signal.SIGTERM)
        code = program.ends_within(11)
        took_s = time.monotonic() - began
        load.join()

    assert 0 == code, program.log
    assert 10.5 > took_s
    assert "Traceback" not in program.log
    assert '"draining"' in program.log
    assert {"REJECT", "closed"} >= load.ended.keys(), load.ended
    assert CALLERS == load.ended.total()


def test_a_relay_that_is_ended_under_load_answers_or_refuses_and_leaves(
    network: LocalNetwork, directory: Directory, tmp_path: Path
) -> None:
    end_under_load(network, directory, tmp_path / "log")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_it_does_so_twenty_times(network: LocalNetwork, directory: Directory, tmp_path: Path) -> None:
    for number in range(20):
        end_under_load(network, directory, tmp_path / f"log-{number}")


@contextmanager
def a_waiting_call(network: LocalNetwork, directory: Directory) -> Iterator[None]:
    """A poll that its relay holds for twenty seconds, so that a drain has something to wait for."""
    somebody = Somebody(network, directory)
    path = [network.relays[0], network.relays[2], network.relays[1]]
    with socket.create_server(("127.0.0.1", 0)) as server:
        token, refused = somebody.open_stream(path, b"127.0.0.1", server.getsockname()[1])
        assert refused is None
        poll = StreamRequest(token=token, at_least=1, at_most=1000, wait_ms=20_000)
        with somebody.link(path[0]) as link:
            link.send(somebody.seal(path, OnionCall(ServiceId.STREAM, poll.encode(), token)).frame)
            yield


def test_a_second_signal_ends_a_drain_at_once(
    network: LocalNetwork, directory: Directory, tmp_path: Path
) -> None:
    with relay_program(network.relays[1], tmp_path / "log") as program, a_waiting_call(network, directory):
        wait_until_it_holds_a_call(program)
        program.process.send_signal(signal.SIGTERM)
        assert program.wait_for(lambda: '"draining"' in program.log, timeout_s=2)
        assert program.ends_within(0.3) is None
        program.process.send_signal(signal.SIGTERM)

        assert 0 == program.ends_within(1.0), program.log
        assert "Traceback" not in program.log


def wait_until_it_holds_a_call(program: RelayProgram) -> None:
    def holds() -> bool:
        before = program.log.count('"statistics"')
        program.process.send_signal(signal.SIGUSR1)
        assert program.wait_for(lambda: program.log.count('"statistics"') > before, timeout_s=5)
        return '"calls":1' in program.log.splitlines()[-1]

    assert program.wait_for(holds, timeout_s=10)
