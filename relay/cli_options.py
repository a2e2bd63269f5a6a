"""What the commands of ``onionpath-relay`` share: options, settings given as flags, and how a program serves."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from onionpath.errors import SettingsError

if TYPE_CHECKING:
    from relay.founding import Founded
    from relay.serving import Announce, Ready
    from relay.settings import AuthoritySettings, RelaySettings
    from relay.settings_sections import LogSection

Command = TypeVar("Command", bound=Callable[..., Any])

PROGRAM = "onionpath-relay"
_DURATION = re.compile(r"(?P<count>[1-9][0-9]{0,5})(?P<unit>[smhd])", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _seconds(context: click.Context, parameter: click.Parameter, value: str) -> int:
    """Read ``90s``, ``5m``, ``1h`` or ``1d``."""
    found = _DURATION.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"expected a number and s, m, h or d, such as 1h, not {value!r}")
    return int(found["count"]) * _UNIT_S[found["unit"]]


def duration_option(name: str, *, default: str, help: str) -> Callable[[Command], Command]:
    """An option that is given with its unit and arrives in seconds."""
    return click.option(
        name, metavar="DURATION", callback=_seconds, default=default, show_default=True, help=help
    )


SETTINGS_FILE = click.Path(path_type=Path)
set_option = click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="e.g. log.level=debug")
json_option = click.option("--json", "as_json", is_flag=True, help="JSON on standard output")
ready_option = click.option(
    "--ready-fd", type=click.IntRange(min=0), help="write the ready line to this file, too"
)


def pairs(sets: Sequence[str]) -> dict[str, str]:
    """What was given by ``--set``.

    Raises:
        SettingsError: it has another form, or a key twice.
    """
    found: dict[str, str] = {}
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals or key in found:
            raise SettingsError(f"--set {text}: expected section.key=value, once for each key", key=key)
        found[key] = value
    return found


def typed(sets: Sequence[str], kind: type[RelaySettings] | type[AuthoritySettings]) -> dict[str, Any]:
    """What was given by ``--set``, as the settings have it."""
    from relay.settings_files import parse_value

    return {key: parse_value(kind, key, text, origin=f"--set {key}") for key, text in pairs(sets).items()}


@contextmanager
def hint(section: str, command: str) -> Iterator[None]:
    """A section of the other program's file says which command was meant."""
    try:
        yield
    except SettingsError as error:
        if error.key != section:
            raise
        message = f"{error.file} is the settings file of the other kind of node; use `{command}`"
        raise SettingsError(message, file=error.file, key=error.key) from error


def print_founded(founded: Founded, what: str, then: str) -> None:
    """What was made, and the next command."""
    click.echo(f"{what} {founded.keys.identity.public.hex()}")
    click.echo(f"settings in {founded.settings_file}; next: {then}")


def prepare_process(log: LogSection) -> None:
    """Logs, and no core dumps."""
    from relay.hygiene import harden_process
    from relay.logs import configure_logs

    configure_logs(log.level, log.format)
    for warning in harden_process():
        click.echo(f"warning: {warning}", err=True)


def serve(main: Callable[[], Any]) -> None:
    """Run a program of trio."""
    import trio

    trio.run(main)


def _ready_text(ready: Ready) -> str:
    text = f"ready: {ready.identity} at {' and '.join(ready.addresses)}, process {ready.pid}"
    if ready.session is not None:
        text += f"; Session's clients at {ready.session}"
    if ready.seed_url is not None:
        text += f", seed at {ready.seed_url}"
    return text


def announcer(ready_fd: int | None, as_json: bool) -> Announce:
    """Tells once that we serve: a JSON line to ``ready_fd``, and one on standard output."""

    def announce(ready: Ready) -> None:
        facts = asdict(ready)
        line = json.dumps({"event": "ready", **facts})
        click.echo(line if as_json else _ready_text(ready))
        if ready_fd is not None:
            with os.fdopen(ready_fd, "w", encoding="ascii") as file:
                file.write(line + "\n")

    return announce
