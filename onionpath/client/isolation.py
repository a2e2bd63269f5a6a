"""Keys that keep paths apart: a program's own, and those that we make where it gives none."""

from __future__ import annotations


def isolation_key(given: str | None, default: str) -> str:
    """The key of a call or stream; told apart by its first word, so that no key a program gives is one of ours."""
    return default if given is None else f"given {given}"
