"""Relays whose files run out: what is divided beforehand, and what happens all the same."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from onionpath.errors import SettingsError
from onionpath.link.tls import client_context
from onionpath.service.registry import Registry
from relay.links import Links, connect
from relay.listener import Gate, GateLimits, accept_forever, bind
from relay.open_files import LEAST, MOST, RESERVE, share
from tests.relay.nodes import Node, clock, until, with_deadline


@contextmanager
def no_file_left() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@given(st.integers(LEAST, 2**20), st.booleans(), st.booleans())
def test_all_shares_together_leave_files_for_the_relay_itself(
    limit: int, is_exit: bool, serves_session: bool
) -> None:
    shares = share(limit, is_exit=is_exit, serves_session=serves_session)
    total = shares.accepted + shares.dialled + shares.streams + 2 * shares.session

    assert total == min(MOST, limit * 8 // 10) - RESERVE
    assert min(shares.accepted, shares.dialled) > 10
    assert is_exit == (shares.streams > 0)
    assert serves_session == (shares.session > 0)


def test_too_few_files_are_an_error_that_says_how_many_there_should_be() -> None:
    with pytest.raises(SettingsError, match=str(LEAST)):
        share(LEAST - 1, is_exit=False)


async def test_a_dial_without_a_file_for_it_failed_and_raises_nothing(tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    with no_file_left():
        assert await connect(node.neighbour) is None
    node.close()


async def test_a_relay_that_may_dial_no_more_says_so_and_lives(tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    async with trio.open_nursery() as nursery:
        links = links_of(node, nursery, most_dialled=0)
        links.use_network({node.relay_id: node.neighbour})
        await links._dial(node.relay_id)
    node.close()

    assert {"dials_full": 1} == links.counts()


async def test_a_bug_in_one_connection_ends_that_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **more: object) -> object:
        raise ZeroDivisionError

    node = Node(tmp_path / "node")
    monkeypatch.setattr("relay.links.TlsSession", fail)
    async with trio.open_nursery() as nursery:
        links = links_of(node, nursery)
        links.use_network({node.relay_id: node.neighbour})
        ours, theirs = socket.socketpair()
        with theirs, capture_logs() as logs:
            await links.accepted(ours)
            await links._dial(node.relay_id)
    node.close()

    assert -1 == ours.fileno()
    assert {"bug_accepted": 1, "bug_dialled": 1} == links.counts()
    assert ["ZeroDivisionError"] * 2 == [line["kind"] for line in logs]


def links_of(node: Node, nursery: trio.Nursery, *, most_dialled: int = 10) -> Links:
    return Links(
        node.switch,
        Registry({}, with_deadline),
        nursery,
        server_tls=node.server_tls(),
        client_tls=client_context(),
        clock=clock,
        most_dialled=most_dialled,
    )


async def test_accepting_goes_on_when_files_are_free_again() -> None:
    gate, listener = Gate(GateLimits()), bind("127.0.0.1", 0)
    served = trio.Event()

    async def serve(sock: socket.socket) -> None:
        served.set()

    with socket.create_connection(listener.getsockname()):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: accept_forever(listener, gate, serve, nursery, clock=clock))
            with no_file_left():
                await until(lambda: gate.counts().get("files_full", 0) > 2)
            with trio.fail_after(20):
                await served.wait()
            nursery.cancel_scope.cancel()
    listener.close()
