"""No type that holds a key shows it: found by walking our modules, so that a new type is tested from its first day."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import io
import json
import pickle
import pkgutil
import random
import sys
import traceback
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

import onionpath
import relay
from onionpath.crypto.certificates import LinkCertificate
from onionpath.crypto.keys import SecretBytes
from onionpath.crypto.session_channels import LayerSecret
from onionpath.errors import OnionPathError
from onionpath.onion.geometry import SizeClass
from onionpath.onion.packets import ReplyKey
from onionpath.onion.session_packets import ReplyForm, SessionReplyKey
from relay.logs import configure_logs
from tests.leaks.canaries import hits

CANARY = random.Random(1).randbytes(32)
CANARIES = {"the key": CANARY}

# Raw bytes under these names are a key to something: to a reply, a stream, a link.
KEY_NAMES = frozenset({"idempotency_key", "key_pem", "secret", "seed", "seeds", "tag_key", "token"})
# And these are what somebody says to somebody.
CONTENT_NAMES = frozenset({"body", "data", "host", "message"})
# Unsealed frames between two neighbours: ciphertext of a packet, the directory that everybody may read, or nonces and
# signatures by which they know each other, which are of use over this link only.
NEIGHBOURLY = frozenset({"AnswerBody", "CallBody", "Frame", "Greeting", "Step", "DirectoryReply"})


def our_classes() -> list[type]:
    found = []
    for package in (onionpath, relay):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if info.name.endswith("__main__"):
                continue
            module = importlib.import_module(info.name)
            found += [
                each
                for _, each in inspect.getmembers(module, inspect.isclass)
                if each.__module__ == info.name
            ]
    return found


CLASSES = our_classes()


def fields_of(kind: type) -> dict[str, Any]:
    """What instances show by themselves: the fields of dataclasses, named tuples and structs; none for others."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return {field.name: hints[field.name] for field in dataclasses.fields(kind)}
    if hasattr(kind, "_fields") or issubclass(kind, msgspec.Struct):
        return typing.get_type_hints(kind)
    return {}


def named_in(hint: Any) -> Iterator[type]:
    """The classes that a type hint names, however deep."""
    if inspect.isclass(hint) and not isinstance(hint, types.GenericAlias):
        yield hint
    for inner in typing.get_args(hint):
        yield from named_in(inner)


def holders(own: Callable[[type], bool]) -> list[type]:
    """The classes of which this is true, and all that hold one of them in a field."""
    found = {kind for kind in CLASSES if own(kind)}
    while True:
        more = {
            kind
            for kind in CLASSES
            for hint in fields_of(kind).values()
            if kind not in found and found.intersection(named_in(hint))
        }
        if not more:
            return sorted(found, key=lambda kind: (kind.__module__, kind.__name__))
        found |= more


def is_key(kind: type) -> bool:
    return issubclass(kind, SecretBytes | ReplyKey | SessionReplyKey | LinkCertificate)


def has_secret_bytes(kind: type) -> bool:
    hints = fields_of(kind)
    keys = {name for name in hints.keys() & KEY_NAMES if {bytes, str}.intersection(named_in(hints[name]))}
    contents = {name for name in hints.keys() & CONTENT_NAMES if bytes in named_in(hints[name])}
    return bool(keys or (contents and kind.__name__ not in NEIGHBOURLY))


KEYS = holders(is_key)
SECRETIVE = holders(lambda kind: is_key(kind) or has_secret_bytes(kind))


PLAIN: dict[Any, Any] = {
    bytes: b"public", memoryview: b"public", str: "text", int: 1, float: 1.0, bool: True, Path: Path("file"),
}  # fmt: skip


def make(name: str, hint: Any) -> Any:
    """A value for a field of this name and type, with the canary wherever a secret may stand."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        # The member that holds most is the one that could tell something.
        hint = max(typing.get_args(hint), key=lambda each: any(kind in SECRETIVE for kind in named_in(each)))
    kind, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    while isinstance(kind, typing.NewType):
        kind = kind.__supertype__
    if kind in PLAIN:
        secret = {bytes: CANARY, memoryview: CANARY, str: CANARY.hex()}
        return secret.get(kind, PLAIN[kind]) if name in KEY_NAMES | CONTENT_NAMES else PLAIN[kind]
    if inspect.isclass(kind) and kind in SECRETIVE:
        return instance(kind)
    if inspect.isclass(kind) and issubclass(kind, Enum):
        return next(iter(kind))
    if inspect.isclass(kind) and issubclass(kind, Mapping):
        return {1: make(name, arguments[1])}
    if inspect.isclass(kind) and issubclass(kind, Collection) and arguments:
        return tuple(make(name, each) for each in arguments if each is not Ellipsis)
    return types.SimpleNamespace()


def instance(kind: type) -> Any:
    """An instance with canaries; built without its checks, which canaries would not pass."""
    if issubclass(kind, SecretBytes):
        # The secret itself comes first.
        _, *others = (each for each in typing.get_type_hints(kind.__init__).items() if each[0] != "return")
        return kind(CANARY, **{name: make(name, hint) for name, hint in others})
    if kind is ReplyKey:
        return ReplyKey(CANARY, SizeClass.SMALL, 1)
    if kind is SessionReplyKey:
        return SessionReplyKey(instance(LayerSecret), ReplyForm.TEXT, wants_base64=True)
    values = {name: make(name, hint) for name, hint in fields_of(kind).items()}
    if issubclass(kind, tuple | msgspec.Struct):
        return kind(**values)
    made = kind.__new__(kind)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


def name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__name__}"


def silently(show: Callable[[Any], object], value: Any) -> bytes:
    """What is shown; a refusal to show anything is silence, too."""
    try:
        shown = show(value)
    except (TypeError, NotImplementedError):
        return b""
    if isinstance(shown, str):
        return shown.encode(errors="surrogateescape")
    return shown if isinstance(shown, bytes) else repr(shown).encode()


def in_a_traceback(value: Any) -> str:
    try:
        raise OnionPathError("it failed")
    except OnionPathError:
        shown = traceback.TracebackException(*sys.exc_info(), capture_locals=True)
    return "".join(shown.format())


def in_a_log(form: str) -> Callable[[Any], str]:
    def show(value: Any) -> str:
        stream = io.StringIO()
        configure_logs("debug", form, stream=stream)
        try:
            structlog.get_logger().debug(
                "something_happened", what=value, several=[value], named={"it": value}
            )
        finally:
            structlog.reset_defaults()
        return stream.getvalue()

    return show


SHOWN: dict[str, Callable[[Any], object]] = {
    "repr": repr,
    "str": str,
    "format": lambda value: f"{value} {value!s} {value!r} {value!a}",
    "traceback with locals": in_a_traceback,
    "log as text": in_a_log("text"),
    "log as JSON": in_a_log("json"),
    "in a list": lambda value: repr([value]),
    "in an exception": lambda value: repr(OnionPathError(value)),
}
COPIED: dict[str, Callable[[Any], object]] = {
    "pickle": pickle.dumps,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "asdict": lambda value: dataclasses.asdict(value),
    "JSON": lambda value: json.dumps(value, default=str),
}


def test_the_walk_finds_what_holds_keys() -> None:
    """Otherwise nothing below would be tested."""
    names = {kind.__name__ for kind in KEYS}

    assert {
        "IdentityKey",
        "HybridPrivateKey",
        "TagKey",
        "ReplySecret",
        "ReplyKey",
        "LinkCertificate",
    } <= names
    assert {
        "HopKey",
        "ReplyOpener",
        "Wrapped",
        "NodeKeys",
        "Founded",
        "PacketKeys",
        "Forward",
        "Serve",
        "OpenedRequest",
    } <= names
    assert {"Call", "OnionCall", "Serving", "StreamRequest"} <= {kind.__name__ for kind in SECRETIVE}


@pytest.mark.parametrize("kind", SECRETIVE, ids=name_of)
def test_no_way_of_showing_it_shows_what_is_secret(kind: type) -> None:
    value = instance(kind)

    assert [] == [how for how, show in SHOWN.items() if hits(silently(show, value), CANARIES)]


@pytest.mark.parametrize("kind", KEYS, ids=name_of)
def test_keys_leave_no_process_by_a_copy(kind: type) -> None:
    value = instance(kind)

    assert [] == [how for how, show in COPIED.items() if hits(silently(show, value), CANARIES)]


HOLDING = [
    kind
    for kind in CLASSES
    if "__repr__" in {name for each in kind.__mro__[:-1] for name in vars(each)}
    and not fields_of(kind)
    and kind not in KEYS
    and not issubclass(kind, Enum | BaseException)
]


@pytest.mark.parametrize("kind", HOLDING, ids=name_of)
def test_a_class_that_shows_itself_and_is_made_from_secrets_is_a_key(kind: type) -> None:
    """What has no fields and Python's own repr shows nothing; whoever writes a repr for a key has it tested above."""
    hints = typing.get_type_hints(kind.__init__)
    assert not {name for name in hints if name in KEY_NAMES | CONTENT_NAMES}
