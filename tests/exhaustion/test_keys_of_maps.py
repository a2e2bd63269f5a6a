"""Nobody can choose keys that fall into one bucket of a map of ours.

Python hashes str and bytes with a secret; numbers, and what is made of numbers alone, it hashes so that anybody can
compute it; a NamedTuple is a tuple like any other. So a map whose keys others choose is keyed by str or bytes, and one
that is keyed by numbers is listed here with the reason why nobody else chooses them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
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
# Reasons for maps that may be keyed by numbers all the same.
OURS = "we count these numbers up ourselves"
LINKS = "numbers of links, which we count up ourselves"
SERVICES = "the numbers of our own services"
SLOTS = "slots and generations that are open now, of which there are three"
SIGNED = "in a document that the authorities signed"
MAY = {
    "onionpath/client/connection.py: _exchanges": OURS,
    "onionpath/directory/swarms.py: _by_size": SIGNED,
    "onionpath/directory/swarms.py: _members": SIGNED,
    "onionpath/directory/swarms.py: found": SIGNED,
    "onionpath/ohttp/replay.py: _seen": "spans of time in which a Date is taken, of which there are three",
    "onionpath/onion/replay.py: _open": SLOTS,
    "onionpath/onion/replay.py: _tables": SLOTS,
    "onionpath/onion/replay.py: used": SLOTS,
    "onionpath/service/call_shares.py: _bytes": LINKS,
    "onionpath/service/call_shares.py: _calls": LINKS,
    "onionpath/service/directory.py: differences": "numbers of documents that we hold",
    "onionpath/service/long_calls.py: _pieces": "offsets that we asked for",
    "onionpath/service/registry.py: _answered": SERVICES,
    "onionpath/service/registry.py: answered": SERVICES,
    "onionpath/service/registry.py: running": SERVICES,
    "onionpath/service/stream_polls.py: _outstanding": OURS,
    "onionpath/service/stream_polls.py: _sent_at": OURS,
    "onionpath/service/stream_reassembly.py: _pieces": "offsets within one window, far fewer than the modulus",
    "onionpath/service/transfers.py: pieces": "offsets within one request, far fewer than the modulus",
    "onionpath/swarm/nodes.py: swarms": SIGNED,
    "onionpath/swarm/operations.py: by_namespace": "namespaces, of which there are 65,536",
    "relay/addresses.py: _TABLE": "the two versions of IP",
    "relay/admission.py: keys": SLOTS,
    "relay/asks.py: _all": OURS,
    "relay/asks.py: _by_link": LINKS,
    "relay/authority/first_hop.py: _waiting": OURS,
    "relay/authority/making.py: services": SERVICES,
    "relay/conversations.py: under_way": OURS,
    "relay/daemon.py: services": SERVICES,
    "relay/exchanges.py: _all": OURS,
    "relay/exchanges.py: _by_next": LINKS,
    "relay/exchanges.py: _by_origin": LINKS,
    "relay/exit/forgotten.py: _per_link": LINKS,
    "relay/exit/interfaces.py: _addresses": "this machine's own addresses",
    "relay/exit/interfaces.py: found": "this machine's own addresses",
    "relay/exit/memory.py: _held": LINKS,
    "relay/exit/memory.py: _waiting": LINKS,
    "relay/exit/resolver.py: _running": LINKS,
    "relay/exit/table.py: _calls_per_link": LINKS,
    "relay/exit/table.py: _per_link": LINKS,
    "relay/keys.py: by_epoch": "epochs of our own keys",
    "relay/link_table.py: _links": LINKS,
    "relay/links.py: _asked": OURS,
    "relay/links.py: _wires": LINKS,
    "relay/openings.py: _clients": LINKS,
    "relay/openings.py: _relays": LINKS,
    "relay/replay_files.py: _mapped": SLOTS,
    "relay/services.py: services": SERVICES,
    "relay/session/requests.py: _answered": "statuses, of which there are five hundred",
    "relay/store/changes.py: names": "namespaces, of which there are 65,536",
    "relay/store/driver.py: _waiting": OURS,
    "relay/store/ledger.py: _buckets": "numbers of buckets, of which there are 4,096",
    "relay/store/ledger.py: _sources": "numbers that our own table counts up",
    "relay/store/portions.py: names": "namespaces, of which there are 65,536",
    "relay/store/replica/jobs.py: _waiting": OURS,
    "relay/store/replica/requests.py: replies": OURS,
    "relay/store/replica/visits.py: _confirmed": SIGNED,
}


def risky_maps(source: str) -> Iterator[str]:
    """Names of annotated maps whose keys are addresses, numbers, or tuples of nothing but numbers."""
    tree = ast.parse(source)
    aliases = {
        node.targets[0].id: ast.unparse(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    } | {name: f"tuple[{', '.join(fields)}]" for name, fields in _named_tuples().items()}
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and isinstance(node.annotation, ast.Subscript):
            key = _key_of(node.annotation)
            if key is not None and _is_risky(aliases.get(key, key)):
                yield ast.unparse(node.target).removeprefix("self.")


@cache
def _named_tuples() -> dict[str, list[str]]:
    """Every NamedTuple of ours with the types of its fields; no two have one name."""
    trees = (ast.parse(file.read_text(encoding="utf-8")) for file in _files())
    return {
        node.name: [ast.unparse(field.annotation) for field in node.body if isinstance(field, ast.AnnAssign)]
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and "NamedTuple" in map(ast.unparse, node.bases)
    }


def _files() -> list[Path]:
    return [file for room in ("relay", "onionpath") for file in sorted((ROOT / room).rglob("*.py"))]


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
    return all(part in NUMERIC for part in parts)


def test_no_map_is_keyed_by_what_others_can_make_collide() -> None:
    found = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in _files()
        for name in risky_maps(file.read_text(encoding="utf-8"))
    }

    assert set() == found - set(MAY)


def test_planted_maps_are_found() -> None:
    planted = """
Destination = tuple[IPAddress, int]
class Planted:
    def __init__(self):
        self._a: dict[IPAddress, int] = {}
        self._b: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._c: set[ipaddress.IPv6Network] = set()
        self._d: collections.Counter[Destination] = Counter()
        self._e: dict[int, str] = {}
        self._f: dict[Sent, str] = {}
        self._fine: dict[str, IPAddress] = {}
        self._fine_too: dict[tuple[int, bytes], int] = {}
        self._fine_three: dict[Origin, int] = {}
"""

    assert ["_a", "_b", "_c", "_d", "_e", "_f"] == list(risky_maps(planted))


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
