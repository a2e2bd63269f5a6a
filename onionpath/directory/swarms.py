"""Which relays store together, and which of these swarms stores for an account.

Authorities that have the same last document, the same relays and the same seed get the same swarms, and relays
that come or go move few others: whoever moves must copy all that its new swarm stores. The lookup is Session's,
bit for bit. Spec: docs/specs/directory.md §10.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise

from onionpath.crypto.identity import RelayId
from onionpath.crypto.tags import digest
from onionpath.directory.document import Document
from onionpath.errors import UsageError

# Fixed by the specification (§10); 5 and 7 are Session's own.
MIN_SIZE = 5
TARGET_SIZE = 7
RING = 2**64
ACCOUNT_KEY_SIZE = 32  # bytes


def assign(
    previous: Mapping[RelayId, int], present: Collection[RelayId], *, seed: bytes
) -> dict[RelayId, int]:
    """The swarm of each relay that stores.

    Args:
        previous: the swarms of the document before.
        present: the relays that offer storage now.
        seed: what no relay could know when it chose its name; the same for all authorities.
    """
    swarms = _Swarms(seed)
    for relay in sorted(set(present) & previous.keys()):
        swarms.put(relay, previous[relay])
    homeless = set(present) - previous.keys()
    count = _count_for(len(swarms) or 1, len(set(present)))
    while len(swarms) > count:
        homeless.update(swarms.dissolve())
    while homeless and len(swarms) < count:
        swarms.found()
    for relay in sorted(homeless, key=swarms.lot):
        swarms.put(relay, swarms.with_room(relay))
    swarms.balance()
    return swarms.assignment()


def assigned(document: Document) -> dict[RelayId, int]:
    """The swarm of each relay of a document that has one."""
    return {relay.relay_id: relay.swarm for relay in document.relays if relay.swarm is not None}


def members(document: Document) -> dict[int, tuple[RelayId, ...]]:
    """The relays of each swarm of a document; ids ascend, as ``swarm_of`` wants them."""
    found: dict[int, tuple[RelayId, ...]] = {}
    for relay, swarm in assigned(document).items():
        found[swarm] = (*found.get(swarm, ()), relay)
    return dict(sorted(found.items()))


def swarm_of(account: bytes, swarms: Sequence[int]) -> int:
    """The swarm that stores for an account: the nearest one on the ring of 64 bits.

    Args:
        account: the account's X25519 public key, 32 bytes, without Session's prefix.
        swarms: the ids of all swarms, ascending.

    Raises:
        UsageError: there is no swarm, or this is no key.
    """
    if len(account) != ACCOUNT_KEY_SIZE or not swarms:
        raise UsageError("an account's swarm is sought with a key of 32 bytes among one swarm or more")
    position = account_position(account)
    index = bisect_left(swarms, position)
    right, left = swarms[index % len(swarms)], swarms[index - 1]
    # As near to both means the left one: Session's clients and servers do so.
    return right if (right - position) % RING < (position - left) % RING else left


def account_position(account: bytes) -> int:
    """Where an account lies on the ring: the four words of its key, each XORed into the last."""
    position = 0
    for start in range(0, ACCOUNT_KEY_SIZE, 8):
        position ^= int.from_bytes(account[start : start + 8], "big")
    return position


def _count_for(count: int, relays: int) -> int:
    """How many swarms so many relays make; as many as there are, if that leaves none too small or too large."""
    fewest = -(-relays // TARGET_SIZE)
    most = relays // MIN_SIZE
    # Of 8 or 9 relays neither one swarm nor two have a legal size, and one that is too large keeps everything.
    return max(1, min(max(count, fewest), most))


class _Swarms:
    """Swarms while they are being assigned. Whatever is drawn is drawn by the seed, so that all draw alike."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._members: dict[int, list[RelayId]] = {}
        self._by_size: dict[int, list[int]] = {}

    def __len__(self) -> int:
        return len(self._members)

    def lot(self, name: bytes) -> bytes:
        """What a relay, or a swarm, has drawn."""
        return digest(self._seed + name)

    def put(self, relay: RelayId, swarm: int) -> None:
        """Add a member; a swarm begins with its first."""
        self._resize(swarm, [*self._members.get(swarm, ()), relay])

    def found(self) -> None:
        """Begin a swarm without members, in the middle of the widest gap between two ids."""
        ids = sorted(self._members)
        if not ids:
            self._resize(0, [])
            return
        gaps = [(two - one, one) for one, two in pairwise([*ids, ids[0] + RING])]
        width, start = max(gaps, key=lambda gap: (gap[0], -gap[1]))
        self._resize((start + width // 2) % RING, [])

    def dissolve(self) -> list[RelayId]:
        """End one of the smallest swarms; its members are to be put elsewhere."""
        swarm = self._drawn(self._by_size[min(self._by_size)])
        members = self._members[swarm]
        self._forget(swarm)
        return members

    def with_room(self, relay: RelayId) -> int:
        """A swarm for a newcomer, drawn among the smallest quarter, so that nobody chooses his swarm."""
        candidates: list[int] = []
        for size in sorted(self._by_size):
            if candidates and size >= TARGET_SIZE:
                break
            candidates += self._by_size[size]
            # Whoever has too few members comes before all others.
            if size < MIN_SIZE or 4 * len(candidates) >= len(self._members):
                break
        return candidates[int.from_bytes(self.lot(relay)[:8], "big") % len(candidates)]

    def balance(self) -> None:
        """Move members from the largest to the smallest until no size is illegal, or no move helps."""
        while self._by_size:
            small, large = min(self._by_size), max(self._by_size)
            if large - small < 2 or (small >= MIN_SIZE and large <= TARGET_SIZE):
                return
            source, target = self._drawn(self._by_size[large]), self._drawn(self._by_size[small])
            mover = min(self._members[source], key=self.lot)
            self._resize(source, [member for member in self._members[source] if member != mover])
            self.put(mover, target)

    def assignment(self) -> dict[RelayId, int]:
        """Each relay's swarm."""
        return dict(self._pairs())

    def _pairs(self) -> Iterator[tuple[RelayId, int]]:
        for swarm, members in self._members.items():
            for member in members:
                yield member, swarm

    def _drawn(self, swarms: list[int]) -> int:
        return min(swarms, key=lambda swarm: self.lot(swarm.to_bytes(8, "big")))

    def _resize(self, swarm: int, members: list[RelayId]) -> None:
        if swarm in self._members:
            self._forget(swarm)
        self._members[swarm] = members
        insort(self._by_size.setdefault(len(members), []), swarm)

    def _forget(self, swarm: int) -> None:
        size = len(self._members.pop(swarm))
        self._by_size[size].remove(swarm)
        if not self._by_size[size]:
            del self._by_size[size]
