"""The page of the architecture names what exists: a name that was moved or renamed misleads whoever looks for it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/architecture.md"
ROOMS = ("onionpath", "relay", "simulations")
NAMED = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
# `Class`, `Class.member`, `file.Class.member`, `room/file.Class`
OF_A_CLASS = re.compile(r"(?:(?P<file>[\w/.]+)\.)?(?P<owner>_?[A-Z]+[a-z]\w*)(?:\.(?P<member>\w+))?")
# `_step`, `file.function`, `room/file.function`
OF_A_FILE = re.compile(r"(?:(?P<file>[\w/]+)\.)(?P<member>_?[a-z]\w*)|(?P<alone>_[a-z]\w+)")
SUFFIXES = ("py", "md", "toml", "svg")


@cache
def sources() -> dict[str, ast.Module]:
    """Every module by its path without the suffix."""
    files = (file for room in ROOMS for file in (ROOT / room).rglob("*.py"))
    return {
        file.relative_to(ROOT).with_suffix("").as_posix(): ast.parse(file.read_text(encoding="utf-8"))
        for file in files
    }


def names_in(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))


def made_in(owner: ast.ClassDef) -> Iterator[str]:
    """Attributes that its methods give it."""
    for node in ast.walk(owner):
        match node:
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name


@cache
def members() -> dict[tuple[str, str], set[str]]:
    """What each class has, by its module and its name; "" stands for a module itself."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for module, tree in sources().items():
        found[module, ""] = set(names_in(tree.body))
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                found[module, node.name] = {*names_in(node.body), *made_in(node)}
    return found


def is_in(module: str, file: str | None) -> bool:
    return file is None or f"/{module}".endswith(f"/{file.replace('.', '/')}")


def is_path(name: str) -> bool:
    folders = (ROOT, ROOT / "onionpath", ROOT / "docs")
    return any((folder / name).exists() for folder in folders) or any(
        f"/{module}.py".endswith(f"/{name}") for module in sources()
    )


def is_there(name: str) -> bool:
    """Whether it exists, as far as it has the form of a name of ours."""
    name = name.removesuffix("()")
    if name.endswith(SUFFIXES) and "." in name:
        return is_path(name)
    if found := OF_A_CLASS.fullmatch(name):
        return any(
            owner == found["owner"]
            and is_in(module, found["file"])
            and (found["member"] or owner) in {*has, owner}
            for (module, owner), has in members().items()
        )
    if found := OF_A_FILE.fullmatch(name):
        if found["alone"]:
            return any(found["alone"] in has for has in members().values())
        return any(is_in(module, name) for module in sources()) or any(
            not owner and is_in(module, found["file"]) and found["member"] in has
            for (module, owner), has in members().items()
        )
    return "/" not in name or " " in name or is_path(name)


@pytest.mark.parametrize("name", sorted(set(NAMED.findall(PAGE.read_text(encoding="utf-8")))))
def test_every_name_on_the_page_exists(name: str) -> None:
    assert is_there(name)


@pytest.mark.parametrize(
    "name",
    [
        "Switch._forwards",
        "links.Switch",
        "OnionPathToNowhere",
        "relay/nowhere.py",
        "_no_step",
        "decisions/0",
        "links.flush",
    ],
)
def test_a_planted_name_of_nothing_is_found(name: str) -> None:
    assert not is_there(name)


@pytest.mark.parametrize(
    "name",
    [
        "Switch.receive",
        "relay/switch.Switch",
        "switch.py",
        "_flush",
        "relay/exit",
        "connection.connect",
        "ssl",
        "./dev demo",
    ],
)
def test_names_of_something_are_left_alone(name: str) -> None:
    assert is_there(name)
