"""Session's file server on this machine, asked through three relay processes by a plain HTTPS client."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator

import httpx
import msgspec
import pytest

from onionpath.onion.session import SessionOnion
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_messages import encode_post
from onionpath.onion.session_packets import ServerCall, SessionHop
from onionpath.onion.session_v4 import V4Request, V4Response
from onionpath.swarm.node_list import parse_nodes
from onionpath.swarm.nodes import SessionNode
from simulations.local.network import LocalNetwork

pytestmark = [pytest.mark.processes, pytest.mark.slow]
ONION = SessionOnion()


@pytest.fixture(scope="module")
def network() -> Iterator[LocalNetwork]:
    with LocalNetwork(relays=3, website=False, session=True) as network:
        yield network


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    """As Session's clients connect: only the layers' keys say who the relays are."""
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    with httpx.Client(verify=unverified, trust_env=False) as http:
        yield http


@pytest.fixture(scope="module")
def nodes(network: LocalNetwork, http: httpx.Client) -> tuple[SessionNode, ...]:
    seed = f"https://{network.relays[0].session_endpoint}/json_rpc"
    question = {"jsonrpc": "2.0", "id": 0, "method": "get_n_service_nodes", "params": {}}
    return parse_nodes(http.post(seed, json=question).content).nodes


def ask(
    http: httpx.Client, network: LocalNetwork, nodes: tuple[SessionNode, ...], request: V4Request
) -> V4Response:
    server = network.file_server
    call = ServerCall(LsrpcServer(server.host, server.port, protocol="http"), server.key, request)
    wrapped = ONION.wrap(
        [SessionHop(each.relay_id, each.session_key) for each in nodes], call, entropy=os.urandom
    )
    url = f"https://{nodes[0].host}:{nodes[0].https_port}/onion_req/v2"
    answer = http.post(url, content=encode_post(wrapped.packet))
    assert 200 == answer.status_code, answer.text
    response = ONION.open_reply(wrapped.opener, answer.content)
    assert isinstance(response, V4Response)
    return response


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_a_file_is_put_and_got_over_three_relays(
    http: httpx.Client, network: LocalNetwork, nodes: tuple[SessionNode, ...], size: int
) -> None:
    body = os.urandom(size)

    put = msgspec.json.decode(ask(http, network, nodes, V4Request("POST", "/file", {}, body)).body)
    got = ask(http, network, nodes, V4Request("GET", f"/file/{put['id']}"))
    gone = ask(http, network, nodes, V4Request("GET", "/file/" + "0" * 32))

    assert (200, body) == (got.status, got.body)
    assert 404 == gone.status
