"""A client whose streams can be counted afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from onionpath.client.client import Client
from onionpath.client.stream import OnionStream
from onionpath.transports.for_httpx import OnionTransport
from simulations.local.network import LocalNetwork, LocalRelay


class CountingClient(Client):
    """Keeps the streams that it opened."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.opened: list[OnionStream] = []

    async def open_stream(self, *args: Any, **options: Any) -> OnionStream:
        stream = await super().open_stream(*args, **options)
        self.opened.append(stream)
        return stream

    @property
    def continuations(self) -> list[int]:
        """How often each stream moved to another path."""
        return [stream.continuations for stream in self.opened]


@asynccontextmanager
async def browsing(
    network: LocalNetwork, *, timeout_s: float = 30.0
) -> AsyncIterator[tuple[CountingClient, httpx.AsyncClient]]:
    """A client and an HTTP client over it that trusts the website's authority."""
    client = CountingClient(network.trust_root_file)
    async with client:
        transport = OnionTransport(client, verify=network.website.tls())
        async with httpx.AsyncClient(transport=transport, timeout=timeout_s) as http:
            yield client, http


def path_of(network: LocalNetwork, response: httpx.Response) -> list[LocalRelay]:
    """The relays that a response came through."""
    return [network.relay(bytes.fromhex(each)) for each in response.extensions["onionpath"]["path"]]
