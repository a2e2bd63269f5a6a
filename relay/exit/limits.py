"""What the streams of an exit may take. Spec: docs/specs/stream.md §10."""

from __future__ import annotations

from dataclasses import dataclass

from onionpath.service.stream_buffers import DOWNSTREAM_LIMIT, UPSTREAM_LIMIT
from relay.exit.forgotten import MAX_FORGOTTEN


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What streams may take; sizes in bytes.

    Args:
        streams: open at once. Each has a socket, and a relay's process has a few thousand.
        streams_per_link: of one caller's link, which carries many clients but must not take all.
        evict_after_s: when a link has its share of streams, or the relay all, the one that carried no byte for the
            longest time makes room for a new one, if that is so long ago.
        tokens: of streams that are over, remembered with those that are open; a quarter of them for one link.
        calls_per_stream: waiting at once; a client keeps 32 polls and 8 pushes.
        calls_per_link: waiting at once; half of what the service answers at once.
        idle_s: a stream without a call for so long is forgotten; a live client polls every 20 s.
        life_s: a stream is ended so long after it was opened, whatever it carries.
        bytes_each_way: a stream that carried more than so many, up or down, is ended.
        longest_wait_s: no call waits longer, whatever it asks for; below the 25 s of a service.
        linger_s: how long bytes that came before CLOSE may still be written.
        write_timeout_s: a server that takes nothing for so long is given up.
        upstream, downstream: held for one stream.
        waiting: held with the calls of one stream that wait; a client sends at most ``upstream`` ahead of what it
            knows to have arrived, and a call's body and the data read from it count both.
        total: held for all; the floors of each stream are certain, and beyond them no link takes more than it leaves.
        floor: what a stream may always hold in each direction.
        waiting_floor: what it may always hold with its waiting calls.
    """

    streams: int = 1024
    streams_per_link: int = 512
    evict_after_s: float = 15.0
    tokens: int = MAX_FORGOTTEN
    calls_per_stream: int = 64
    calls_per_link: int = 2048
    idle_s: float = 60.0
    life_s: float = 86_400.0
    bytes_each_way: int = 16 * 1024**3
    longest_wait_s: float = 20.0
    linger_s: float = 10.0
    write_timeout_s: float = 300.0
    upstream: int = UPSTREAM_LIMIT
    downstream: int = DOWNSTREAM_LIMIT
    waiting: int = 2 * UPSTREAM_LIMIT
    total: int = 64 * 1024 * 1024
    floor: int = 16 * 1024
    waiting_floor: int = 4 * 1024

    @property
    def shared(self) -> int:
        """What of ``total`` the streams share."""
        return max(0, self.total - (2 * self.floor + self.waiting_floor) * self.streams)
