"""A local network for Session's clients, as others' programs meet it: over HTTP, whatever the certificate."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from onionpath.swarm.node_list import parse_nodes
from simulations.local.network import LocalNetwork
from simulations.local.usage import facts, usage
from tests.processes.plain_session import request

pytestmark = pytest.mark.processes

# As Session Desktop asks for the list, and whether a node is fit for a guard.
LIST = {
    "jsonrpc": "2.0",
    "method": "get_n_service_nodes",
    "params": {
        "active_only": True,
        "fields": {
            "public_ip": True,
            "storage_port": True,
            "pubkey_x25519": True,
            "pubkey_ed25519": True,
            "storage_server_version": True,
        },
    },
}
GUARD_TEST = {"jsonrpc": "2.0", "method": "get_swarm", "params": {"pubkey": "05" + "5a" * 32}}


@pytest.fixture(scope="module")
def network() -> Iterator[LocalNetwork]:
    with LocalNetwork(relays=10, website=False, session=True, storage=True) as network:
        yield network


def ask_plainly(url: str, target: str, question: object) -> tuple[int, str | None, bytes]:
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=20)
    try:
        connection.request("POST", target, json.dumps(question), {"User-Agent": "WhatsApp"})
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"], response.read()
    finally:
        connection.close()


def test_the_seed_without_tls_lists_every_relay(network: LocalNetwork) -> None:
    status, media_type, body = ask_plainly(network.seed_url, "/json_rpc", LIST)

    assert (200, "application/json") == (status, media_type)
    states = json.loads(body)["result"]["service_node_states"]
    assert {relay.relay_id.hex() for relay in network.relays} == {state["pubkey_ed25519"] for state in states}
    assert all(state["storage_server_version"] == [2, 8, 0] for state in states)


def test_the_seed_without_tls_asks_another_relay_when_one_is_gone(network: LocalNetwork) -> None:
    network.relays[0].kill()
    try:
        assert 200 == ask_plainly(network.seed_url, "/json_rpc", LIST)[0]
    finally:
        network.relays[0].restart()


def test_the_seed_without_tls_answers_nothing_else(network: LocalNetwork) -> None:
    assert 404 == ask_plainly(network.seed_url, "/storage_rpc/v1", GUARD_TEST)[0]
    assert 413 == ask_plainly(network.seed_url, "/json_rpc", "x" * 100_000)[0]


def test_every_relay_passes_desktops_test_of_a_guard(network: LocalNetwork) -> None:
    text = json.dumps(GUARD_TEST).encode()
    answers = [request(node.host, node.https_port, "/storage_rpc/v1", text) for node in network.nodes]

    assert [200] * 10 == [answer.status for answer in answers]
    assert {5} == {len(json.loads(answer.body)["snodes"]) for answer in answers}


def test_the_file_of_nodes_has_their_certificates_and_two_swarms(network: LocalNetwork) -> None:
    nodes = parse_nodes(network.nodes_file.read_bytes()).nodes

    assert {relay.relay_id for relay in network.relays} == {node.relay_id for node in nodes}
    assert [5, 5] == list(Counter(node.swarm for node in nodes).values())
    assert all(node.certificate_hash for node in nodes)


def test_people_and_programs_are_told_the_same(network: LocalNetwork) -> None:
    told = facts(network)["session"]
    assert isinstance(told, dict)
    text = usage(network)

    assert [network.seed_url, str(network.nodes_file)] == [told["plain_seed"], told["nodes"]]
    assert {relay.name for relay in network.relays} == {
        name for names in told["swarms"].values() for name in names
    }
    for shown in (told["plain_seed"], told["nodes"], told["seeds"][0], *told["file_server"].values()):
        assert shown in text
    for names in told["swarms"].values():
        assert ", ".join(names) in text
