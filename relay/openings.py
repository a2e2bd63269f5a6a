"""How many packets all links together may have opened, and which link waits when that is used up.

Opening a packet costs a key encapsulation, and that is most of a relay's work. The budget is a bucket that fills
steadily. A link's next packet is opened while the bucket is fuller than ``use / (use + share)``, where *use* is the
rate at which it had packets opened lately, and *share* the rate that would be fair:

    its use                              it waits while the bucket is
    none                                 empty
    its share                            less than half full
    five times its share                 less than five sixths full

So whoever is alone may use all of it, whoever asks for little is served at once beside any number of others, and those
who want more than there is end at the same multiple of their shares, because whoever uses most waits longest. A link
that waits is not read; nothing is lost. Other frames that a neighbour sends of its own accord draw from the budget,
too, by what they cost. Spec and reasons: docs/specs/link.md §8.1.
"""

from __future__ import annotations

import math

from onionpath.injected import UnixTime
from onionpath.link.frames import Frame
from onionpath.onion.geometry import SizeClass
from relay.link import Link

BURST_S = 0.5
# A relay that gets less than a whole core is full before its budget is, and then chance would divide what it opens.
# So while it is never idle, the budget is a little less than what it opens, but falls by half at most, because it may
# be busy with something else for once. While it is idle, the budget grows by as much as the idle time could carry.
BUSY_BELOW = 0.02
LESS, LEAST, MOST = 0.9, 0.5, 2.0
# Never below this part of what was granted: what draws nothing from the budget, such as TLS handshakes, could keep a
# relay busy, and would press down what it opens for everybody.
FLOOR = 1 / 8
# A frame that is answered or dropped unopened is still read, and its answer written; a large one carries sixteen times
# the bytes through TLS. What `bench relay` shows of them, in openings of small packets.
_COST = {
    (True, SizeClass.SMALL): 1.0,
    (True, SizeClass.LARGE): 5.0,
    (False, SizeClass.SMALL): 0.6,
    (False, SizeClass.LARGE): 3.0,
}
# A packet of a network with three hops is opened once over a client's link and twice over links of relays, so a third
# is what clients ask of a relay that nobody floods. Half of that remains theirs: anybody can have many links as a
# client, while each relay had to get into the directory, and its packets have cost other relays work already.
CLIENTS_PART = 1 / 6
# Use is forgotten at this pace, and a link counts for so long after it last asked.
MEMORY_S = 1.0
# Waking a link costs nearly as much as opening a packet, so all together are woken at most so often.
WAKE_EVERY_S = 0.002
SHORTEST_WAIT_S = 0.005
# Multiples of it fall evenly between 0 and 1, and so keep links apart that had to wait at one time.
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


def cost_of(frame: Frame, *, is_opened: bool) -> float:
    """What it costs us to handle a frame of a neighbour's own accord, in openings of small packets."""
    return _COST[is_opened, frame.size_class]


class Openings:
    """The budget of one switch.

    Args:
        per_second: packets that may be opened, on average; less while the machine gives less (``adapt``).
    """

    def __init__(self, per_second: float) -> None:
        self._granted = per_second
        self._use(per_second)
        self._left = self._most
        self._opened = 0.0
        self._adapted_at: UnixTime | None = None
        self._filled_at = UnixTime(0)
        # Until when each link counts among those that share; the numbers are ours.
        self._clients: dict[int, float] = {}
        self._relays: dict[int, float] = {}
        self._forgot_at = UnixTime(0)

    def wait_until(self, link: Link, now: UnixTime) -> UnixTime | None:
        """When this link may ask again; None if its next packet may be opened now."""
        self._fill(now)
        use, share = _use_of(link, now), self._share(link, now)
        if self._left >= max(1.0, self._most * use / (use + share)):
            return None
        return self._pause(link, share, now)

    def draw(self, link: Link, cost: float = 1.0) -> None:
        """A frame of this link, which has just asked, is handled."""
        self._left -= cost
        self._opened += cost
        link.used_openings += cost

    def adapt(self, idle_share: float, now: UnixTime) -> None:
        """Follow what the relay really gets done; call it some times in a second.

        Args:
            idle_share: part of the time since the last call, 0 to 1, in which the relay had nothing to do.
        """
        if self._adapted_at is not None and now > self._adapted_at:
            opened = self._opened / (now - self._adapted_at)
            if idle_share >= BUSY_BELOW:
                self._use(min(self._granted, self._per_second * min(MOST, 1 / (1 - min(idle_share, 0.9)))))
            elif opened < self._per_second:
                self._use(max(self._granted * FLOOR, opened * LESS, self._per_second * LEAST))
        self._opened, self._adapted_at = 0.0, now

    def forget(self, now: UnixTime) -> None:
        """Drop links that ask no more."""
        self._forgot_at = now
        self._clients = {link_id: until for link_id, until in self._clients.items() if until > now}
        self._relays = {link_id: until for link_id, until in self._relays.items() if until > now}

    def _use(self, per_second: float) -> None:
        self._per_second = per_second
        self._most = max(2.0, per_second * BURST_S)

    def _fill(self, now: UnixTime) -> None:
        self._left = min(self._most, self._left + (now - self._filled_at) * self._per_second)
        self._filled_at = now

    def _share(self, link: Link, now: UnixTime) -> float:
        """Openings per second: an equal one of those of its kind."""
        if now - self._forgot_at > MEMORY_S / 4:
            self.forget(now)
        kind, others, part = self._clients, self._relays, CLIENTS_PART
        if not link.is_client:
            kind, others, part = others, kind, 1 - part
        kind[link.link_id] = max(kind.get(link.link_id, 0.0), now + MEMORY_S)
        return self._per_second * (part if others else 1.0) / len(kind)

    def _pause(self, link: Link, share: float, now: UnixTime) -> UnixTime:
        # As many others have their turn meanwhile as there are, but whose share is large comes again earlier.
        turns = min(len(self._clients) + len(self._relays), self._per_second / share)
        spread = 0.5 + link.link_id * GOLDEN_RATIO % 1
        until = now + max(SHORTEST_WAIT_S, spread * turns * max(WAKE_EVERY_S, 1 / self._per_second))
        # A link that waits wants its share all the while.
        kind = self._clients if link.is_client else self._relays
        kind[link.link_id] = until + MEMORY_S
        return UnixTime(until)


def _use_of(link: Link, now: UnixTime) -> float:
    """Openings per second."""
    link.used_openings *= math.exp((link.used_at - now) / MEMORY_S)
    link.used_at = now
    # A link that has one packet opened every ``p`` seconds finds 1 / (exp(p / MEMORY_S) - 1) before the next one. The
    # plain mean would see next to no use in links that each have little, and a thousand of them would get too much.
    return 1 / (MEMORY_S * math.log1p(1 / link.used_openings)) if link.used_openings else 0.0
