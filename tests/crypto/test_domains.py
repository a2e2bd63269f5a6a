"""Labels that keep our uses of one hash apart, and comparisons that could be timed; both are read from the source."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LABEL = re.compile(r'b"(onionpath/1[^"]*)"')
SECRET_NAME = re.compile(
    r"(^|_)(tag|mac|secret|password|passphrase|phrase|signature|sig|seed|token|nonce|proof|challenge|cookie|reveal"
    r"|private|authenticator|idempotency_key|reply_key|tag_key|key_pem)s?$"
)
ALLOWED = {
    # The replay memory's tags are keyed, so that nobody can aim at one; it says so there.
    ("onionpath/onion/replay.py", "seen == tag"),
    # Public keys of those who signed, and nobody's secret.
    ("onionpath/directory/countersigned.py", "key not in self.signatures"),
    # A set finds its members by a keyed hash, so the time tells nothing of how many bytes were right.
    ("relay/exit/forgotten.py", "token not in self._tokens"),
    # Our own key file against what we would write; who can time this reads the disk.
    ("relay/keys.py", "content != encode_seed(header, seed)"),
}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def labels() -> list[str]:
    return [label for path in sources("onionpath", "relay") for label in LABEL.findall(path.read_text())]


def name_of(node: ast.expr) -> str:
    """The last name of an expression: of what is called, cut or converted, too."""
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case ast.Subscript(value=inner) | ast.Await(value=inner):
            return name_of(inner)
        case ast.Call(
            func=ast.Name(id="bytes" | "bytearray" | "memoryview" | "str" | "tuple"), args=[inner, *_]
        ):
            return name_of(inner)
        case ast.Call(
            func=ast.Attribute(value=inner, attr="hex" | "digest" | "tobytes" | "lower" | "encode")
        ):
            return name_of(inner)
        case ast.Call(func=func):
            return name_of(func)
    return ""


def timed_comparisons(source: str) -> list[str]:
    """Comparisons by value of something whose name says that it is secret."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare):
            continue
        by_value = any(isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for operator in node.ops)
        sides = [node.left, *node.comparators]
        sides += [each for side in sides for each in getattr(side, "elts", [])]
        names = [name_of(each) for each in sides]
        if by_value and any(SECRET_NAME.search(name.lower()) for name in names):
            found.append(ast.unparse(node))
    return found


def test_no_label_is_the_beginning_of_another() -> None:
    """Otherwise what is derived or signed for one use could be taken for another."""
    found = labels()

    assert {"onionpath/1 layer", "onionpath/1 reply", "onionpath/1 link proof"} <= set(found)
    assert len(set(found)) == len(found)
    assert not [pair for pair in itertools.permutations(found, 2) if pair[1].startswith(pair[0])]


@pytest.mark.parametrize("path", sources("onionpath", "relay"), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_secret_is_compared_in_a_time_that_depends_on_it(path: Path) -> None:
    name = str(path.relative_to(ROOT))

    assert not [each for each in timed_comparisons(path.read_text()) if (name, each) not in ALLOWED]


@pytest.mark.parametrize(
    "planted",
    [
        "our_tag == theirs",
        "x != self._secret",
        "tag in seen",
        "password == given",
        "call.token == known",
        "bytes(frame.nonce) == ours",
        "key.reveal() == other",
        "signature[:32] == expected",
        "mac.hex() == text",
        "given in (self._token, b'')",
    ],
)
def test_a_planted_comparison_is_found(planted: str) -> None:
    assert [planted] == timed_comparisons(planted)
