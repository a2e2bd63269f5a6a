"""Where a command's output goes: a file that is there whole or not at all, or standard output.

Every failure to write is one of ``OutputError``, so that it has its line and its exit code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from onionpath.errors import OnionPathError, UsageError

Write = Callable[[bytes], object]
STDOUT_NAME = "standard output"


class OutputError(OnionPathError):
    """The output cannot be written: a full disk, a closed pipe."""

    def __init__(self, where: object, error: OSError) -> None:
        super().__init__(f"cannot write {where}: {error.strerror or error}")


@contextmanager
def into_file(file: Path) -> Iterator[Write]:
    """Write to FILE.part, which becomes FILE at the end and is removed when anything fails.

    Raises:
        OutputError: the disk says no.
    """
    # A link stays a link to what is written, and a device or pipe is written to as it is.
    file = Path(os.path.realpath(file))
    if file.exists() and not file.is_file():
        with _opened(file, file) as stream:
            yield _writer(stream, file)
            with _told(file):
                stream.flush()
        return
    part = file.with_name(f"{file.name}.part")
    with _opened(part, file) as stream:
        try:
            yield _writer(stream, file)
            with _told(file):
                stream.close()
                part.replace(file)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


@contextmanager
def into_stdout() -> Iterator[Write]:
    """Write to standard output; bytes that are no text are not written to a terminal.

    Raises:
        OutputError: whoever reads it is gone, or its disk is full.
        UsageError: the bytes would spoil the terminal.
    """
    stream = _stdout()
    write = _writer(stream, STDOUT_NAME)

    def write_text(data: bytes) -> None:
        if b"\0" in data:
            raise UsageError("the body is binary and would spoil your terminal; write it with -o FILE")
        write(data)

    try:
        yield write_text if stream.isatty() else write
        with _told(STDOUT_NAME):
            stream.flush()
    except OutputError:
        _give_up(stream)
        raise


def say(text: str) -> None:
    """Write a text and the end of its line to standard output.

    Raises:
        OutputError: it cannot be written.
    """
    with into_stdout() as write:
        write(f"{text}\n".encode())


def _stdout() -> BinaryIO:
    if sys.stdout is None:
        raise OutputError(STDOUT_NAME, OSError("it is closed"))
    return sys.stdout.buffer


def _give_up(stream: BinaryIO) -> None:
    """What is still buffered goes nowhere; the interpreter would otherwise complain of it once more at the end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)


def _writer(stream: BinaryIO, where: object) -> Write:
    def write(data: bytes) -> None:
        with _told(where):
            stream.write(data)

    return write


@contextmanager
def _opened(file: Path, told: Path) -> Iterator[BinaryIO]:
    with _told(told):
        stream = file.open("wb")
    try:
        yield stream
    finally:
        with suppress(OSError):  # After a failure it tries once more to write what is left.
            stream.close()


@contextmanager
def _told(where: object) -> Iterator[None]:
    """Say where it was that could not be written."""
    try:
        yield
    except OSError as error:
        raise OutputError(where, error) from error
