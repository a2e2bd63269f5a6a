"""How deep JSON nests, found before a parser reads it. Spec: docs/specs/session-network.md §2.3."""

from __future__ import annotations

import re

from onionpath.errors import MalformedError

# A string that never ends counts as one, so that each byte is looked at once whatever the text is.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


def check_depth(text: bytes, *, most: int) -> None:
    """Refuse text in which more than ``most`` brackets or braces stand within one another.

    Raises:
        MalformedError: they do.
    """
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", text)):
        depth += 1 if bracket in b"[{" else -1
        if depth > most:
            raise MalformedError(f"JSON nests more than {most} deep")
