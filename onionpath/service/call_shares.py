"""How memory that callers fill is shared among them.

A caller finds room as long as it would hold no more than is left for all the others. So whoever holds most is refused
first: one alone gets half, the second to come half of what is left, and N that call alike get 1/(N + 1) each. What a
caller holds is never taken from it, since what was carried out must be remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from onionpath.crypto.identity import RelayId

# Of the memory of calls with effects: replies of 128 KiB: 256 of them; small ones are bounded by number.
MAX_BYTES = 32 * 1024 * 1024
MAX_CALLS = 16_384


Caller = TypeVar("Caller", int, RelayId, str)
"""The number of a link (``Call.caller``), a relay, or the host of a server."""


class CallShares(Generic[Caller]):
    """Calls and bytes that are held, by caller."""

    def __init__(self, *, max_calls: int = MAX_CALLS, max_bytes: int = MAX_BYTES) -> None:
        self._calls: dict[Caller, int] = {}
        self._bytes: dict[Caller, int] = {}
        self._free_calls, self._free_bytes = max_calls, max_bytes

    def has_room(self, caller: Caller, size: int) -> bool:
        """Whether one more call of this caller, of so many bytes, leaves the others as much as it then holds."""
        calls, held = self._calls.get(caller, 0) + 1, self._bytes.get(caller, 0) + size
        return calls <= self._free_calls - 1 and held <= self._free_bytes - size

    def take(self, caller: Caller, size: int) -> None:
        """A call is held from now on."""
        self._add(caller, 1, size)

    def shrink(self, caller: Caller, size: int) -> None:
        """A call of this caller takes so many bytes less."""
        self._add(caller, 0, -size)

    @contextmanager
    def growing(self, caller: Caller) -> Iterator[Callable[[int], bool]]:
        """Hold a call whose size shows only as it comes; gives what counts so many bytes more, if there is room.

        All is given back at the end.
        """
        held = 0

        def grow(size: int) -> bool:
            nonlocal held
            if not self.has_room(caller, size):
                return False
            self._add(caller, 0, size)
            held += size
            return True

        self.take(caller, 0)
        try:
            yield grow
        finally:
            self.give_back(caller, held)

    def give_back(self, caller: Caller, size: int) -> None:
        """A call is forgotten, which held so many bytes."""
        self._add(caller, -1, -size)

    def _add(self, caller: Caller, calls: int, size: int) -> None:
        self._free_calls -= calls
        self._free_bytes -= size
        self._calls[caller] = self._calls.get(caller, 0) + calls
        self._bytes[caller] = self._bytes.get(caller, 0) + size
        if not self._calls[caller]:
            # Links come and go for as long as the relay runs; one that holds nothing leaves nothing here.
            del self._calls[caller], self._bytes[caller]
