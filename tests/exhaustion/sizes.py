"""How much an object holds: the length of every container in it, by the way that leads there."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator


def container_sizes(root: object) -> dict[str, int]:
    """Lengths of the dicts, lists, sets and deques that can be reached through our own objects; sums by their path."""
    sizes: Counter[str] = Counter()
    for path, size in _walk(root, type(root).__name__, set()):
        sizes[path] += size
    return dict(sizes)


def _walk(value: object, path: str, seen: set[int]) -> Iterator[tuple[str, int]]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict | list | set | frozenset | deque):
        yield path, len(value)
        for each in list(value.values() if isinstance(value, dict) else value):
            yield from _walk(each, f"{path}[]", seen)
    elif type(value).__module__.split(".")[0] in ("relay", "onionpath"):
        for name in _names(value):
            yield from _walk(getattr(value, name, None), f"{path}.{name}", seen)


def _names(value: object) -> list[str]:
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    return [*getattr(value, "__dict__", {}), *slots]
