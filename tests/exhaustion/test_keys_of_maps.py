"""Nobody can choose keys that fall into one bucket of a map of ours.

Python hashes str and bytes with a secret; numbers, and what is made of numbers alone, it hashes so that anybody can
compute it. So a map whose keys others choose is keyed by str or bytes, or by numbers that we give out ourselves.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path

from relay.listener import source_of

ROOT = Path(__file__).parents[2]
MAPS = {
    "dict",
    "OrderedDict",
    "Counter",
    "defaultdict",
    "set",
    "frozenset",
    "Mapping",
    "MutableMapping",
    "Collection",
}
# The text of an annotation's key that says it is made of numbers.
NUMERIC = {"int", "float", "UnixTime"}
ADDRESSES = ("IPAddress", "IPNetwork", "IPv4", "IPv6", "ip_address", "ip_network")
# Attributes that may all the same, and why.
MAY = {
    "relay/exit/interfaces.py: _addresses": "this machine's own addresses",
    "relay/exit/interfaces.py: found": "this machine's own addresses",
}


def risky_maps(source: str) -> Iterator[str]:
    """Names of annotated maps whose keys are addresses, or tuples of nothing but numbers."""
    tree = ast.parse(source)
    aliases = {
        node.targets[0].id: ast.unparse(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and isinstance(node.annotation, ast.Subscript):
            key = _key_of(node.annotation)
            if key is not None and _is_risky(aliases.get(key, key)):
                yield ast.unparse(node.target).removeprefix("self.")


def _key_of(annotation: ast.Subscript) -> str | None:
    if ast.unparse(annotation.value).split(".")[-1] not in MAPS:
        return None
    inner = annotation.slice
    is_pair = isinstance(inner, ast.Tuple) and ast.unparse(annotation.value) not in ("set", "frozenset")
    return ast.unparse(inner.elts[0] if is_pair and isinstance(inner, ast.Tuple) else inner)


def _is_risky(key: str) -> bool:
    if any(name in key for name in ADDRESSES):
        return True
    parts = key.removeprefix("tuple[").removesuffix("]").split(", ")
    return key.startswith("tuple[") and all(part in NUMERIC for part in parts)


def test_no_map_is_keyed_by_what_others_can_make_collide() -> None:
    found = {
        f"{file.relative_to(ROOT)}: {name}"
        for room in ("relay", "onionpath")
        for file in sorted((ROOT / room).rglob("*.py"))
        for name in risky_maps(file.read_text(encoding="utf-8"))
    }

    assert set(MAY) == found


def test_planted_maps_are_found() -> None:
    planted = """
Destination = tuple[IPAddress, int]
class Planted:
    def __init__(self):
        self._a: dict[IPAddress, int] = {}
        self._b: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._c: set[ipaddress.IPv6Network] = set()
        self._d: collections.Counter[Destination] = Counter()
        self._fine: dict[str, IPAddress] = {}
        self._fine_too: dict[tuple[int, bytes], int] = {}
        self._fine_three: Counter[int] = Counter()
"""

    assert ["_a", "_b", "_c", "_d"] == list(risky_maps(planted))


def colliding_addresses(count: int) -> list[IPv6Address]:
    """Addresses in as many /64 networks that all have one hash, since Python's numbers hash modulo 2**61 - 1."""
    first = int(IPv6Address("2001:db8::1"))
    return [IPv6Address(first + 9 * number * sys.hash_info.modulus) for number in range(count)]


def test_sources_that_collide_as_addresses_are_spread_as_text() -> None:
    addresses = colliding_addresses(10_000)
    assert 1 == len({hash(address) for address in addresses})

    sources = {source_of(str(address)) for address in addresses}
    assert 10_000 == len(sources)
    # Of ten thousand in a million buckets chance alone puts about fifty beside another.
    assert len({hash(source) % 2**20 for source in sources}) > 9_800
