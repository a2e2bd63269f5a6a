"""What ``onionpath path`` shows to people: tables with sentences below, drawn on a terminal and plain in a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# Programs read the names; people, these.
REASONS = {
    "excluded": "left out",
    "excluded-network": "in a network that is left out",
    "excluded-country": "in a country that is left out",
    "no-valid-key": "no packet key for now",
    "no-weight": "no weight",
    "already-on-path": "on the path already",
    "same-family": "one family with a relay of the path",
    "same-network": "one /16 or /32 with a relay of the path",
    "avoided": "avoided after failures",
    "avoided-edge": "failed lately beside its neighbour",
    "not-the-required-exit": "not the exit that is asked for",
    "service-not-offered": "carries no streams",
    "port-not-allowed": "its exit rules deny the port",
    "not-a-guard": "none of our guards",
    "guard-not-wanted": "not a guard that is wanted",
    "not-a-chosen-middle": "none of our middles",
    "middle-not-wanted": "not a middle that is wanted",
    "exit-not-wanted": "not an exit that is wanted",
    "exit-country-not-wanted": "in no country that is wanted",
}


@dataclass(frozen=True, slots=True)
class Section:
    """A table and what is to be said of it.

    Args:
        title: in front of everything, with the first note.
        notes: sentences below the table.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def show_sections(shown: dict[str, Any]) -> list[Section]:
    """Of ``path show``."""
    return [_path(shown), _guards(shown), _middles(shown), _budget(shown["budget"])]


def explain_sections(shown: dict[str, Any]) -> list[Section]:
    """Of ``path explain``."""
    return [_path(shown), *(_position(each, len(shown["path"])) for each in shown["positions"])]


def as_lines(sections: Iterable[Section]) -> Iterator[str]:
    """Without any drawing."""
    for number, section in enumerate(sections):
        if number:
            yield ""
        yield section.title
        yield from _columns([section.columns, *section.rows] if section.rows else [])
        yield from (f"  {note}" for note in section.notes)


def draw(sections: Iterable[Section]) -> None:
    """On the terminal that standard output is."""
    from rich.console import Console

    Console().print(*renderables(sections), sep="\n")


def renderables(sections: Iterable[Section]) -> Iterator[Any]:
    """For rich."""
    from rich.table import Table
    from rich.text import Text

    for section in sections:
        # As text, so that nothing from the network is read as markup.
        yield Text(section.title, style="bold")
        if section.rows:
            table = Table()
            for column in section.columns:
                # A narrow terminal breaks long words and loses no part of an id or address.
                table.add_column(column, overflow="fold")
            for row in section.rows:
                table.add_row(*map(Text, row))
            yield table
        for note in section.notes:
            yield Text(note)
        yield Text()


def _columns(table: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _path(shown: dict[str, Any]) -> Section:
    where = shown["destination"]
    to = f"to {where['host'] or 'any host'}, port {where['port']}"
    if shown["no_path"] is not None:
        return Section(f"no path {to}", (), (), (shown["no_path"],))
    names = ["guard", *["middle"] * (len(shown["path"]) - 2), "exit"]
    rows = tuple((name, *_named(each)) for name, each in zip(names, shown["path"], strict=True))
    shared = "" if where["host"] is None else f"; {where['isolation']} shares it with no other destination"
    note = f"drawn for this report, of the {shown['relays']} relays in document {shown['document']}{shared}"
    return Section(f"a path {to}", ("", "relay", "address", "weight"), rows, (note,))


def _guards(shown: dict[str, Any]) -> Section:
    # A column of nothing would take the room that 80 characters have for what is needed.
    has_retry = any(each["retry_at"] is not None for each in shown["guards"])
    rows = tuple(
        (
            *_named(each)[:2],
            each["state"],
            _day(each["since"]),
            f"{each['carried']}/{each['attempts']}",
            *(["" if each["retry_at"] is None else _time(each["retry_at"])] if has_retry else []),
        )
        for each in shown["guards"]
    )
    notes = [
        "carried: paths that worked, of those that were tried",
        "dates lie up to twelve days too early; who is down is known to running programs only",
    ]
    if shown["usable_guards"] != "enough":
        notes.append(f"only few guards of the sample can be used: {shown['usable_guards']}")
    columns = ("relay", "address", "state", "since", "carried", *(["retry"] if has_retry else []))
    return Section("guards, in order", columns, rows, tuple(notes))


def _middles(shown: dict[str, Any]) -> Section:
    rows = tuple(
        (*_named(each)[:2], "usable" if each["is_usable"] else "unusable", _day(each["until"]))
        for each in shown["middles"]
    )
    return Section("sticky middles", ("relay", "address", "state", "until"), rows)


def _budget(found: dict[str, Any]) -> Section:
    bad = _percent(found["bad_share"])
    rows = tuple(
        (
            f"{each['days']} days",
            _percent(each["guard"]),
            "none" if each["middle"] is None else _percent(each["middle"]),
        )
        for each in found["over_time"]
    )
    columns = ("within", "a bad guard was used", "a bad middle was used")
    title = f"privacy budget, if {bad} of the network's weight is one adversary's"
    return Section(title, columns, rows, (*_assumptions(found), *_ends(found, bad)))


def _assumptions(found: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{found['guards_in_use']} guards for {found['guard_days']:.0f} days each and {found['middles']} middles for"
        f" {found['middle_days']:.1f} days each, drawn by weight, kept in the state folder; no relay leaves",
        f"to judge the assumption by: the largest relay has {_percent(found['largest_relay'])}, the largest declared"
        f" family {_percent(found['largest_family'])}{_verdict(found)}",
        "a bad guard learns that you use the network, and when; alone it learns no destination",
        "a bad middle learns your guard and the exit; alone it learns neither you nor your destination",
    )


def _verdict(found: dict[str, Any]) -> str:
    return ", which is more than you assume" if found["bad_share"] < found["largest_relay"] else ""


def _ends(found: dict[str, Any], bad: str) -> tuple[str, ...]:
    """Who has both ends of a path needs nothing else."""
    return (
        "a bad guard and a bad exit together link you to the destination by timing and volume; nothing prevents it",
        f"{found['exits']} relays with {_percent(found['exit_share'])} of the weight may be the exit; if all of the"
        f" {bad} is among them, it is {_percent(found['bad_exits'])} of the exits",
        f"so both ends of one path are bad with {_percent(found['linked_now'])}; and once a guard is bad, of"
        f" {found['many_paths']} paths over it one or more with {_percent(found['linked_of_many'])}",
        "who uses the network daily should read the first column as the risk to be linked at least once",
    )


def _position(each: dict[str, Any], hops: int) -> Section:
    position = each["position"]
    name = {1: "guard", hops: "exit"}.get(position, "middle")
    rows = tuple((str(count), REASONS.get(reason, reason)) for reason, count in each["refused"].items())
    note = f"{each['possible']} of {each['relays']} were possible; {each['chosen'][:16]} was taken"
    how = "the first that fits, in order" if position == 1 else "drawn by weight"
    return Section(f"hop {position}, the {name}: {how}", ("relays", "refused because"), rows, (note,))


def _named(relay: dict[str, Any]) -> tuple[str, str, str]:
    weight = "" if relay["weight"] is None else str(relay["weight"])
    return relay["id"][:16], relay["address"] or "unlisted", weight


def _percent(share: float) -> str:
    """In three digits; what is not certain is not called so."""
    return "> 99.9 %" if 0.999 < share < 1 else f"{100 * share:.3g} %"


def _day(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d")


def _time(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
