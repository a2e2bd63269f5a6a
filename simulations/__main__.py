"""``python -m simulations``: local networks, the demo and measurements.

Commands are imported when they are called, so that ``--help`` answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from onionpath.exit_codes import run_program

PROGRAM = "python -m simulations"

# Name to module, function, and the line in ``--help``, which is printed without importing any of them.
COMMANDS = {
    "adversary": (
        "simulations.adversary.commands",
        "adversary",
        "Compute what an adversary gains, beside theory.",
    ),
    "bench": ("simulations.bench.commands", "bench", "Measure relays and paths; JSON on standard output."),
    "demo": (
        "simulations.local.commands",
        "demo",
        "Fetch a page through three relays, and show who saw what.",
    ),
    "local": ("simulations.local.commands", "local", "Run a whole network on this machine until Ctrl-C."),
    "virtual": ("simulations.virtual.commands", "virtual", "Run a network for hours of virtual time."),
}


class LazyCommands(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, function, _ = COMMANDS[cmd_name]
        command = getattr(import_module(module), function)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in ``--help``."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][2]) for name in self.list_commands(ctx)])


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Experiments with onionpath on this machine."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program: runs the command and exits by the table in ``onionpath.exit_codes``."""
    run_program(cli, arguments, name=PROGRAM, explain=_explain)


def _explain(error: BaseException) -> str | None:
    """Whatever happened in an experiment may be shown whole: it is about nobody."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error}: run it by .venv/bin/python, which any ./dev command sets up"
    return f"{type(error).__name__}: {error}" if isinstance(error, Exception) else None


if __name__ == "__main__":
    main()
