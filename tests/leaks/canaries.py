"""Canaries: values that must not be found where anybody could read them, and the search for all their spellings."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

# What is shorter stands by chance somewhere in megabytes of tags and keys.
SHORTEST = 8  # bytes


def spellings(value: bytes) -> dict[str, bytes]:
    """Every way in which a program could write a value without meaning to, by name."""
    found = {
        "raw": value,
        "hex": value.hex().encode(),
        "hex in capitals": value.hex().upper().encode(),
        "hex with colons": value.hex(":").encode(),
        "repr": repr(value)[2:-1].encode(),
        "repr in JSON": repr(value)[2:-1].replace("\\", "\\\\").encode(),
        "list": repr(list(value))[1:-1].encode(),
        "JSON's list": repr(list(value))[1:-1].replace(" ", "").encode(),
        "UTF-16, little end first": value.decode("latin-1").encode("utf-16-le"),
        "UTF-16, big end first": value.decode("latin-1").encode("utf-16-be"),
        "backwards": value[::-1],
    }
    for skipped in range(3):
        # A value inside of a longer one begins at any of the three places of a group, and its edges mix with others.
        inner = value[skipped:]
        inner = inner[: len(inner) // 3 * 3]
        found[f"base64 after {skipped}"] = base64.b64encode(inner)
        found[f"base64 for URLs after {skipped}"] = base64.urlsafe_b64encode(inner)
    return {name: spelt for name, spelt in found.items() if len(spelt) >= SHORTEST}


def hits(content: bytes, canaries: Mapping[str, bytes]) -> list[str]:
    """Which canaries stand in these bytes, and how they are spelt there."""
    # Replay tables are made of zeros nearly throughout, and no canary holds so many in a row.
    content = re.sub(rb"\0{64,}", b"\0" * 64, content)
    return [
        f"{name} ({how})"
        for name, value in canaries.items()
        for how, spelt in spellings(value).items()
        if spelt in content
    ]


def hits_in(files: Iterable[Path], canaries: Mapping[str, bytes]) -> list[str]:
    """The same for files."""
    return [f"{file}: {hit}" for file in files for hit in hits(file.read_bytes(), canaries)]
