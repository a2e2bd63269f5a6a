"""A swarm of real processes that stores while any of its members are killed: what it acknowledged is there."""

from __future__ import annotations

import http.client
import json
import os
import random
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from simulations.local.network import LocalNetwork
from simulations.local.nodes import LocalRelay
from simulations.virtual.swarm.accounts import Account

pytestmark = pytest.mark.processes

TTL_MS = 24 * 3600 * 1000
AGREE_S = 60.0


class Clients:
    """Threads that store at a steady rate, each request with any member that runs, and note what was acknowledged."""

    def __init__(self, relays: list[LocalRelay], *, stores_per_second: float, threads: int) -> None:
        self._relays = relays
        self._pause_s = threads / stores_per_second
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE
        self._end = threading.Event()
        self._threads = threads
        self.account = Account(os.urandom)
        self.acknowledged: list[str] = []
        self.asked = 0

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Store meanwhile."""
        with ThreadPoolExecutor(self._threads) as pool:
            running = [pool.submit(self._store_until_end) for _ in range(self._threads)]
            try:
                yield
            finally:
                self._end.set()
            for each in running:
                each.result()

    def hashes_at(self, relay: LocalRelay) -> set[str]:
        """All that one member gives; nothing while it doesn't answer for the account."""
        found: set[str] = set()
        last = None
        while True:
            status, body = self._ask(relay, self.account.retrieve(now_ms=_now_ms(), after=last))
            if status != 200:
                return set()
            answer = json.loads(body)
            found.update(message["hash"] for message in answer["messages"])
            if not answer["more"]:
                return found
            last = answer["messages"][-1]["hash"]

    def _store_until_end(self) -> None:
        while not self._end.wait(random.uniform(0, 2 * self._pause_s)):
            text = self.account.store(os.urandom(64), now_ms=_now_ms(), ttl_ms=TTL_MS)
            self.asked += 1
            try:
                status, body = self._ask(random.choice(self._relays), text)
            except (OSError, http.client.HTTPException):
                continue  # killed before it answered: nobody knows
            if status == 200:
                self.acknowledged.append(json.loads(body)["hash"])

    def _ask(self, relay: LocalRelay, text: bytes) -> tuple[int, bytes]:
        endpoint = relay.session_endpoint
        assert endpoint is not None
        connection = http.client.HTTPSConnection(endpoint.host, endpoint.port, context=self._tls, timeout=15)
        try:
            connection.request("POST", "/storage_rpc/v1", body=text)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def _now_ms() -> int:
    return int(time.time() * 1000)


def wait_until_ready(network: LocalNetwork) -> None:
    """Until each member answers for its accounts."""
    for relay in network.relays:
        network.processes.wait_for(
            relay.answers_for_accounts, timeout_s=AGREE_S, what=f"{relay.name} to answer for its accounts"
        )


def lose_and_restart(network: LocalNetwork, *, at_once: int, times: int, rate: float) -> None:
    clients = Clients(list(network.relays), stores_per_second=rate, threads=8)
    wait_until_ready(network)
    with clients.storing():
        for _ in range(times):
            killed = random.sample(list(network.relays), at_once)
            # These two pauses are what is tested: changes under way are cut anywhere, and go on beside the loss.
            time.sleep(random.uniform(0.05, 0.5))
            for relay in killed:
                relay.kill()
            time.sleep(random.uniform(0.05, 0.5))
            for relay in killed:
                relay.restart()
    assert clients.acknowledged

    held: list[set[str]] = []

    def do_all_agree() -> bool:
        held[:] = [clients.hashes_at(relay) for relay in network.relays]
        return all(each == held[0] for each in held) and held[0] >= set(clients.acknowledged)

    try:
        network.processes.wait_for(do_all_agree, timeout_s=AGREE_S, what="all members to hold the same")
    finally:
        everything = set().union(*held)
        assert set() == set(clients.acknowledged) - everything


def network_of(members: int) -> LocalNetwork:
    settings = {"storage.enabled": True}
    return LocalNetwork(relays=members, website=False, session=True, relay_settings=settings)


def test_what_five_members_acknowledged_survives_any_two_of_them() -> None:
    with network_of(5) as network:
        lose_and_restart(network, at_once=2, times=3, rate=50)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(("members", "at_once"), [(5, 2), (7, 3)])
def test_what_a_swarm_acknowledged_survives_a_hundred_losses(members: int, at_once: int) -> None:
    with network_of(members) as network:
        lose_and_restart(network, at_once=at_once, times=100, rate=200)
