"""What the relay says on standard error: one event per line, nothing about anybody's traffic.

Four rules stand here rather than in every place that logs: fields that could name a client, a destination or
a path are withheld at every level; an exception is told by its type and by the place in our own code, never
by its arguments; no traceback is printed, because tracebacks show values, and values may be keys; and objects are
told as they tell themselves, bytes by their length alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import msgspec
import structlog

Event = MutableMapping[str, Any]

WITHHELD = frozenset(
    {
        "account",
        "address",
        "body",
        "caller",
        "client",
        "destination",
        "exchange_id",
        "guard",
        "host",
        "hops",
        "packet",
        "path",
        "payload",
        "peer_address",
        "port",
        "remote",
        "seed",
        "source",
        "token",
        "url",
    }
)
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_OUR_ROOT = Path(__file__).parents[1]
_OUR_PACKAGES = ("relay", "onionpath")


def configure_logs(level: str, form: str, *, stream: TextIO | None = None) -> None:
    """Set up structlog for this process.

    Args:
        level: debug, info, warning or error.
        form: ``text`` for people, ``json`` for collectors.
        stream: standard error unless given.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            withhold,
            tell_exception,
            make_plain,
            as_json if form == "json" else as_text,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(stream if stream is not None else sys.stderr),
        # A logger keeps what it was configured with first, and tests configure more than once.
        cache_logger_on_first_use=False,
    )


def withhold(logger: object, method: str, event: Event) -> Event:
    """Replace what could name somebody's traffic; the field's name stays, so that the mistake is seen."""
    for name in WITHHELD & event.keys():
        event[name] = "withheld"
    return event


def tell_exception(logger: object, method: str, event: Event) -> Event:
    """``exc_info`` becomes ``errors``: for each exception its type and our innermost line."""
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["errors"] = describe_error(error)
    return event


def make_plain(logger: object, method: str, event: Event) -> Event:
    """Reduce each value to text and numbers, so that no encoder looks inside of an object that keeps a secret."""
    return {name: _plain(value) for name, value in event.items()}


def _plain(value: object) -> object:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes() | bytearray() | memoryview():
            # No fact that an operator needs is bytes; keys, tokens and bodies are.
            return f"{len(value)} bytes"
        case Mapping():
            return {str(key): "withheld" if key in WITHHELD else _plain(each) for key, each in value.items()}
    # A named tuple may have a repr that hides what it holds, so only a bare one is taken apart.
    if type(value) in (list, tuple, set, frozenset):
        return [_plain(each) for each in value]  # type: ignore[attr-defined]
    return str(value)


def describe_error(error: BaseException) -> str:
    """Types and places of an exception, or of the leaves of a group; never its text."""
    return ", ".join(f"{type(leaf).__name__} at {_place(leaf.__traceback__)}" for leaf in leaves(error))


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions inside of a group, or the exception itself."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error


def _place(traceback: TracebackType | None) -> str:
    place = "an unknown place"
    while traceback is not None:
        code, line = traceback.tb_frame.f_code, traceback.tb_lineno
        file = Path(code.co_filename)
        # Beside us may lie everybody else's packages, so the place's folder counts, too.
        if file.is_relative_to(_OUR_ROOT) and file.relative_to(_OUR_ROOT).parts[0] in _OUR_PACKAGES:
            place = f"{file.relative_to(_OUR_ROOT)}:{line} {code.co_name}"
        traceback = traceback.tb_next
    return place


def as_json(logger: object, method: str, event: Event) -> str:
    """One JSON object with ``event``, ``level`` and ``timestamp``."""
    return msgspec.json.encode(dict(event), enc_hook=str).decode()


def as_text(logger: object, method: str, event: Event) -> str:
    """``TIME LEVEL event key=value …`` in one line, whatever the values hold."""
    fields = dict(event)
    head = f"{fields.pop('timestamp')} {fields.pop('level'):7} {fields.pop('event')}"
    # repr keeps line breaks and control characters of values from making lines of their own.
    return " ".join([head, *(f"{name}={_shown(value)}" for name, value in fields.items())])


def _shown(value: object) -> str:
    text = str(value)
    return text if text.isascii() and text.isprintable() and " " not in text else repr(text)
