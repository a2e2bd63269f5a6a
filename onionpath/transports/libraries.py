"""httpx and httpx2: the same names in two modules, whose classes do not know each other.

Each has its own requests, responses and exceptions, so what a program is given must be made from the module of the
request that it sent. A global import would not do: ``httpx2.alias_httpx()`` may have put one in the other's place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from onionpath.errors import UsageError


@dataclass(frozen=True, slots=True)
class Library:
    """One of the two.

    Args:
        http: the module that programs use.
        core: the one below it, which speaks HTTP over a network that it is given.
        async_body, sync_body: make the stream of a response from something to iterate and a way to close it.
    """

    http: Any
    core: Any
    async_body: Callable[[AsyncIterator[bytes], Callable[[], Any]], Any]
    sync_body: Callable[[Iterator[bytes], Callable[[], Any]], Any]


def library_of(request: object) -> Library:
    """The library whose request this is, or is derived from.

    Raises:
        UsageError: it is of neither.
    """
    for each in type(request).__mro__:
        module = each.__module__.partition(".")[0]
        if module == "httpx":
            return _httpx()
        if module == "httpx2":
            return _httpx2()
    raise UsageError(f"{type(request).__name__} is no request of httpx or httpx2")


@cache
def _httpx() -> Library:
    import httpcore
    import httpx

    return _library(httpx, httpcore)


@cache
def _httpx2() -> Library:
    import httpcore2
    import httpx2

    return _library(httpx2, httpcore2)


def _library(http: Any, core: Any) -> Library:
    # Both libraries check that a body is an instance of their own class.
    class AsyncBody(http.AsyncByteStream):  # type: ignore[misc]  # known when this runs
        def __init__(self, parts: AsyncIterator[bytes], close: Callable[[], Any]) -> None:
            self._parts, self._close = parts, close

        def __aiter__(self) -> AsyncIterator[bytes]:
            return self._parts

        async def aclose(self) -> None:
            await self._close()

    class SyncBody(http.SyncByteStream):  # type: ignore[misc]  # likewise
        def __init__(self, parts: Iterator[bytes], close: Callable[[], Any]) -> None:
            self._parts, self._close = parts, close

        def __iter__(self) -> Iterator[bytes]:
            return self._parts

        def close(self) -> None:
            self._close()

    return Library(http, core, AsyncBody, SyncBody)
