"""Real relays that log all they can, and a client made of canaries: nothing of him is ever written down."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest

from onionpath.client.client import Client
from onionpath.directory.directory import Directory
from onionpath.link.frames import CallBody, Kind, encode_call, encode_frame
from onionpath.onion.geometry import SizeClass
from onionpath.onion.packets import Answer, OnionCall
from onionpath.onion.statuses import Reason
from onionpath.service.calls import ServiceId
from onionpath.service.stream import RequestFlags, StreamRequest
from relay.keys import PACKET_KEY_SUFFIX
from relay.replay_files import STATE_NAME
from relay.state_folder import IDENTITY_NAME, LINK_KEY_NAME, PACKET_KEYS_NAME, REPLAY_NAME
from simulations.local.network import LocalNetwork, LocalRelay
from tests.leaks.canaries import hits, hits_in, spellings
from tests.leaks.driving import BODY, FORBIDDEN, GARBAGE, HOST, SOURCE, URL_PATH, Somebody

pytestmark = pytest.mark.processes

LOUD = {"log.level": "debug", "limits.frame_s": 1.0, "limits.handshake_s": 1.0}


class Driven(NamedTuple):
    """What is left of a network after all that happened in it."""

    folder: Path
    somebody: dict[str, bytes]
    keys: dict[str, bytes]
    logs: list[str]
    outcomes: dict[str, object]


def key_files(folder: Path) -> list[Path]:
    """The files that are there to keep a secret."""
    names = (
        IDENTITY_NAME,
        LINK_KEY_NAME,
        f"{PACKET_KEYS_NAME}/*{PACKET_KEY_SUFFIX}",
        f"{REPLAY_NAME}/{STATE_NAME}",
    )
    return sorted(file for name in names for file in folder.rglob(name))


def keys_in(folder: Path) -> dict[str, bytes]:
    """Every secret in them: seeds, tag keys, and the inner lines of private keys."""
    found = {}
    for file in key_files(folder):
        name, text = str(file.relative_to(folder)), file.read_text()
        if file.name == STATE_NAME:
            found[name] = bytes.fromhex(text.partition('"tag_key":"')[2][:64])
        elif file.name == LINK_KEY_NAME:
            found[name] = text.splitlines()[2].encode()
        else:
            found[name] = bytes.fromhex(text.splitlines()[1])
    return found


def fetch_directory(network: LocalNetwork) -> Directory:
    async def fetch() -> Directory:
        async with Client(network.trust_root_file) as client:
            await client.call(ServiceId.ECHO, BODY)
            return client.directory

    return anyio.run(fetch, backend="trio")


def carry(somebody: Somebody, path: list[LocalRelay]) -> dict[str, object]:
    """What goes well, and what is refused politely."""
    outcomes: dict[str, object] = {}
    answer = somebody.ask(path, ServiceId.ECHO, BODY)
    outcomes["echo"] = isinstance(answer, Answer) and answer.body
    outcomes["unknown service"] = somebody.ask(path, 99, BODY)
    outcomes["bad stream"] = somebody.ask(path, ServiceId.STREAM, BODY)
    outcomes["bad directory call"] = somebody.ask(path, ServiceId.DIRECTORY, BODY)
    for name, host, port in (("name", HOST, 443), ("forbidden", FORBIDDEN, 443), ("closed", b"127.0.0.1", 1)):
        _, outcomes[name] = somebody.open_stream(path, host, port)
    outcomes["page"] = visit(somebody, path)
    return outcomes


def visit(somebody: Somebody, path: list[LocalRelay]) -> bytes:
    """A page over a stream; gives what its server received."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        token, refused = somebody.open_stream(path, b"127.0.0.1", server.getsockname()[1])
        assert refused is None
        request = StreamRequest(token=token, data=b"GET " + URL_PATH + b" HTTP/1.1\r\n\r\n" + BODY)
        assert isinstance(somebody.ask(path, ServiceId.STREAM, request.encode()), Answer)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(10)
            received = connection.recv(4096)
            connection.sendall(BODY)
        close = StreamRequest(token=token, flags=RequestFlags.CLOSE)
        somebody.ask(path, ServiceId.STREAM, close.encode())
        return received


def misbehave(somebody: Somebody, path: list[LocalRelay], directory: Directory) -> dict[str, object]:
    """What no honest client sends, each with canaries in it."""
    outcomes: dict[str, object] = {}
    geometry, first = directory.document.parameters.geometry, path[0]
    sealed = somebody.seal(path, OnionCall(ServiceId.ECHO, BODY, somebody.draw(16)))
    for name in ("first time", "replayed"):
        with somebody.link(first) as link:
            outcomes[name] = somebody.send(link, sealed)
    for name, frame in {
        "frame unknown": GARBAGE * 200,
        "call unreadable": encode_frame(geometry, Kind.CALL, GARBAGE),
        "half a frame": sealed.frame[:3000] + GARBAGE,
    }.items():
        with somebody.link(first) as link:
            link.send(frame)
            outcomes[name] = link.is_closed_by_relay()
    layer = (GARBAGE * 300)[: geometry.request_layer_size(SizeClass.SMALL, 0)]
    head = sealed.frame[:16]
    with somebody.link(first) as link:
        link.send(head + layer)
        outcomes["layer unreadable"] = link.next_frame().kind
    with somebody.link(first) as link:
        call = CallBody(ServiceId.DIRECTORY, SizeClass.SMALL, GARBAGE)
        link.send(encode_frame(geometry, Kind.CALL, encode_call(call)))
        outcomes["directory call unreadable"] = link.next_frame().kind
    for said in (GARBAGE, b""):
        with socket.socket() as plain:
            plain.settimeout(10)
            plain.bind((SOURCE, 0))
            plain.connect(tuple(first.endpoint))
            plain.sendall(said)
            try:
                while plain.recv(4096):
                    pass
            except ConnectionError:
                pass  # closed all the same
    return outcomes


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Driven:
    folder = tmp_path_factory.mktemp("leaks") / "network"
    with LocalNetwork(folder, relays=3, website=False, relay_settings=LOUD) as network:
        directory = fetch_directory(network)
        somebody, path = Somebody(network, directory), list(network.relays)
        outcomes = carry(somebody, path) | misbehave(somebody, path, directory)
        path[1].kill()
        lost = somebody.ask(path, ServiceId.ECHO, BODY)
        outcomes["hop killed"] = isinstance(lost, Answer) and lost.head.reason
        path[1].restart()
        for relay in path:
            relay.statistics()
        keys = keys_in(folder)
        for relay in path:
            relay.stop()
    return Driven(folder, somebody.canaries, keys, [relay.log() for relay in path], outcomes)


def test_what_should_have_happened_did(driven: Driven) -> None:
    """Otherwise nothing was there to be written down."""
    outcomes = driven.outcomes

    assert BODY == outcomes["echo"]
    reasons = (outcomes["name"], outcomes["forbidden"], outcomes["closed"])
    assert (Reason.NAME_NOT_FOUND, Reason.ADDRESS_FORBIDDEN, Reason.CONNECTION_REFUSED) == reasons
    assert URL_PATH in bytes(outcomes["page"])  # type: ignore[call-overload]
    assert Kind.REJECT is outcomes["replayed"]
    assert Kind.REJECT is outcomes["layer unreadable"]
    assert outcomes["frame unknown"] is outcomes["call unreadable"] is outcomes["half a frame"] is True
    assert outcomes["hop killed"] in (Reason.NEXT_CLOSED, Reason.NEXT_UNREACHABLE)
    assert all('"statistics"' in log and '"draining"' in log for log in driven.logs)
    assert not any("Traceback" in log for log in driven.logs)


def test_the_search_finds_a_canary_in_every_spelling() -> None:
    value = bytes(range(60, 92))
    for how, spelt in spellings(value).items():
        assert f"it ({how})" in hits(b"begin " + spelt + b"\0" * 200 + b"end", {"it": value})


def test_nothing_of_a_client_stands_in_any_file(driven: Driven) -> None:
    files = [file for file in driven.folder.rglob("*") if file.is_file()]

    assert len(files) > 20
    assert [] == hits_in(files, driven.somebody)


def test_nothing_of_a_key_stands_outside_of_the_key_files(driven: Driven) -> None:
    kept = key_files(driven.folder)
    others = [file for file in driven.folder.rglob("*") if file.is_file() and file not in kept]

    assert len(driven.keys) >= 4 * 2 + 3 * 3
    assert [] == hits_in(others, driven.keys)


def test_keys_stand_in_their_own_file_alone(driven: Driven) -> None:
    for file in key_files(driven.folder):
        others = {
            name: key for name, key in driven.keys.items() if name != str(file.relative_to(driven.folder))
        }
        assert [] == hits_in([file], others)
