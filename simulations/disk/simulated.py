"""A file system in memory for SQLite that remembers which writes were synced.

    disk = SimulatedDisk()
    store = InlineStore("store.db", vfs=disk.vfs)
    rest = disk.after_power_loss(choice)      # another disk: synced writes, and of the others any sectors
    rest = disk.after_kill()                  # another disk: all writes, because the system goes on

Unsynced writes reach the disk in any order, sector by sector, or never. What was synced stays. ``before_change`` is
called before each write and sync, so that the power can go at any of them. A disk can also be full, fail to sync, or
lie about it. One process, one connection at a time: there is no shared memory, so the store must lock exclusively.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random

import apsw

SECTOR_SIZE = 512
_NUMBERS = count()
# What SQLite asks a disk; it has a file for each.
Flags = list[int]


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes that were written and not yet synced."""

    offset: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Truncation:
    """A new size that was not yet synced."""

    size: int


@dataclass(slots=True)
class StoredFile:
    """A file: what programs see of it, and what is sure to be there after power loss."""

    seen: bytearray = field(default_factory=bytearray)
    synced: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncation] = field(default_factory=list)

    def do(self, change: Write | Truncation) -> None:
        """Make a change that is seen at once."""
        apply_change(self.seen, change)
        self.pending.append(change)

    def sync(self) -> None:
        """Make sure of everything."""
        self.synced = bytearray(self.seen)
        self.pending.clear()


def apply_change(content: bytearray, change: Write | Truncation) -> None:
    """Change a file's bytes; a hole is filled with zeros."""
    if isinstance(change, Truncation):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
        return
    end = change.offset + len(change.data)
    content.extend(bytes(max(0, end - len(content))))
    content[change.offset : end] = change.data


class SimulatedDisk:
    """See above; ``vfs`` is its name for SQLite.

    Args:
        size: bytes that fit on it.
    """

    def __init__(self, *, size: int = 2**40) -> None:
        self.vfs = f"simulated-{next(_NUMBERS)}"
        self.size = size
        self.files: dict[str, StoredFile] = {}
        self.syncs = 0
        self.is_failing = False
        self.is_lying = False
        self.before_change: Callable[[], None] = lambda: None
        self._registered = _Vfs(self)

    def close(self) -> None:
        """Let SQLite forget it."""
        self._registered.unregister()

    @property
    def free_size(self) -> int:
        """Bytes that may still be written."""
        return max(0, self.size - sum(len(file.seen) for file in self.files.values()))

    def set_aside(self) -> None:
        """Remove all files, as a store does whose file is damaged."""
        self.files.clear()

    def after_kill(self) -> SimulatedDisk:
        """What the next process finds: everything that was written."""
        return self._copy(lambda file: bytearray(file.seen))

    def after_power_loss(self, choice: Random) -> SimulatedDisk:
        """What the next boot finds: what was synced, and of the rest any sectors."""
        likelihood = choice.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        return self._copy(lambda file: _remains(file, likelihood, choice))

    def _copy(self, content_of: Callable[[StoredFile], bytearray]) -> SimulatedDisk:
        other = SimulatedDisk(size=self.size)
        for name, file in self.files.items():
            content = content_of(file)
            other.files[name] = StoredFile(content, bytearray(content))
        return other


def _remains(file: StoredFile, likelihood: float, choice: Random) -> bytearray:
    content = bytearray(file.synced)
    for change in file.pending:
        for part in _sectors(change):
            if choice.random() < likelihood:
                apply_change(content, part)
    return content


def _sectors(change: Write | Truncation) -> list[Write | Truncation]:
    if isinstance(change, Truncation):
        return [change]
    end, cuts = change.offset + len(change.data), [change.offset]
    cuts += range((change.offset // SECTOR_SIZE + 1) * SECTOR_SIZE, end, SECTOR_SIZE)
    return [
        Write(start, change.data[start - change.offset : stop - change.offset])
        for start, stop in zip(cuts, [*cuts[1:], end], strict=True)
    ]


class _Vfs(apsw.VFS):
    """The system calls of SQLite. Clock, sleep and randomness are the default's."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self._disk = disk
        super().__init__(disk.vfs, base="")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: Flags) -> _OpenFile:  # type: ignore[override]
        path = name if isinstance(name, str) else name.filename() if name is not None else ""
        file = self._disk.files.setdefault(path, StoredFile()) if path else StoredFile()
        flags[1] = flags[0]
        return _OpenFile(self._disk, file)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self._disk.files.pop(filename, None)

    def xAccess(self, pathname: str, flags: int) -> bool:
        return pathname in self._disk.files

    def xFullPathname(self, name: str) -> str:
        return name


class _OpenFile:
    def __init__(self, disk: SimulatedDisk, file: StoredFile) -> None:
        self._disk = disk
        self._file = file

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._file.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        grows = max(0, offset + len(data) - len(self._file.seen))
        if grows > self._disk.free_size:
            raise apsw.FullError("the simulated disk is full")
        self._disk.before_change()
        self._file.do(Write(offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        self._disk.before_change()
        self._file.do(Truncation(newsize))

    def xSync(self, flags: int) -> None:
        if self._disk.is_failing:
            raise apsw.IOError("the simulated disk fails to sync")
        self._disk.before_change()
        self._disk.syncs += 1
        if not self._disk.is_lying:
            self._file.sync()

    def xFileSize(self) -> int:
        return len(self._file.seen)

    def xLock(self, level: int) -> None:
        """Nobody else has this disk."""

    def xUnlock(self, level: int) -> None:
        """Likewise."""

    def xCheckReservedLock(self) -> bool:
        return False

    def xSectorSize(self) -> int:
        return SECTOR_SIZE

    def xDeviceCharacteristics(self) -> int:
        return 0

    def xFileControl(self, op: int, ptr: int) -> bool:
        return False

    def xClose(self) -> None:
        """Closing syncs nothing."""
