"""Failures on their way up: ours, then httpcore's, then httpx's, with ours as the cause in the end.

httpcore must see its own classes, or it would keep a broken connection in its pool. The program must see httpx's, or
its ``except`` clauses would not work. What really happened is always ``__cause__``, and the message names the edge.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio

from onionpath.errors import DeadlineError, Edge, OnionPathError, UnreachableError
from onionpath.transports.libraries import Library

_OURS = (OnionPathError, ssl.SSLError)
_BROKEN = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


@contextmanager
def as_core_errors(error: type[Exception], timeout: type[Exception]) -> Iterator[None]:
    """Raise httpcore's class for what goes wrong inside.

    Args:
        error, timeout: of httpcore; the second for a deadline that passed.
    """
    try:
        yield
    except (*_OURS, *_BROKEN) as failure:
        reason = _reason(failure)
        kind = timeout if isinstance(reason, DeadlineError) else error
        raise kind(_words(reason)) from reason


@contextmanager
def deadline(timeout_s: float | None, timeout: type[Exception]) -> Iterator[None]:
    """Raise this class if what is inside takes longer; None sets no limit, as httpx has it."""
    try:
        with anyio.fail_after(timeout_s):
            yield
    except TimeoutError as failure:
        raise timeout(f"nothing happened for {timeout_s} s") from failure


@contextmanager
def as_http_errors(library: Library, request: Any) -> Iterator[None]:
    """Raise the library's exception for httpcore's of the same name; all others are the program's own."""
    try:
        yield
    except Exception as failure:
        twin = _twin(library, failure)
        if twin is None:
            raise
        raise twin(str(failure), request=request) from _reason(failure)


def _twin(library: Library, failure: Exception) -> Any:
    for each in type(failure).__mro__:
        if getattr(library.core, each.__name__, None) is each:
            twin = getattr(library.http, each.__name__, None)
            if twin is not None and issubclass(twin, library.http.TransportError):
                return twin
    return None


def _reason(failure: BaseException) -> BaseException:
    """Our error below a failure; httpcore raises again with ``from None``, which leaves it as context only."""
    found: BaseException | None = failure
    while found is not None and not isinstance(found, _OURS):
        found = found.__cause__ or found.__context__
    return found or failure


def _words(reason: BaseException) -> str:
    """One line that says what, and between whom if that is known."""
    text = str(reason) or _WITHOUT_WORDS.get(type(reason), type(reason).__name__)
    edge = _edge(reason)
    return text if edge is None or str(edge) in text else f"{text} ({edge})"


_WITHOUT_WORDS: dict[type[BaseException], str] = {
    anyio.EndOfStream: "the website closed the connection",
    anyio.ClosedResourceError: "the connection was closed here",
}


def _edge(reason: BaseException | None) -> Edge | None:
    while reason is not None:
        if isinstance(reason, UnreachableError) and reason.edge is not None:
            return reason.edge
        reason = reason.__cause__
    return None
