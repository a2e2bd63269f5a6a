"""``python -m simulations``: local networks, the demo and measurements.

Commands are imported when they are called, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from onionpath.errors import OnionPathError, exit_code

PROGRAM = "python -m simulations"
INTERRUPTED = 130

# Name to module, function, and the line in ``--help``, which is printed without importing any of them.
COMMANDS = {
    "bench": ("simulations.bench.commands", "bench", "Measure relays and paths; JSON on standard output."),
    "demo": (
        "simulations.local.commands",
        "demo",
        "Fetch a page through three relays, and show who saw what.",
    ),
    "local": ("simulations.local.commands", "local", "Run a whole network on this machine until Ctrl-C."),
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
    """The program: runs the command and exits by the table in ``onionpath.errors``."""
    try:
        code = cli.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except BaseException as error:  # the last border: below it there is only the exit code
        sys.exit(code_of(error))
    sys.exit(code if isinstance(code, int) else 0)


def code_of(error: BaseException) -> int:
    """Say in one line what happened, and give the exit code."""
    while isinstance(error, BaseExceptionGroup):
        # Task groups wrap what ended them; the first is the cause, the others are usually its echo.
        error = error.exceptions[0]
    match error:
        case SystemExit(code=code):
            return code if isinstance(code, int) else 1
        case click.Abort() | KeyboardInterrupt():
            return INTERRUPTED
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message(), err=True)
            return error.exit_code
        case click.ClickException():
            return _say(f"{error.format_message()} (see: {PROGRAM} --help)", error.exit_code)
        case OnionPathError():
            return _say(str(error), exit_code(error))
        case OSError():
            return _say(str(error), 1)
        case _:
            return _say(f"{type(error).__name__}: {' '.join(str(error).split())}", 1)


def _say(message: str, code: int) -> int:
    click.echo(f"error: {message}", err=True)
    return code


if __name__ == "__main__":
    main()
