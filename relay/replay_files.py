"""The replay memory's tables as mapped files, and what was recorded of them.

What is mapped as shared belongs to the kernel and survives SIGKILL of ours; only power loss or a crash of the
kernel loses tags that were set since the last flush. Another boot id without a clean close therefore means
"perhaps lost", and then every slot whose tags may have been among them is refused:

| what is found at the start                          | what follows                            |
|-----------------------------------------------------|-----------------------------------------|
| no packet keys yet                                  | nothing to replay: everything is open   |
| same boot, state and tables in order                | go on where we stopped                  |
| another boot, closed cleanly, state and tables in order | go on where we stopped              |
| anything else                                       | floor = max(recorded, now) + 1          |

A clock that was once far ahead leaves a floor far ahead, and until then every packet would be refused. Whoever
opens this asks ``is_far_ahead``, and may erase all packet keys and open it once more: nothing is left to replay.

A relay starts with this before it makes packet keys. docs/decisions/0004-slots-and-replay.md has the reasons.
"""

from __future__ import annotations

import mmap
import os
from enum import Enum
from pathlib import Path

import msgspec

from onionpath.crypto.tags import TagKey, digest
from onionpath.disk.private_files import (
    erase_file,
    make_private_dir,
    read_private,
    replace_private,
    temporary_name,
)
from onionpath.errors import KeyFileError
from onionpath.injected import Entropy, UnixTime
from onionpath.onion.replay import (
    DEFAULT_CAPACITY,
    DEFAULT_SLOT_S,
    ENTRY_SIZE,
    NO_SLOT,
    Table,
    check_capacity,
    slot_at,
)
from relay.folder_lock import FolderLock

STATE_NAME = "state.json"
TABLE_SUFFIX = ".tags"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Loss(Enum):
    """Why the tags of an earlier life cannot be relied upon."""

    OTHER_BOOT = "the machine stopped while the relay ran"
    STATE_MISSING = "the replay state is missing although packet keys exist"
    STATE_DAMAGED = "the replay state is damaged"
    TABLES_DAMAGED = "a replay table is missing or has another size"
    SLOTS_CHANGED = "the network's slots have another length now"


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    boot: str
    tag_key: str  # 64 hex digits
    slot_s: float
    capacity: int
    highest: int
    floor: int
    clean: bool
    version: int = 1

    def __repr__(self) -> str:
        # Whoever has the tag key can tell whether a packet was seen here.
        return f"<_State {self.floor} to {self.highest}>"


def read_boot_id(entropy: Entropy) -> str:
    """What the kernel calls this boot; a name never seen before where it has none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return entropy(16).hex()


def _encode(state: _State) -> bytes:
    body = msgspec.json.encode(state)
    return digest(body).hex().encode() + b"\n" + body + b"\n"


def _decode(content: bytes) -> _State | None:
    """The state, or None if these bytes are not exactly as we wrote them."""
    try:
        state = msgspec.json.decode(content.partition(b"\n")[2], type=_State)
        # The digest tells damage from our own writing; whoever can write here needs no forgery.
        return (
            state
            if _encode(state) == content and state.version == 1 and len(bytes.fromhex(state.tag_key)) == 32
            else None
        )
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _window(state: _State) -> range:
    """The slots whose tables were open when this was recorded."""
    if state.highest == NO_SLOT:
        return range(0)
    return range(max(state.floor + 1, state.highest - 1), state.highest + 2)


def _map(path: Path, size: int) -> tuple[mmap.mmap, memoryview, memoryview]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        # Reserved, not sparse: a hole that a full disk cannot fill would end the process with SIGBUS.
        os.posix_fallocate(descriptor, 0, size)
        mapped = mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED)
    finally:
        os.close(descriptor)
    whole = memoryview(mapped)
    return mapped, whole, whole.cast("Q")


def _unmap(mapped: mmap.mmap, whole: memoryview, entries: memoryview) -> None:
    entries.release()
    whole.release()
    mapped.close()


class ReplayFiles:
    """The storage of a ``ReplayMemory`` in one folder; also says what was lost.

    Args:
        folder: made if missing; nobody else may use it.
        now: the time of the start.
        slot_s: length of a slot in seconds.
        keys_existed: whether any packet key is on disk. False means that there is nothing to replay.
        entropy: for the secret of the tags.
        boot_id: names this boot of the machine.
        capacity: entries per slot, a power of two; 8 bytes each.

    Raises:
        SettingsError: another process uses the folder.
        KeyFileError: the folder or its files are open to others, or cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        now: UnixTime,
        keys_existed: bool,
        entropy: Entropy,
        boot_id: str,
        slot_s: float = DEFAULT_SLOT_S,
        capacity: int = DEFAULT_CAPACITY,
    ) -> None:
        check_capacity(capacity)
        self._folder, self._capacity, self._boot = folder, capacity, boot_id
        self._slot_s = float(slot_s)
        self._mapped: dict[int, tuple[mmap.mmap, memoryview, memoryview]] = {}
        make_private_dir(folder)
        self._lock = FolderLock(folder)
        try:
            self.loss = self._start(slot_at(now, slot_s), keys_existed, entropy)
        except BaseException:
            self._lock.close()
            raise

    def _start(self, current: int, keys_existed: bool, entropy: Entropy) -> Loss | None:
        state, loss = self._judge()
        # Nothing that an earlier life has accepted can come again if no key exists that opens it.
        if not keys_existed:
            state, loss = None, None
        if state is not None and loss is None:
            self.highest, self.floor, key = state.highest, state.floor, bytes.fromhex(state.tag_key)
            self._remove_strays(set(_window(state)))
        else:
            self._reset(state, current, lost=loss is not None)
            key = entropy(32)
        self.tag_key = TagKey(key)
        self._write(clean=False)
        return loss

    def _judge(self) -> tuple[_State | None, Loss | None]:
        path = self._folder / STATE_NAME
        erase_file(temporary_name(path))
        if not os.path.lexists(path):
            return None, Loss.STATE_MISSING
        state = _decode(read_private(path))
        if state is None:
            return None, Loss.STATE_DAMAGED
        if state.boot != self._boot and not state.clean:
            return state, Loss.OTHER_BOOT
        if state.slot_s != self._slot_s:
            return state, Loss.SLOTS_CHANGED
        if state.capacity != self._capacity or not self._are_tables_whole(state):
            return state, Loss.TABLES_DAMAGED
        return state, None

    def _are_tables_whole(self, state: _State) -> bool:
        return all(self._has_table(slot) for slot in _window(state))

    def _has_table(self, slot: int) -> bool:
        path = self._path(slot)
        return path.is_file() and not path.is_symlink() and path.stat().st_size == self._capacity * ENTRY_SIZE

    def _reset(self, state: _State | None, current: int, *, lost: bool) -> None:
        # A table's name is a second record: it was made when the slot before it was "now".
        recorded = [current, *(slot - 1 for slot in self._slots_on_disk())]
        if state is not None:
            # Slots of another length are compared by the time at which they end.
            end = (max(state.highest, state.floor - 1) + 1) * state.slot_s
            recorded.append(slot_at(UnixTime(end - 1e-3), self._slot_s))
        self.highest = max(recorded) if lost else NO_SLOT
        self.floor = self.highest + 1 if lost else NO_SLOT
        self._remove_strays(set())

    def _remove_strays(self, wanted: set[int]) -> None:
        """Remove tables that were made or dropped just before a kill; none of them has a tag that counts."""
        for slot in self._slots_on_disk():
            if slot not in wanted:
                self._path(slot).unlink()

    def _slots_on_disk(self) -> list[int]:
        names = (path.name.removesuffix(TABLE_SUFFIX) for path in self._folder.glob(f"*{TABLE_SUFFIX}"))
        return [int(name) for name in names if name.isascii() and name.isdecimal()]

    def _path(self, slot: int) -> Path:
        return self._folder / f"{slot}{TABLE_SUFFIX}"

    def _write(self, *, clean: bool) -> None:
        state = _State(
            boot=self._boot,
            tag_key=self.tag_key.reveal().hex(),
            slot_s=self._slot_s,
            capacity=self._capacity,
            highest=self.highest,
            floor=self.floor,
            clean=clean,
        )
        replace_private(self._folder / STATE_NAME, _encode(state))

    @property
    def refused_until(self) -> UnixTime:
        """From here on packets of honest clients are accepted; in the past unless something was lost."""
        return UnixTime((self.floor + 1) * self._slot_s)

    def is_far_ahead(self, now: UnixTime) -> bool:
        """Whether packets are refused for longer than any loss explains: by more than two slots."""
        return max(self.floor, self.highest - 2) > slot_at(now, self._slot_s) + 2

    def open_table(self, slot: int) -> Table | None:
        """Map the slot's file, making it first if it's new; None if the disk has no room for it."""
        path, size = self._path(slot), self._capacity * ENTRY_SIZE
        is_new = not path.exists()
        try:
            self._mapped[slot] = _map(path, size)
        except OSError:
            if is_new:
                path.unlink(missing_ok=True)
            return None
        return Table(self._mapped[slot][2], is_new=is_new)

    def drop_table(self, slot: int) -> None:
        """Remove the slot's file; a crash before that leaves a file below the floor, which is ignored."""
        if slot in self._mapped:
            _unmap(*self._mapped.pop(slot))
        self._path(slot).unlink(missing_ok=True)

    def record(self, *, highest: int, floor: int) -> bool:
        """Write and flush the state: some milliseconds once in a slot; False if the disk refuses."""
        before = self.highest, self.floor
        self.highest, self.floor = highest, floor
        try:
            self._write(clean=False)
        except KeyFileError:
            self.highest, self.floor = before
            return False
        return True

    def close(self) -> None:
        """Flush every tag, then note that it was done; closing twice is fine. The memory ends here."""
        if self._lock.is_closed:
            return
        try:
            for mapped in self._mapped.values():
                mapped[0].flush()
            self._write(clean=True)
        finally:
            for mapped in self._mapped.values():
                _unmap(*mapped)
            self._mapped.clear()
            self._lock.close()
