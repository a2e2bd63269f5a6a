"""The bytes that all streams of an exit hold, counted in one place.

Each stream has small floors for itself, and what it holds beyond comes out of a budget that all share: streams that
hoard can slow others down to their floor, but not stop them. Of the budget no link takes more than it leaves free: the
first may have a half, the second then a quarter, and there is always something for the next. Whoever gets nothing
waits, and the server or the client behind it is slowed down. Spec: docs/specs/stream.md §10.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable


class Budget:
    """Bytes that all accounts share, and the accounts that wait for some.

    What comes back wakes one account, and an account that leaves something wakes the next: with a thousand waiting, a
    call that frees a kilobyte must not run a thousand tasks. The first to be woken is of the link that holds least.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._held: Counter[int] = Counter()  # by link
        self._waiting: dict[int, dict[Account, None]] = {}  # by link

    def reserve(self, wanted: int, *, link: int) -> int:
        """Take up to that many bytes for a link, which may hold as many as it leaves, and say how many."""
        granted = min(wanted, self._room(link))
        if granted:
            self._left -= granted
            self._held[link] += granted
        return granted

    def release(self, count: int, *, link: int) -> None:
        """Give bytes of a link back."""
        self._left += count
        self._held[link] -= count
        if not self._held[link]:
            del self._held[link]  # Links come and go.
        self.wake_next()

    def wait(self, account: Account) -> None:
        """Have this account woken once there is something; it stands behind those of its link that wait already."""
        self._waiting.setdefault(account.link, {})[account] = None

    def leave(self, account: Account) -> None:
        """This account waits no more."""
        waiting = self._waiting.get(account.link, {})
        waiting.pop(account, None)
        if not waiting:
            self._waiting.pop(account.link, None)

    def wake_next(self) -> None:
        """Wake the account that waits longest of the link that holds least, if there is anything for it."""
        link = min(self._waiting, key=self._held.__getitem__, default=None)
        if link is not None and self._room(link):
            account = next(iter(self._waiting[link]))
            self.leave(account)
            account.wake()

    def _room(self, link: int) -> int:
        # Half of the difference: what is taken makes the one side larger and the other smaller.
        return max(0, self._left - self._held[link]) // 2


class Account:
    """What one stream holds for one purpose.

    Args:
        link: the stream came over this one.
        floor: bytes that need no share of the budget.
        woken: called when there may be some for an account that ``hold_in_turn`` gave none.
    """

    def __init__(
        self, budget: Budget, floor: int, *, link: int, woken: Callable[[], None] = lambda: None
    ) -> None:
        self.link = link
        self._budget = budget
        self._floor = floor
        self._held = 0
        self._woken = woken

    @property
    def held(self) -> int:
        """Bytes held now."""
        return self._held

    def hold(self, wanted: int) -> int:
        """Take up to that many bytes and say how many; 0 when the floor and the budget are used up."""
        from_floor = min(wanted, max(0, self._floor - self._held))
        granted = from_floor + self._budget.reserve(wanted - from_floor, link=self.link)
        self._held += granted
        return granted

    def hold_all(self, wanted: int) -> bool:
        """Take exactly that many bytes, or none; whether they were taken."""
        granted = self.hold(wanted)
        if granted < wanted:
            self.free(granted)
        return granted == wanted

    def hold_in_turn(self, wanted: int) -> int:
        """Take up to that many bytes and say how many; with 0 the account stands in line until ``leave``."""
        granted = self.hold(wanted)
        if granted:
            self.leave()
        else:
            self._budget.wait(self)
        return granted

    def leave(self) -> None:
        """Wait no more.

        The account may have been woken a moment before, and whoever waits behind it would lose his turn with it.
        """
        self._budget.leave(self)
        self._budget.wake_next()

    def wake(self) -> None:
        """Have whoever waits for this account look again."""
        self._woken()

    def free(self, count: int) -> None:
        """Give bytes back, first those of the budget."""
        if not count:
            return
        shared = max(0, self._held - self._floor)
        self._held -= count
        returned = shared - max(0, self._held - self._floor)
        if self._held < self._floor:
            self.wake()  # Nobody else can use the floor.
        if returned:
            self._budget.release(returned, link=self.link)

    def close(self) -> None:
        """Give everything back."""
        self.free(self._held)
