"""Keeps a client's guards and middles on disk while it runs: read once, written soon after each change.

The file's rules are ``guard_file``'s; everything here happens in threads, because a disk and a lock may take long.
Spec: docs/specs/guards.md §8 and §9.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from onionpath.client.guard_file import Damage, GuardFile
from onionpath.client.path_pool import PathPool
from onionpath.errors import KeyFileError
from onionpath.path.bias import PathBias
from onionpath.path.path_memory import PathMemory

# Whoever finds new guards writes them within this time; a program that is killed before has drawn them in vain.
LOOK_EVERY_S = 1.0
# Counters change with each path, and half a minute of them may be lost.
COUNTERS_EVERY_S = 30.0


class MemoryKeeper:
    """The tie between a pool and its file.

    Args:
        file: of the guards; None keeps nothing on disk.
        pool: whose memory it is.
    """

    def __init__(self, file: Path | None, network_id: bytes, pool: PathPool) -> None:
        self._file = None if file is None else GuardFile(file, network_id)
        self._pool = pool
        self._saved = PathMemory()
        self._saved_at = -COUNTERS_EVERY_S
        self.problem: str | None = None  # What a person should know of the file.

    async def load(self) -> None:
        """Give the pool what is on disk.

        Raises:
            KeyFileError: the file cannot or must not be used; the message says what helps.
        """
        if self._file is None:
            return
        loaded = await anyio.to_thread.run_sync(self._file.load)
        self.problem = None if loaded.damage is None else _words(loaded.damage)
        self._saved = loaded.memory
        self._pool.join(loaded.memory, base=PathMemory())

    async def save(self) -> None:
        """Write what has changed, and go on with what other programs have written.

        Raises:
            KeyFileError: see ``GuardFile.save``.
        """
        ours = self._pool.memory
        if self._file is None or ours == self._saved:
            return
        joined = await anyio.to_thread.run_sync(partial(self._file.save, ours))
        self._pool.join(joined, base=ours)
        self._saved, self._saved_at = joined, anyio.current_time()

    async def save_forever(self) -> None:
        """Write each change soon; what goes wrong is told in ``problem`` and tried again."""
        while self._file is not None:
            await anyio.sleep(LOOK_EVERY_S)
            if self._is_due():
                await self.try_to_save()

    async def try_to_save(self) -> None:
        """``save`` for those who go on without."""
        try:
            await self.save()
        except KeyFileError as error:
            self.problem = f"guards are not saved: {error}"

    def _is_due(self) -> bool:
        ours = self._pool.memory
        if _without_counters(ours) != _without_counters(self._saved):
            return True
        return ours != self._saved and anyio.current_time() - self._saved_at >= COUNTERS_EVERY_S


def _without_counters(memory: PathMemory) -> PathMemory:
    return replace(memory, guards=tuple(replace(guard, bias=PathBias()) for guard in memory.guards))


def _words(damage: Damage) -> str:
    if damage.lost is None:
        return (
            f"the file of guards was damaged as a whole: guards are new; what it was is in {damage.kept_at}"
        )
    return f"{damage.lost} lines of the file of guards were damaged; what it was is in {damage.kept_at}"
