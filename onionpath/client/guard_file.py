"""The file in which a client's guards and sticky middles outlast it; several programs may share one.

| the file is …               | then …                                                                            |
|-----------------------------|-----------------------------------------------------------------------------------|
| missing                     | there is no memory yet                                                            |
| damaged in part             | what verifies is kept; the original is put aside; ``load`` says so                |
| damaged as a whole          | it is put aside, the memory starts anew, and ``load`` says so: once               |
| the same a second time      | refused: somebody should look before guards change again                          |
| newer, or another network's | refused, and left as it is                                                        |

Each call waits for a lock and for the disk: programs with an event loop call it in a thread. The memory's lines are
``onionpath.path.path_memory_lines``; docs/decisions/0008-guards.md says why.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from onionpath.client.shared_file import LOCK_TIMEOUT_S, locked
from onionpath.disk.private_files import replace_private, sync_dir
from onionpath.errors import KeyFileError
from onionpath.path.path_memory import PathMemory, merge
from onionpath.path.path_memory_lines import (
    MAX_SIZE,
    Damaged,
    Newer,
    OtherNetwork,
    Unreadable,
    Whole,
    decode_memory,
    encode_memory,
)

_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_IS_POSIX = os.name == "posix"


@dataclass(frozen=True, slots=True)
class Damage:
    """What was wrong with the file; a person should hear of it.

    Args:
        lost: how many lines did not verify; None when nothing did and the guards are new.
        kept_at: where the damaged file was put.
    """

    lost: int | None
    kept_at: Path


@dataclass(frozen=True, slots=True)
class Loaded:
    """The memory on disk, empty if there is none, and what was wrong with it."""

    memory: PathMemory
    damage: Damage | None = None


class GuardFile:
    """One network's guards on disk.

    Args:
        path: of the file; its lock and, after damage, the damaged original stand beside it.
        network_id: the trust root's.
    """

    def __init__(self, path: Path, network_id: bytes, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self._path, self._network_id, self._lock_timeout_s = path, network_id, lock_timeout_s
        self._base = PathMemory()

    def load(self) -> Loaded:
        """What is remembered; a damaged file is mended first.

        Raises:
            KeyFileError: the file cannot or must not be used; the message says what helps.
        """
        with self._locked():
            loaded = self._loaded()
        self._base = loaded.memory
        return loaded

    def save(self, ours: PathMemory) -> PathMemory:
        """Join our memory with what others have written meanwhile, and make it durable.

        Returns: what the program must go on with; its first guards may be another program's.

        Raises:
            KeyFileError: see ``load``, or it cannot be written.
        """
        with self._locked():
            kept = self._loaded().memory
            joined = merge(kept, ours, base=self._base)
            if joined != kept or not self._path.exists():
                self._write(joined)
        self._base = joined
        return joined

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with locked(self._path, timeout_s=self._lock_timeout_s):
                yield
        except OSError as error:
            raise self._error(f"cannot be read or written: {error.strerror}") from error

    def _loaded(self) -> Loaded:
        content = self._read()
        if content is None:
            return Loaded(PathMemory())
        match decode_memory(content, self._network_id):
            case Whole(memory):
                return Loaded(memory)
            case Damaged(memory, lost):
                kept_at = self._put_aside()
                self._write(memory)
                return Loaded(memory, Damage(lost, kept_at))
            case Unreadable():
                return Loaded(PathMemory(), Damage(None, self._put_aside(may_be_there=False)))
            case Newer(version):
                raise self._error(
                    f"was written by a newer onionpath (version {version} of the format); upgrade"
                )
            case OtherNetwork(network_id):
                raise self._error(
                    f"belongs to the network {network_id}; give each network a state of its own"
                )

    def _read(self) -> bytes | None:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | _SAFELY)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            self._check(os.fstat(descriptor))
            return file.read(MAX_SIZE + 1)

    def _check(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise self._error("is not a regular file")
        if not _IS_POSIX:
            return
        # Who can write here chooses our guards, and who can read here knows them.
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise self._error(f"others can reach it; run: chmod 600 {self._path}")

    def _put_aside(self, *, may_be_there: bool = True) -> Path:
        """Move the damaged file to its place beside, in which the first one stays until a person removes it."""
        aside = self._beside(".damaged")
        if not os.path.lexists(aside):
            self._path.replace(aside)
            sync_dir(self._path.parent)
        elif not may_be_there:
            raise self._error(
                f"no guard in it can be read, and neither could those of an earlier time in {aside}; restore a "
                f"backup, or remove both files to accept new guards"
            )
        return aside

    def _write(self, memory: PathMemory) -> None:
        replace_private(self._path, encode_memory(memory, self._network_id))

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)

    def _error(self, what: str) -> KeyFileError:
        return KeyFileError(f"{self._path}: {what}", file=str(self._path))
