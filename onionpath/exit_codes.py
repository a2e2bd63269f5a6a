"""How our programs end: one line on standard error that says what to do, and a documented exit code.

What it leaves to each program: its commands, and the errors that only its own libraries raise (``explain``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import click

from onionpath.errors import (
    DeadlineError,
    DirectoryError,
    KeyFileError,
    NoPathError,
    OnionPathError,
    RefusedError,
    SettingsError,
    UnreachableError,
    UsageError,
    WebsiteError,
)

OTHER = 1
WRONG_COMMAND_LINE = 2  # click's own
INTERRUPTED = 130  # what shells give a program that SIGINT ended
TERMINATED = 143  # and one that SIGTERM ended

# First match wins; docs/guides/exit-codes.md says the same to people. Whatever has no code of its own is ``OTHER``.
EXIT_CODES: tuple[tuple[type[OnionPathError], int], ...] = (
    (KeyFileError, 6),
    (SettingsError, 3),
    (UsageError, WRONG_COMMAND_LINE),
    (DeadlineError, 5),
    (NoPathError, 4),
    (UnreachableError, 4),
    (DirectoryError, 7),
    (RefusedError, 8),
    (WebsiteError, 9),
)

Explain = Callable[[BaseException], OnionPathError | str | None]
"""What an error of a program's own libraries is: an error of ours, a line to print before code 1, or None."""


def exit_code(error: OnionPathError) -> int:
    """The documented exit code of a program that ends with this error."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), OTHER)


def no_explanation(error: BaseException) -> None:
    """For programs whose libraries raise nothing of their own."""


def run_program(
    command: click.Command,
    arguments: Sequence[str] | None = None,
    *,
    name: str,
    explain: Explain = no_explanation,
) -> NoReturn:
    """Run a command, and exit by the table.

    Args:
        arguments: those of the process, unless given.
        name: what the program is called in its own messages.
    """
    try:
        code = command.main(arguments, prog_name=name, standalone_mode=False)
    except BaseException as error:  # the last border: below it there is only the exit code
        sys.exit(code_of(error, explain))
    sys.exit(code if isinstance(code, int) else 0)


def code_of(error: BaseException, explain: Explain = no_explanation) -> int:
    """Say in one line what happened, and give the exit code."""
    while isinstance(error, BaseExceptionGroup):
        # Nurseries wrap what ended them; the first is the cause, the others are usually its echo.
        error = error.exceptions[0]
    match error:
        case SystemExit(code=code):
            return code if isinstance(code, int) else OTHER
        case click.Abort() | KeyboardInterrupt():
            return INTERRUPTED
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message(), err=True)
            return error.exit_code
        case click.ClickException():
            context = getattr(error, "ctx", None)
            where = f" (see: {context.command_path} --help)" if context is not None else ""
            return _say(error.format_message() + where, error.exit_code)
        case BrokenPipeError():
            return OTHER  # whoever read our output has had enough
    explained = error if isinstance(error, OnionPathError) else explain(error)
    if isinstance(explained, OnionPathError):
        return _say(str(explained), exit_code(explained))
    return _say(explained or _described(error), OTHER)


def _described(error: BaseException) -> str:
    if isinstance(error, OSError):
        file = f"{error.filename}: " if error.filename else ""
        return f"{file}{error.strerror or type(error).__name__}"
    # Its text may hold what must not be shown, such as an address.
    return f"a fault of ours: {type(error).__name__}; please report this line"


def _say(message: str, code: int) -> int:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    return code
