"""One way to use a client of httpx or httpx2, with and without an event loop, so that each test is written once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import httpcore
import httpcore2
import httpx
import httpx2
from anyio.from_thread import BlockingPortal, start_blocking_portal

import onionpath
import onionpath.httpx2
from onionpath.client.client import Client


class Kind(NamedTuple):
    """A library, and where it runs: a backend of anyio, or "sync"."""

    http: ModuleType
    runs_on: str

    @property
    def core(self) -> ModuleType:
        """The library below."""
        return httpcore if self.http is httpx else httpcore2

    @property
    def names(self) -> Any:
        """Where its users find our transports."""
        return onionpath if self.http is httpx else onionpath.httpx2

    def __str__(self) -> str:
        return f"{self.http.__name__}-{self.runs_on}"


KINDS = [Kind(http, runs_on) for http in (httpx, httpx2) for runs_on in ("asyncio", "trio", "sync")]


class Browser(Protocol):
    """What the tests do with each of them."""

    def request(self, method: str, url: str, **options: Any) -> Any: ...

    def upload(self, url: str, parts: Iterable[bytes], **options: Any) -> Any: ...

    def stream(self, method: str, url: str, **options: Any) -> AbstractContextManager[Any]: ...

    def read(self, response: Any) -> Iterator[bytes]: ...

    def websocket(self, url: str) -> AbstractContextManager[Any]: ...

    def events(self, url: str) -> list[Any]: ...

    def use(self, work: Any, *arguments: Any) -> Any: ...


class SyncBrowser:
    """Over a ``Client``."""

    def __init__(self, http: Any) -> None:
        self.http = http
        self.request = http.request
        self.stream = http.stream
        self.websocket = getattr(http, "websocket", None)

    def upload(self, url: str, parts: Iterable[bytes], **options: Any) -> Any:
        return self.http.post(url, content=iter(parts), **options)

    def read(self, response: Any) -> Iterator[bytes]:
        return iter(response.iter_raw())

    def events(self, url: str) -> list[Any]:
        with self.http.sse(url) as events:
            return list(events)

    def use(self, work: Any, *arguments: Any) -> Any:
        return work(*arguments)


class AsyncBrowser:
    """Over an ``AsyncClient`` that lives behind a portal."""

    def __init__(self, http: Any, portal: BlockingPortal) -> None:
        self.http, self.portal = http, portal

    def request(self, method: str, url: str, **options: Any) -> Any:
        return self.portal.call(partial(self.http.request, method, url, **options))

    def upload(self, url: str, parts: Iterable[bytes], **options: Any) -> Any:
        async def content() -> AsyncIterator[bytes]:
            for part in parts:
                yield part

        return self.portal.call(partial(self.http.post, url, content=content(), **options))

    def stream(self, method: str, url: str, **options: Any) -> AbstractContextManager[Any]:
        return self.portal.wrap_async_context_manager(self.http.stream(method, url, **options))

    def read(self, response: Any) -> Iterator[bytes]:
        parts = response.aiter_raw()
        while (part := self.portal.call(anext, parts, None)) is not None:
            yield part

    @contextmanager
    def websocket(self, url: str) -> Iterator[Any]:
        with self.portal.wrap_async_context_manager(self.http.websocket(url)) as session:
            yield session

    def events(self, url: str) -> list[Any]:
        async def collect() -> list[Any]:
            async with self.http.sse(url) as events:
                return [event async for event in events]

        return self.portal.call(collect)

    def use(self, work: Any, *arguments: Any) -> Any:
        return self.portal.call(partial(work, *arguments))


@contextmanager
def browser(
    kind: Kind, client: Client, transport: dict[str, Any], **options: Any
) -> Iterator[SyncBrowser | AsyncBrowser]:
    """A browser of this kind over a new client.

    Args:
        transport: options of the transport; all others are the library's client's.
    """
    with ExitStack() as stack:
        if kind.runs_on == "sync":
            over = kind.names.SyncOnionTransport(client, **transport)
            yield SyncBrowser(stack.enter_context(kind.http.Client(transport=over, **options)))
            return
        portal = stack.enter_context(start_blocking_portal(kind.runs_on))
        stack.enter_context(portal.wrap_async_context_manager(client))
        over = kind.names.OnionTransport(client, **transport)
        http = kind.http.AsyncClient(transport=over, **options)
        stack.enter_context(portal.wrap_async_context_manager(http))
        yield AsyncBrowser(http, portal)
