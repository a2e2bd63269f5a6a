"""Names that hang hold threads for long; they must not stop the names of others."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest
import trio
import trio.testing

from onionpath.service.hosts import DnsName
from relay.exit.resolver import SystemResolver

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 0))]


class HangingNames:
    """A C library that hangs for every name under ``hangs`` until it is told to give up."""

    def __init__(self) -> None:
        self.gives_up = threading.Event()

    def getaddrinfo(self, host: bytes, port: None, **options: object) -> list[object]:
        if host.startswith(b"hangs"):
            self.gives_up.wait(10)
            raise socket.gaierror(socket.EAI_AGAIN, "gave up")
        return list(FOUND)


@contextmanager
def hanging_names() -> Iterator[HangingNames]:
    names = HangingNames()
    with patch("socket.getaddrinfo", names.getaddrinfo):
        try:
            yield names
        finally:
            names.gives_up.set()


async def hang(resolver: SystemResolver, *, caller: int, count: int) -> None:
    """Ask for that many names that hang, and go away."""
    async with trio.open_nursery() as nursery:
        for n in range(count):

            async def ask(n: int = n) -> None:
                await resolver(DnsName(f"hangs{n}.example"), caller=caller)

            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_one_link_fills_a_quarter_of_the_lookups_and_no_more() -> None:
    resolver = SystemResolver(threads=8, environ={})
    with hanging_names():
        await hang(resolver, caller=1, count=2)

        with pytest.raises(TimeoutError):
            await resolver(DnsName("good.example"), caller=1)
        assert 1 == len(await resolver(DnsName("good.example"), caller=2))


async def test_lookups_are_refused_at_once_while_all_hang_and_go_on_when_the_library_gives_up() -> None:
    resolver = SystemResolver(threads=8, environ={})
    with hanging_names() as names:
        for caller in range(4):
            await hang(resolver, caller=caller, count=2)
        with pytest.raises(TimeoutError):
            await resolver(DnsName("good.example"), caller=9)

        names.gives_up.set()
        with trio.fail_after(5):
            while resolver.running:
                await trio.testing.wait_all_tasks_blocked(0.01)
        assert 1 == len(await resolver(DnsName("good.example"), caller=9))


def test_the_library_gives_up_soon_unless_the_operator_says_otherwise() -> None:
    ours: dict[str, str] = {}
    theirs = {"RES_OPTIONS": "timeout:30"}
    SystemResolver(environ=ours)
    SystemResolver(environ=theirs)

    assert {"RES_OPTIONS": "timeout:2 attempts:2"} == ours
    assert {"RES_OPTIONS": "timeout:30"} == theirs
