"""The demo's text: the page, a table of what each relay could know, and what the exit's connection carried."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from simulations.local.agreed import Agreed
from simulations.local.evidence import Outside, Side, Sight

PAGE_LINES = 6
LABEL_WIDTH = 16
# Three columns narrower than this are harder to read than three blocks.
COLUMN_MIN = 26
MAX_WIDTH = 120

# What follows from the construction, not from the records: each relay opens its own layer, and no other.
COULD_NOT_KNOW = {
    "first": "which website, what was asked and answered, which relay is the exit",
    "middle": "who asked, which website, what was asked and answered",
    "exit": "who asked, which relay was first, what was asked and answered",
}

Row = tuple[str, tuple[str, ...]]


def report(url: str, body: str, seconds: float, relays: Sequence[Sight], outside: Outside) -> str:
    """All of it, for a terminal of any width."""
    width = min(MAX_WIDTH, shutil.get_terminal_size((100, 24)).columns)
    lines = [
        *heading(f"{url} through {len(relays)} relays in {1000 * seconds:.0f} ms", width),
        *(f"  {line}"[:width] for line in body.splitlines()[:PAGE_LINES]),
        "",
        *heading("What each relay could know", width),
        *table(rows(relays), width),
        "",
        *heading("What the exit carried between the onion and the website", width),
        *wrapped(proof(outside), width),
        "",
        *heading("What the website saw", width),
        *wrapped(website_view(outside), width),
    ]
    return "\n".join(lines)


def agreement(agreed: Agreed) -> str:
    """On what the network runs, for a terminal of any width."""
    width = min(MAX_WIDTH, shutil.get_terminal_size((100, 24)).columns)
    told = (
        f"Document {agreed.number} lists {agreed.relays} relays. {agreed.authorities} authorities, each a process of "
        f"its own, reached the relays, voted, and {agreed.signatures} of them have signed it; {agreed.needed} must."
    )
    return "\n".join([*heading("What the network runs on", width), *wrapped([told], width)])


def heading(text: str, width: int) -> list[str]:
    """Lines that are bold on a terminal, unless NO_COLOR is set (no-color.org)."""
    bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return [f"\x1b[1m{line}\x1b[0m" if bold else line for line in textwrap.wrap(text, width)]


def rows(relays: Sequence[Sight]) -> list[Row]:
    """Labels, each with a cell per relay."""
    cells = {
        "": [f"{relay.relay}, {_ordinal(relay.position)}" for relay in relays],
        "listens at": [relay.address for relay in relays],
        "was called by": [_names(relay.called_by) for relay in relays],
        "called": [_names(relay.called) or f"the website at {relay.website}" for relay in relays],
        "frames before": [_frames(relay.called_by) for relay in relays],
        "frames behind": [_frames(relay.called) for relay in relays],
        "saw the website": ["its name and address" if relay.website else "no" for relay in relays],
        "could not know": [COULD_NOT_KNOW[relay.position] for relay in relays],
    }
    return [(label, tuple(texts)) for label, texts in cells.items()]


def table(rows: Sequence[Row], width: int) -> list[str]:
    """Aligned columns where they fit, otherwise a block for each relay."""
    columns = len(rows[0][1])
    cell_width = (width - LABEL_WIDTH) // columns - 2
    if cell_width >= COLUMN_MIN:
        return [line for label, texts in rows for line in _row(label, texts, cell_width)]
    blocks = []
    for column in range(columns):
        for label, texts in rows:
            blocks += _row(label, (texts[column],), max(10, width - LABEL_WIDTH - 2))
        blocks.append("")
    return blocks[:-1]


def _row(label: str, texts: Sequence[str], cell_width: int) -> list[str]:
    cells = [textwrap.wrap(text, cell_width) or ["–"] for text in texts]
    lines = []
    for number, parts in enumerate(zip_longest(*cells, fillvalue="")):
        start = (label if number == 0 else "").ljust(LABEL_WIDTH)
        line = start + "  ".join(part.ljust(cell_width) for part in parts)
        lines.append(line.replace("\xa0", " ").rstrip())
    return lines


def wrapped(sentences: Sequence[str], width: int) -> list[str]:
    """Sentences as lines of at most this width."""
    return [
        line
        for sentence in sentences
        for line in textwrap.wrap(sentence, width, initial_indent="  ", subsequent_indent="    ")
    ]


def proof(outside: Outside) -> list[str]:
    """What the exit saw of the page."""
    records = ", ".join(f"{count} × {name}" for name, count in outside.records.items())
    clear = "stands" if outside.name_in_hello else "does not stand"
    page = "A LINE OF THE PAGE STANDS" if outside.page_readable else "no line of the page stands"
    return [
        f"TLS records: {records}; {outside.bytes} bytes.",
        f"The website's name {clear} readable in the first record; {page} readable in any.",
    ]


def website_view(outside: Outside) -> list[str]:
    """Who came, as the website could tell, and what it was asked."""
    asked = ", ".join(outside.requests)
    return [
        f"A connection from {outside.address}, a socket of {outside.exit}'s process; in the world it would have the "
        "exit's address. On this machine all share one.",
        f"It was asked: {asked}. Nothing in it says who asked.",
    ]


def _ordinal(position: str) -> str:
    return {"first": "the first", "middle": "the middle", "exit": "the exit"}[position]


def _names(sides: Sequence[Side]) -> str:
    return ", ".join(side.who for side in sides)


def _frames(sides: Sequence[Side]) -> str:
    """Sizes and numbers in both directions; an exit has no frames behind it."""
    return "; ".join(f"in {_sizes(side.received)}, out {_sizes(side.sent)}" for side in sides)


def _sizes(counts: dict[int, int]) -> str:
    # Lines are not broken at these spaces; ``_row`` makes ordinary ones of them.
    return " + ".join(f"{count}\xa0×\xa0{size // 1024}\xa0KiB" for size, count in counts.items()) or "none"
