"""Relays that serve Session's clients beside their own: a native client and a plain one on the same network."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from nacl.signing import SigningKey

from onionpath.client.client import Client
from onionpath.directory.directory import Directory
from onionpath.service.calls import ServiceId
from onionpath.swarm.nodes import session_nodes
from simulations.local.network import LocalNetwork
from tests.processes.plain_session import (
    Answer,
    Node,
    Sealed,
    Server,
    call,
    call_server,
    framing,
    nodes_of_seed,
    request,
    seal,
    wrap,
)

pytestmark = pytest.mark.processes

UNREADABLE = Answer(400, "text/plain", b"Invalid ciphertext")
INFO: dict[str, object] = {"method": "info", "params": {}}


@pytest.fixture(scope="module")
def network() -> Iterator[LocalNetwork]:
    settings = {"session.seed": True, "storage.enabled": True}
    with LocalNetwork(relays=5, website=False, session=True, relay_settings=settings) as network:
        yield network


@pytest.fixture(scope="module")
def directory(network: LocalNetwork) -> Directory:
    async def fetch() -> Directory:
        async with Client(network.trust_root_file) as client:
            return client.directory

    return anyio.run(fetch, backend="trio")


@pytest.fixture(scope="module")
def nodes(directory: Directory) -> list[Node]:
    seed = session_nodes(directory)[0]
    nodes = nodes_of_seed(seed.host, seed.https_port)
    wait_until_ready(nodes)
    return nodes


def wait_until_ready(nodes: list[Node]) -> None:
    """They answer once they have followed a document."""
    deadline = time.monotonic() + 30
    while {call([], node, INFO, "aes-gcm")[0] for node in nodes} != {200}:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def node_list(directory: Directory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a program that uses onionpath is given: the seed's list, with the certificates that it pins."""
    seed = session_nodes(directory)[0]
    params = {"fields": ["all", "certificate_hash"]}
    asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "get_n_service_nodes", "params": params})
    file = tmp_path_factory.mktemp("session") / "nodes.json"
    file.write_bytes(request(seed.host, seed.https_port, "/json_rpc", asked.encode()).body)
    return file


def test_a_seed_lists_all_relays(network: LocalNetwork, nodes: list[Node]) -> None:
    assert {relay.relay_id.hex() for relay in network.relays} == {node.ed25519 for node in nodes}


def test_descriptors_tell_of_the_door_and_not_of_services_for_relays_only(directory: Directory) -> None:
    descriptors = [relay.descriptor for relay in directory.relays.values()]

    assert all(each.session is not None for each in descriptors)
    services = (ServiceId.ECHO, ServiceId.DIRECTORY, ServiceId.STREAM, ServiceId.STORAGE)
    assert {services} == {each.services for each in descriptors}


@pytest.mark.parametrize("cipher", ["aes-gcm", "xchacha20"])
def test_a_plain_client_reaches_a_node_over_three_others(nodes: list[Node], cipher: str) -> None:
    status, info = call(nodes[:3], nodes[3], INFO, cipher)

    assert 200 == status
    assert [2, 8, 0] == info["version"]
    assert [19, 4] == info["hf"]


def test_what_a_node_does_not_know_it_says_inside_of_the_seal(nodes: list[Node]) -> None:
    assert (400, "no method nope") == call(nodes[:3], nodes[3], {"method": "nope", "params": {}}, "xchacha20")


@pytest.mark.parametrize("cipher", ["aes-gcm", "xchacha20"])
def test_a_plain_client_puts_a_file_over_three_nodes_and_gets_it_again(
    network: LocalNetwork, nodes: list[Node], cipher: str
) -> None:
    """200 kB go over the links in parts."""
    found, content = network.file_server, bytes(range(256)) * 800
    server = Server(found.host, found.port, found.key.encoded)

    code, kept = call_server(nodes[:3], server, "POST", "/file", content, cipher)
    assert 200 == code
    url = f"/file/{json.loads(kept)['id']}"
    assert (200, content) == call_server(nodes[1:4], server, "GET", url, None, cipher)


def test_a_message_that_was_stored_over_one_path_is_retrieved_over_another(nodes: list[Node]) -> None:
    owner = SigningKey(bytes(range(32)))
    account = "05" + owner.to_curve25519_private_key().public_key.encode().hex()
    now_ms = int(time.time() * 1000)
    text = base64.b64encode(b"hello").decode()
    letter = {"pubkey": account, "timestamp": now_ms, "ttl": 86_400_000, "data": text}
    signed = owner.sign(f"retrieve{now_ms}".encode()).signature
    asked = {
        "pubkey": account,
        "pubkey_ed25519": owner.verify_key.encode().hex(),
        "timestamp": now_ms,
        "signature": base64.b64encode(signed).decode(),
    }

    stored = storage_call(nodes[:3], nodes[3], {"method": "store", "params": letter})
    found = storage_call(nodes[2:5], nodes[0], {"method": "retrieve", "params": asked})

    assert [(stored["hash"], text)] == [(each["hash"], each["data"]) for each in found["messages"]]


def storage_call(path: list[Node], node: Node, body: dict[str, object]) -> dict[str, Any]:
    """Ask again while the node has not heard from its swarm what it must know first."""
    deadline = time.monotonic() + 30
    while (replied := call(path, node, body, "xchacha20"))[0] == 503 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert 200 == replied[0], replied
    found: dict[str, Any] = replied[1]
    return found


async def test_three_kinds_of_clients_go_over_the_same_relays_at_the_same_time(
    network: LocalNetwork, nodes: list[Node], node_list: Path
) -> None:
    async with (
        Client(network.trust_root_file) as native,
        Client(node_list, format="session") as ours,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(4):
            tasks.start_soon(anyio.to_thread.run_sync, call, nodes[:3], nodes[3], INFO, "aes-gcm")
        replied = await ours.call(ServiceId.STORAGE, json.dumps(INFO).encode(), to=ours.nodes[4])
        echoed = await native.call(ServiceId.ECHO, b"hello")

    assert b"hello" == echoed.body
    assert [2, 8, 0] == json.loads(replied.body)["version"]


def test_a_relay_that_was_killed_still_refuses_what_it_saw(network: LocalNetwork, nodes: list[Node]) -> None:
    guard, relay = nodes[0], network.relay(bytes.fromhex(nodes[0].ed25519))
    packet = onion_to(guard)
    assert 200 == post(guard, packet).status
    assert UNREADABLE == post(guard, packet)

    relay.kill()
    relay.restart()

    assert UNREADABLE == post(guard, packet)
    assert 200 == post(guard, onion_to(guard)).status


def test_a_node_behind_the_guard_that_nobody_knows_is_named(nodes: list[Node]) -> None:
    stranger = Node("127.0.0.1", 1, SigningKey(bytes(32)).verify_key.encode().hex(), nodes[0].x25519)
    answer = post(nodes[0], wrap(layer_for(stranger), stranger, nodes[:1]))

    assert (502, f"Next node not found: {stranger.ed25519}") == (answer.status, answer.body.decode())


def onion_to(node: Node) -> bytes:
    return wrap(layer_for(node), node, [])


def layer_for(node: Node) -> Sealed:
    return seal(framing(json.dumps(INFO).encode(), {"headers": ""}), node.x25519, "xchacha20")


def post(node: Node, packet: bytes) -> Answer:
    return request(node.host, node.port, "/onion_req/v2", packet)
