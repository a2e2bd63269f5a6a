"""``onionpath settings show``: each setting, its value, and where that comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from onionpath.cli_given import Given, json_option, settings_options
from onionpath.cli_output import say

if TYPE_CHECKING:
    from onionpath.cli_settings import Chosen


@click.group()
def settings() -> None:
    """Look at the settings."""


@settings.command("show")
@settings_options
@json_option
def settings_show(given: Given, as_json: bool) -> None:
    """Show each setting, its value, and where that comes from: flag, environment, file or default.

    A proxy's password is not shown.
    """
    from onionpath.cli_settings_values import constraints_of

    chosen = given.choose()
    # So that what would stop other commands stops this one, too.
    constraints_of(chosen.settings)
    shown = _values(chosen)
    if as_json:
        each = {key: {"value": value, "from": chosen.origins[key]} for key, value in shown.items()}
        say(json.dumps({"file": str(given.file), "settings": each}))
        return
    rows = [(key, _text(value), chosen.origins[key]) for key, value in shown.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    missing = "" if given.file.exists() else ", which does not exist"
    say(f"settings file: {given.file}{missing}")
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _values(chosen: Chosen) -> dict[str, Any]:
    import msgspec

    from onionpath.cli_settings_values import without_password

    values = msgspec.structs.asdict(chosen.settings)
    if values["proxy"] is not None:
        values["proxy"] = without_password(values["proxy"])
    return values


def _text(value: Any) -> str:
    """As it would stand in the file; nothing for what is not set."""
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return json.dumps(list(value))
    return json.dumps(value, ensure_ascii=False)
