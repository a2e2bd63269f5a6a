"""Every import of the project, held against the arrows of the house.

tests → simulations → client | relay → link | disk → pure rooms → crypto → leaves

`wrong_arrows` takes a file's path and source, so that each rule below is proven by a planted violation.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LEAVES = {"errors", "injected", "version"}
PURE_ROOMS = {"crypto", "onion", "directory", "path", "service", "account", "swarm"}

# What each level may import of the project; whatever is not listed is a wrong arrow.
PURE = {"leaf", "crypto", "pure"}
ARROWS = {
    "leaf": {"leaf"},
    "crypto": {"leaf", "crypto"},
    "pure": PURE,
    "link": PURE | {"link"},
    "disk": PURE | {"disk"},
    "door": {"leaf", "door"},
    "client": PURE | {"link", "disk", "door", "client"},
    "relay": PURE | {"link", "disk", "door", "relay"},
    "simulations": PURE | {"link", "disk", "door", "client", "relay", "simulations"},
    "tests": PURE | {"link", "disk", "door", "client", "relay", "simulations", "tests"},
}

CRYPTOGRAPHY = {"nacl", "cryptography", "pyhpke"}
LOOPS = {"asyncio", "trio"}
# Sockets, clocks, disks, system randomness, threads, and whatever brings them along.
WORLD = {
    "socket", "socketserver", "ssl", "select", "selectors", "signal", "time", "os", "secrets",
    "pathlib", "io", "shutil", "tempfile", "subprocess", "multiprocessing", "threading", "concurrent",
    "logging", "sqlite3", "apsw", "urllib", "http", "anyio", "httpx", "httpx2", "httpcore", "httpcore2",
    "h11", "structlog", "click", "prometheus_client", "uuid",
}  # fmt: skip

# What each level may not import from outside.
BANNED = {
    "leaf": WORLD | LOOPS | CRYPTOGRAPHY,
    "crypto": WORLD | LOOPS,
    "pure": WORLD | LOOPS | CRYPTOGRAPHY,
    "link": {"socket", "httpx", "httpx2", "httpcore", "httpcore2", "structlog"} | LOOPS | CRYPTOGRAPHY,
    "disk": (WORLD - {"os", "pathlib"}) | LOOPS | CRYPTOGRAPHY,
    "door": (WORLD - {"click"}) | LOOPS | CRYPTOGRAPHY,
    "client": {"socket"} | LOOPS | CRYPTOGRAPHY,
    "relay": {"asyncio", "anyio", "httpx", "httpx2", "httpcore", "httpcore2"} | CRYPTOGRAPHY,
    "simulations": set(),
    "tests": set(),
}

# The relay's data plane is driven by sockets in the world and by an event heap in simulations.
SWITCH = "relay/switch.py"
SWITCH_BANNED = {
    "trio",
    "socket",
    "ssl",
    "select",
    "time",
    "os",
    "secrets",
    "pathlib",
    "threading",
    "structlog",
}

# Each of these imports only the ones before it, so that the pure rooms form no circle.
PURE_ORDER = ("onion", "directory", "service", "path")

# Two formats behind the same four verbs, which know nothing of each other.
FORMATS = {"native", "session"}


def level_of(module: str) -> str | None:
    """The level of a dotted module of ours, or None for somebody else's."""
    top, _, rest = module.partition(".")
    room = rest.partition(".")[0]
    if top != "onionpath":
        return top if top in {"relay", "simulations", "tests"} else None
    if room in LEAVES:
        return "leaf"
    if room in PURE_ROOMS:
        return "crypto" if room == "crypto" else "pure"
    if room == "exit_codes":
        return "door"  # how every program ends, the relay's and the simulations' as well
    # `onionpath` itself, its command line and its twins for other libraries are front doors.
    return room if room in {"link", "disk"} else "client"


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported; ``from a import b`` counts as ``a.b``."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                parents = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                base = ".".join([*parents, *([module] if module else [])])
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in names)
            case ast.Call(
                func=ast.Name(id="__import__") | ast.Attribute(attr="import_module"), args=[first, *_]
            ):
                # A name that is computed could be anything, so it reads as a module of nobody.
                yield node.lineno, str(first.value) if isinstance(first, ast.Constant) else "computed"


def own_world(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Ways to the clock, the disk and the system's randomness that need no import of their own."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="open" | "input" | "print" as name)):
                yield node.lineno, f"calls {name}()"
            case ast.Attribute(
                attr="now" | "utcnow" | "today" as name, value=ast.Name(id="datetime" | "date" as owner)
            ):
                yield node.lineno, f"reads the clock by {owner}.{name}"
            case ast.Attribute(attr=name, value=ast.Name(id="random")) if name != "Random":
                yield node.lineno, f"draws from random.{name} instead of a Random that is given"
            case ast.ImportFrom(module="random", names=names) if {alias.name for alias in names} != {
                "Random"
            }:
                yield node.lineno, "imports more than Random from random"
            case ast.Call(func=ast.Name(id="Random") | ast.Attribute(attr="Random"), args=[]):
                yield node.lineno, "seeds a Random from the system"


def wrong_arrows(path: str, source: str) -> list[str]:
    """Each broken rule of a file as ``path:line: what``."""
    name, tree = module_name(path), ast.parse(source)
    package = name if path.endswith("/__init__.py") else name.rpartition(".")[0]
    level = level_of(name)
    assert level is not None, f"{path} belongs to no level"
    pure = level in {"leaf", "crypto", "pure"}
    banned = BANNED[level] | (SWITCH_BANNED if path == SWITCH else set())
    found: list[tuple[int, str]] = []
    for line, imported in imports(tree, package):
        theirs = level_of(imported)
        if theirs is not None and theirs not in ARROWS[level]:
            found.append((line, f"{level} may not import {theirs} ({imported})"))
        if imported.partition(".")[0] in banned or (pure and imported == "computed"):
            found.append((line, f"{level} may not import {imported}"))
        if goes_back(name, imported):
            found.append((line, f"a pure room may not import a later one ({imported})"))
        if crosses_formats(name, imported):
            found.append((line, f"the onion formats may not import each other ({imported})"))
    if pure:
        found.extend((line, f"{level} {what}") for line, what in own_world(tree))
    return [f"{path}:{line}: {what}" for line, what in sorted(found)]


def goes_back(importer: str, imported: str) -> bool:
    ours, theirs = (module.split(".")[1:2] for module in (importer, imported))
    if not (importer.startswith("onionpath.") and imported.startswith("onionpath.")):
        return False
    if not {*ours, *theirs} <= set(PURE_ORDER) or not ours or not theirs:
        return False
    return PURE_ORDER.index(theirs[0]) > PURE_ORDER.index(ours[0])


def crosses_formats(importer: str, imported: str) -> bool:
    ours, theirs = (format_of(module) for module in (importer, imported))
    return ours is not None and theirs is not None and ours != theirs


def format_of(module: str) -> str | None:
    parts = module.split(".")
    if parts[:2] != ["onionpath", "onion"] or len(parts) < 3:
        return None
    return next((each for each in FORMATS if parts[2].split("_")[0] == each), None)


def our_files() -> list[str]:
    tops = ("onionpath", "relay", "simulations", "tests")
    return sorted(str(file.relative_to(ROOT)) for top in tops for file in (ROOT / top).rglob("*.py"))


@pytest.mark.parametrize("path", our_files())
def test_every_import_follows_the_arrows(path: str) -> None:
    assert [] == wrong_arrows(path, (ROOT / path).read_text(encoding="utf-8"))


PLANTED = {
    "onion imports service": ("onionpath/onion/native.py", "from onionpath.service.calls import Call"),
    "directory imports path": ("onionpath/directory/document.py", "import onionpath.path.choose"),
    "client imports relay": ("onionpath/client/client.py", "import relay.switch"),
    "relay imports client": ("relay/daemon.py", "from onionpath.client import path_pool"),
    "relay imports the front door": ("relay/cli.py", "from onionpath import OnionTransport"),
    "relay imports simulations": ("relay/daemon.py", "import simulations.virtual"),
    "simulations import tests": ("simulations/local/net.py", "import tests.network"),
    "a pure room imports client": ("onionpath/path/guards.py", "from onionpath.client import clock"),
    "a pure room imports link": ("onionpath/directory/probe.py", "import onionpath.link.frames"),
    "a pure room imports relay": ("onionpath/swarm/swarms.py", "from relay import store"),
    "crypto imports another room": ("onionpath/crypto/keys.py", "from onionpath import onion"),
    "the common door imports the client": ("onionpath/exit_codes.py", "import onionpath.client.client"),
    "a pure room imports the common door": ("onionpath/path/guards.py", "import onionpath.exit_codes"),
    "a leaf imports crypto": ("onionpath/errors.py", "from onionpath.crypto import keys"),
    "the disk imports link": ("onionpath/disk/private_files.py", "import onionpath.link.frames"),
    "the disk imports client": ("onionpath/disk/private_files.py", "import onionpath.client.client"),
    "the disk imports relay": ("onionpath/disk/private_files.py", "import relay.keys"),
    "a clock on the disk": ("onionpath/disk/private_files.py", "import time"),
    "link imports client": ("onionpath/link/frames.py", "from onionpath.client import client"),
    "inside a function": ("onionpath/path/guards.py", "def f():\n    import socket"),
    "only for types": ("onionpath/path/guards.py", "if TYPE_CHECKING:\n    import relay"),
    "a relative import": ("onionpath/path/guards.py", "from ..client import clock"),
    "by importlib": ("onionpath/path/guards.py", "importlib.import_module('socket')"),
    "by a computed name": ("onionpath/path/guards.py", "__import__('soc' + 'ket')"),
    "nacl outside crypto": ("onionpath/onion/session.py", "import nacl.bindings"),
    "cryptography in the relay": ("relay/keys.py", "from cryptography import x509"),
    "cryptography in the client": ("onionpath/client/client.py", "from cryptography import x509"),
    "pyhpke outside crypto": ("onionpath/ohttp/keys.py", "import pyhpke"),
    "asyncio in the relay": ("relay/links.py", "import asyncio"),
    "anyio in the relay": ("relay/links.py", "from anyio import abc"),
    "httpx in the relay": ("relay/authority/probe.py", "import httpx"),
    "trio in the client": ("onionpath/client/client.py", "import trio"),
    "asyncio in the client": ("onionpath/cli.py", "import asyncio"),
    "a socket in link": ("onionpath/link/dial.py", "import socket"),
    "trio in link": ("onionpath/link/dial.py", "import trio"),
    "trio in the switch": (SWITCH, "import trio"),
    "a clock in the switch": (SWITCH, "from time import monotonic"),
    "native imports session": ("onionpath/onion/native.py", "from onionpath.onion import session"),
    "session imports native": ("onionpath/onion/session.py", "from onionpath.onion.native import wrap"),
    "a pure room opens a file": ("onionpath/account/words.py", "open('words')"),
    "a pure room reads the clock": ("onionpath/path/guards.py", "datetime.now()"),
    "a pure room draws": ("onionpath/path/guards.py", "random.choice([1])"),
    "a pure room imports a draw": ("onionpath/path/guards.py", "from random import choice"),
    "a pure room seeds itself": ("onionpath/path/guards.py", "rng = random.Random()"),
    **{
        f"{each} in a pure room": ("onionpath/path/guards.py", f"import {each}")
        for each in sorted(WORLD | LOOPS)
    },
}


@pytest.mark.parametrize(("path", "source"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_wrong_arrow_is_found_once(path: str, source: str) -> None:
    assert 1 == len(wrong_arrows(path, source))


ALLOWED = {
    "every program ends by one table": ("relay/cli.py", "from onionpath.exit_codes import run_program"),
    "both read files": ("relay/keys.py", "from onionpath.disk import private_files"),
    "relay frames with link": (
        "relay/links.py",
        "import ssl, socket, trio\nfrom onionpath.link import frames",
    ),
    "simulations import both": ("simulations/local/net.py", "import relay.daemon, onionpath.client, trio"),
    "tests hold crypto against others": (
        "tests/crypto/test_aead.py",
        "import nacl.bindings, cryptography, trio",
    ),
    "crypto imports its libraries": ("onionpath/crypto/hybrid.py", "import nacl.secret, cryptography"),
    "link speaks TLS": ("onionpath/link/dial.py", "import ssl, anyio"),
    "choice that is given": (
        "onionpath/path/guards.py",
        "from random import Random\ndef f(jitter: Random): jitter.random()",
    ),
    "a seeded choice": ("onionpath/path/guards.py", "import random\nrandom.Random(7)"),
    "formats share the room": ("onionpath/onion/native.py", "from onionpath.onion import geometry"),
}


@pytest.mark.parametrize(("path", "source"), ALLOWED.values(), ids=ALLOWED.keys())
def test_the_right_arrows_are_left_alone(path: str, source: str) -> None:
    assert [] == wrong_arrows(path, source)
