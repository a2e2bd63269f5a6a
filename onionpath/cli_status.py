"""``onionpath status``: what the state folder holds, and how the proxies that run are."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from onionpath.cli_client import client_folder, network_file, run_loop
from onionpath.cli_given import Given, json_option, settings_options
from onionpath.cli_output import say

if TYPE_CHECKING:
    from onionpath.cli_settings import Settings
    from onionpath.directory.trust import TrustRoot

Shown = dict[str, Any]
Show = Callable[[Shown], None]
# How often --watch looks; a second is what a person calls at once.
LOOK_EVERY_S = 1.0


@click.command()
@click.option(
    "--watch", "-w", is_flag=True, help="Show each change until Ctrl-C; with --json one line for each."
)
@settings_options
@json_option
def status(watch: bool, given: Given, as_json: bool) -> None:
    """Show the directory and the guards in the state folder, and each `onionpath proxy` that runs with it.

    Nothing is sent to anybody.
    """
    settings = given.settings()
    run_loop(network_file(settings), lambda: _status(settings, watch=watch, as_json=as_json))


async def _status(settings: Settings, *, watch: bool, as_json: bool) -> None:
    import anyio

    from onionpath.disk.trust_file import read_trust_root

    root = read_trust_root(network_file(settings))
    with _display(watch=watch, as_json=as_json) as show:
        shown = None
        while True:
            newest = await _look(settings, root)
            if newest != shown:
                show(newest)
            shown = newest
            if not watch:
                return
            await anyio.sleep(LOOK_EVERY_S)


async def _look(settings: Settings, root: TrustRoot) -> Shown:
    import time

    from onionpath.cli_status_disk import of_disk
    from onionpath.cli_status_door import ask_all
    from onionpath.cli_status_process import parse_process
    from onionpath.injected import UnixTime

    folder = client_folder(settings, root)
    processes = [parse_process(told).as_json() for told in await ask_all(folder)]
    return {
        "network": root.name,
        "network_id": root.network_id.hex(),
        "folder": str(folder),
        **of_disk(folder, root, now=UnixTime(time.time())),
        "processes": processes,
    }


@contextmanager
def _display(*, watch: bool, as_json: bool) -> Iterator[Show]:
    from onionpath.cli_path_sections import as_lines, draw, renderables
    from onionpath.cli_status_sections import status_sections

    if as_json:
        yield lambda shown: say(json.dumps(shown))
    elif not sys.stdout.isatty():
        yield lambda shown: say("\n".join(as_lines(status_sections(shown))) + ("\n" if watch else ""))
    elif not watch:
        yield lambda shown: draw(status_sections(shown))
    else:
        from rich.console import Group
        from rich.live import Live

        with Live(auto_refresh=False) as live:
            yield lambda shown: live.update(Group(*renderables(status_sections(shown))), refresh=True)
