"""What a relay's machine keeps when its process dies: keys, replay tables, the directory's snapshot.

The replay part decides what ``relay.replay_files`` decides from mapped files, without a disk; tests hold the two
against each other over random lives.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from onionpath.crypto.hybrid import HybridPrivateKey
from onionpath.crypto.identity import IdentityKey
from onionpath.crypto.tags import TagKey
from onionpath.directory.directory import Directory
from onionpath.injected import Entropy, UnixTime
from onionpath.onion.replay import ENTRY_SIZE, NO_SLOT, Table, slot_at
from relay.replay_files import Loss


class ReplayDisk:
    """The storage of a ``ReplayMemory`` that outlives it; satisfies ``onion.replay.Tables``.

    Killing the process loses nothing. ``lose_power`` loses every tag since the last clean stop, which is the worst
    that a power loss can do; what was recorded is flushed at once and stays.
    """

    def __init__(self, *, slot_s: float, capacity: int) -> None:
        self.highest = NO_SLOT
        self.floor = NO_SLOT
        self.loss: Loss | None = None
        self._slot_s = slot_s
        self._capacity = capacity
        self._tables: dict[int, memoryview] = {}
        self._tag_key: TagKey | None = None
        self._boot = ""
        self._clean = False

    @property
    def tag_key(self) -> TagKey:
        """The secret of the tags; made by ``start``."""
        assert self._tag_key is not None
        return self._tag_key

    def start(self, *, now: UnixTime, keys_existed: bool, boot_id: str, entropy: Entropy) -> None:
        """A process starts: go on where the last one stopped, or refuse the slots whose tags may be lost."""
        self.loss = self._judge(boot_id) if keys_existed else None
        if not keys_existed or self.loss is not None:
            self._reset(slot_at(now, self._slot_s))
            self._tag_key = TagKey(entropy(32))
        self._boot, self._clean = boot_id, False

    def _judge(self, boot_id: str) -> Loss | None:
        if self._tag_key is None:
            return Loss.STATE_MISSING
        if self._boot != boot_id and not self._clean:
            return Loss.OTHER_BOOT
        return None

    def _reset(self, current: int) -> None:
        lost = self.loss is not None
        # A table exists since the slot before it was "now".
        recorded = (current, self.highest, self.floor - 1, *(slot - 1 for slot in self._tables))
        self.highest = max(recorded) if lost else NO_SLOT
        self.floor = self.highest + 1 if lost else NO_SLOT
        self._tables.clear()

    def close(self) -> None:
        """A clean stop: all tags are flushed."""
        self._clean = True

    def lose_power(self) -> None:
        """The machine stops; unless the process was stopped before, no tag of the open tables is left."""
        if not self._clean:
            for slot in self._tables:
                self._tables[slot] = self._empty()

    def open_table(self, slot: int) -> Table | None:
        """The slot's tags, as they are."""
        is_new = slot not in self._tables
        if is_new:
            self._tables[slot] = self._empty()
        return Table(self._tables[slot], is_new=is_new)

    def drop_table(self, slot: int) -> None:
        """Forget the slot's tags."""
        self._tables.pop(slot, None)

    def record(self, *, highest: int, floor: int) -> bool:
        """Keep both across any stop."""
        self.highest, self.floor = highest, floor
        return True

    def _empty(self) -> memoryview:
        return memoryview(bytearray(self._capacity * ENTRY_SIZE)).cast("Q")


@dataclass(slots=True)
class Disk:
    """One machine's state folder.

    Args:
        packet_keys: seeds by epoch, in memory as keys.
        directory: the snapshot; its bytes are made when they are read.
        evidence: against authorities, by the number of which they signed two documents.
        signer: an authority's state, as it was stored last.
    """

    identity: IdentityKey
    link_key_hash: bytes
    replay: ReplayDisk
    packet_keys: dict[int, HybridPrivateKey] = field(default_factory=dict)
    directory: Directory | None = None
    evidence: dict[int, bytes] = field(default_factory=dict)
    signer: bytes | None = None
