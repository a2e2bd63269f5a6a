"""Looks names up with this machine's resolver, in threads that no caller can fill alone.

A lookup can't be stopped: its thread waits until the C library gives up, long after whoever asked has gone. So threads
are counted until they end, for all and for each link. Spec: docs/specs/stream.md §8.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import MutableMapping, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Any, cast

import trio

from onionpath.service.exit_policy import IPAddress
from onionpath.service.hosts import DnsName

# A thread that waits takes some ten kilobytes of memory; its stack of 8 MiB is address space alone.
RESOLVER_THREADS = 64

# What the C library waits for each server, and how often it asks (resolv.conf(5)): 4 s with one silent server, less
# than a stream's 5, where its own choice is 10. One attempt would make a lost name of each lost datagram.
RES_OPTIONS = "timeout:2 attempts:2"


class SystemResolver:
    """Asks this machine's resolver, in threads that nothing else uses.

    Args:
        threads: lookups at once, a quarter of them for one caller's link.
        environ: where the C library finds its options. Ours are set there unless the operator has set some; it reads
            them when the process looks up its first name, so a relay makes this before it looks up any.
    """

    def __init__(
        self, *, threads: int = RESOLVER_THREADS, environ: MutableMapping[str, str] = os.environ
    ) -> None:
        self._threads = threads
        self._share = max(1, threads // 4)
        self._running: Counter[int] = Counter()
        environ.setdefault("RES_OPTIONS", RES_OPTIONS)

    @property
    def running(self) -> int:
        """Lookups whose threads haven't ended."""
        return self._running.total()

    async def __call__(self, name: DnsName, *, caller: int) -> Sequence[IPAddress]:
        """Look a name up as an absolute one, for A and AAAA.

        Raises:
            TimeoutError: the DNS could not answer now, or too many lookups are under way.
        """
        if self.running >= self._threads or self._running[caller] >= self._share:
            raise TimeoutError("too many lookups are under way")
        # The dot at the end keeps the resolver from trying the name inside the operator's own domains.
        absolute = name.text.encode("ascii") + b"."
        look_up = partial(socket.getaddrinfo, absolute, None, type=socket.SOCK_STREAM)
        # trio asks no more of a limiter than these two methods, and gives back when the thread ends.
        limiter = cast("trio.CapacityLimiter", _Count(self._running, caller))
        try:
            entries = await trio.to_thread.run_sync(look_up, abandon_on_cancel=True, limiter=limiter)
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise TimeoutError("the DNS did not answer") from error
            return ()
        return tuple(dict.fromkeys(ip_address(entry[4][0]) for entry in entries))


class _Count:
    """Counts one thread of a link from its start to its end."""

    def __init__(self, running: Counter[int], caller: int) -> None:
        self._running = running
        self._caller = caller

    async def acquire_on_behalf_of(self, borrower: Any) -> None:
        self._running[self._caller] += 1

    def release_on_behalf_of(self, borrower: Any) -> None:
        self._running[self._caller] -= 1
        if not self._running[self._caller]:
            del self._running[self._caller]
