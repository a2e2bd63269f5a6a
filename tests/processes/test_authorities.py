"""Authorities as processes: they agree, also when one dies, one lies, and relays come and go under a client's calls."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from onionpath.client.client import Client
from onionpath.directory.evidence import decode_evidence, verify_evidence
from onionpath.directory.trust import TrustRoot
from onionpath.errors import OnionPathError
from onionpath.service.calls import ServiceId
from simulations.local.network import LocalAuthority, LocalNetwork

pytestmark = pytest.mark.processes

REPOSITORY = Path(__file__).parents[2]
PERIOD_S = 6
REQUEST_EVERY_S = 0.2


@pytest.fixture(scope="module")
def network() -> Iterator[LocalNetwork]:
    with LocalNetwork(relays=3, authorities=3, website=False) as network:
        yield network


def lines(log: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.splitlines() if line.startswith("{")]


def numbers(authority: LocalAuthority) -> list[int]:
    """Of the documents that it has published."""
    told = lines(authority.log())
    return [int(str(line["number"])) for line in told if line["event"] == "document_published"]


def test_three_authorities_sign_one_document_on_which_everybody_runs(network: LocalNetwork) -> None:
    told = [authority.status() for authority in network.authorities]

    assert 1 == len({status.number for status in told})
    assert {3} == {status.listed for status in told}
    assert max(status.signatures for status in told) >= 2
    assert all(numbers(authority) for authority in network.authorities)


@contextmanager
def lying(authority: LocalAuthority) -> Iterator[None]:
    """In the authority's place, with its keys and state."""
    authority.stop()
    command = [sys.executable, "-m", "tests.processes.two_faces", str(authority.folder / "authority.toml")]
    with (authority.folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()


class Asking:
    """A client's steady requests, and what became of them."""

    def __init__(self, network: LocalNetwork) -> None:
        self._network = network
        self.answered = 0
        self.failed: list[str] = []
        self.documents: defaultdict[int, set[bytes]] = defaultdict(set)

    async def during(self, story: Callable[[], None]) -> None:
        """Ask until the story, which runs in a thread, has ended."""
        async with Client(self._network.trust_root_file) as client, anyio.create_task_group() as group:
            group.start_soon(self._ask_forever, client)
            await anyio.to_thread.run_sync(story)
            group.cancel_scope.cancel()

    async def _ask_forever(self, client: Client) -> None:
        while True:
            document = client.directory.document
            self.documents[document.number].add(document.digest)
            try:
                answer = await client.call(ServiceId.ECHO, b"hello", deadline_s=20)
                assert b"hello" == answer.body
                self.answered += 1
            except OnionPathError as error:
                self.failed.append(f"{type(error).__name__}: {error}")
            await anyio.sleep(REQUEST_EVERY_S)


def pass_periods(network: LocalNetwork, count: float) -> None:
    ends_at = time.monotonic() + count * PERIOD_S
    while time.monotonic() < ends_at:
        network.processes.check(timeout_s=0.2)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_one_dies_one_lies_two_relays_are_replaced_and_no_request_fails() -> None:
    with LocalNetwork(relays=12, authorities=4, authority_period_s=PERIOD_S, website=False) as network:
        dead, liar, *honest = network.authorities
        asking = Asking(network)

        def story() -> None:
            pass_periods(network, 1)
            with lying(liar):
                pass_periods(network, 2)
                dead.kill()
                pass_periods(network, 2)
                dead.restart()
                for relay in network.relays[:2]:
                    network.add_relay()
                    relay.stop()
                pass_periods(network, 3)

        anyio.run(asking.during, story, backend="trio")
        root = TrustRoot.decode(network.trust_root_file.read_bytes())

        assert [] == asking.failed
        assert asking.answered > 100
        assert all(1 == len(digests) for digests in asking.documents.values())
        assert len(asking.documents) >= 5
        for authority in honest:
            (evidence, *_) = [
                file.read_bytes() for file in (authority.folder / "state" / "evidence").iterdir()
            ]
            proven = verify_evidence(decode_evidence(evidence), root)
            assert (liar.identity,) == proven.guilty
            events = {line["event"] for line in lines(authority.log())}
            assert {"authority_equivocated", "authority_not_visited"} <= events
            assert authority.status().evidence


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_all_authorities_killed_until_the_last_document_has_expired_come_back() -> None:
    with LocalNetwork(relays=3, authorities=3, authority_period_s=PERIOD_S, website=False) as network:
        for authority in network.authorities:
            authority.kill()
        pass_periods(network, 4)
        before = max(max(numbers(authority)) for authority in network.authorities)
        for authority in network.authorities:
            authority.start()
        network.processes.wait_for(
            lambda: all(max(numbers(authority)) > before for authority in network.authorities),
            timeout_s=15,
            what="a document after the outage",
        )

        assert 1 == len({max(numbers(authority)) for authority in network.authorities})


def run(*arguments: object) -> None:
    command = [sys.executable, "-m", "relay", "authority", *map(str, arguments)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)


def succeed(network: LocalNetwork, newcomer: LocalAuthority) -> None:
    """The last authority makes way for the newcomer; the others sign."""
    folder, staying = network.folder, network.authorities[:-1]
    cards = [one.folder / "card.json" for one in (*staying, newcomer)]
    root, after = network.trust_root_file, folder / "next.json"
    run("succeed", "propose", root, *cards, "--threshold", network.threshold, "--output", after)
    signed = [folder / f"signed-{one.number}" for one in staying]
    for one, output in zip(staying, signed, strict=True):
        run("succeed", "sign", root, after, "--state", one.folder / "state", "--output", output)
    run("succeed", "join", root, *signed)
    for one in (*staying, newcomer):
        shutil.copyfile(folder / "network.succession-2", one.folder / "network.succession-2")
    shutil.copyfile(root, newcomer.folder / "network.json")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_an_authority_is_succeeded_and_clients_keep_their_trust_root() -> None:
    with LocalNetwork(relays=3, authorities=4, authority_period_s=PERIOD_S, website=False) as network:
        newcomer = network.found_authority()
        succeed(network, newcomer)
        network.authorities[-1].stop()
        newcomer.restart()
        for authority in network.authorities[:-1]:
            authority.stop()
            authority.restart()
        pass_periods(network, 3)

        async def fetch() -> int:
            async with Client(network.trust_root_file) as client:
                return client.directory.document.root_version

        assert 2 == anyio.run(fetch, backend="trio")
        assert numbers(newcomer)
