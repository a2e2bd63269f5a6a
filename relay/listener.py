"""Accepting connections: how many in all, and how many and how fast from one source.

A source is an IPv4 address or an IPv6 /64. The gate is pure; the loop that accepts is at the end.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import trio

from onionpath.errors import SettingsError
from onionpath.injected import UnixTime
from relay.links import prepare
from relay.packet_rate import PacketRate
from relay.settings import Endpoint

RETRY_S = 0.1


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Args:
    connections: open at once in all.
    per_source: open at once from one source.
    per_second, burst: new ones from one source.
    """

    connections: int = 8_192
    per_source: int = 100
    per_second: float = 20.0
    burst: float = 100.0


class Gate:
    """Decides who may connect, in bounded memory.

    Of sources beyond the remembered ones it forgets the rate of the one that it met first. Whoever has so many sources
    gains by it no more than a new burst for each, and the connections open at once are counted without forgetting.
    """

    REMEMBERED_SOURCES = 16_384

    def __init__(self, limits: GateLimits) -> None:
        self._limits = limits
        self._open: Counter[str] = Counter()
        self._open_in_all = 0
        self._rates: OrderedDict[str, PacketRate] = OrderedDict()
        self._counts: Counter[str] = Counter()

    def admit(self, address: str, *, now: UnixTime) -> str | None:
        """The source to give to ``leave`` later, or None when the connection must be closed."""
        source = source_of(address)
        refusal = self._refusal(source, now)
        if refusal is not None:
            self._counts[refusal] += 1
            return None
        self._open[source] += 1
        self._open_in_all += 1
        return source

    def leave(self, source: str) -> None:
        """A connection that was admitted has ended."""
        self._open[source] -= 1
        self._open_in_all -= 1
        if not self._open[source]:
            del self._open[source]

    def count(self, reason: str) -> None:
        """One more connection that came to nothing, for a reason that the gate doesn't see."""
        self._counts[reason] += 1

    def counts(self) -> dict[str, int]:
        """Refusals by reason since the start."""
        return dict(self._counts)

    def _refusal(self, source: str, now: UnixTime) -> str | None:
        if self._open_in_all >= self._limits.connections:
            return "connections_full"
        if self._open[source] >= self._limits.per_source:
            return "source_full"
        rate = self._rates.get(source)
        if rate is None:
            if len(self._rates) >= self.REMEMBERED_SOURCES:
                self._rates.popitem(last=False)
            rate = self._rates[source] = PacketRate.full(self._limits.per_second, self._limits.burst, now)
        return None if rate.take(now) else "source_too_fast"


def source_of(address: str) -> str:
    """What counts as one source: an IPv4 address, also when mapped into IPv6, or an IPv6 /64."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((parsed, 64), strict=False))
    return str(parsed)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        OSError: the address or port isn't ours to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(1024)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


@contextmanager
def listening(endpoints: Sequence[Endpoint], key: str) -> Iterator[list[socket.socket]]:
    """Listen at all of these, and close them at the end.

    Raises:
        SettingsError: one of them isn't ours to take; ``key`` says where the settings name it.
    """
    with ExitStack() as stack:
        listeners = []
        for endpoint in endpoints:
            try:
                listeners.append(stack.enter_context(bind(endpoint.host, endpoint.port)))
            except OSError as error:
                hint = "; is it running already?" if error.errno == errno.EADDRINUSE else ""
                message = f"cannot listen on {endpoint}: {error.strerror}{hint}"
                raise SettingsError(message, key=key) from error
        yield listeners


async def accept_forever(
    sock: socket.socket,
    gate: Gate,
    serve: Callable[[socket.socket], Awaitable[None]],
    nursery: trio.Nursery,
    *,
    clock: Callable[[], UnixTime],
) -> None:
    """Accept until cancelled; each admitted connection is served in ``nursery``."""

    async def serve_one(connection: socket.socket, source: str) -> None:
        try:
            await serve(prepare(connection))
        except OSError:
            gate.count("left_at_once")
        finally:
            connection.close()
            gate.leave(source)

    while True:
        try:
            connection, address = sock.accept()
        except BlockingIOError:
            await trio.lowlevel.wait_readable(sock)
            continue
        except OSError as error:
            # The peer left before we looked, or files ran out: neither is a reason to stop, nor to spin.
            gate.count("files_full" if error.errno in (errno.EMFILE, errno.ENFILE) else "accept_failed")
            await trio.sleep(RETRY_S)
            continue
        source = gate.admit(str(address[0]), now=clock())
        if source is None:
            connection.close()
            await trio.lowlevel.checkpoint()
        else:
            nursery.start_soon(serve_one, connection, source)
