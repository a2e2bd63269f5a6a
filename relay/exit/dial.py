"""The one way by which an exit connects to a server: resolve once, judge every answer, dial what passed.

Nothing is cached and nothing is shared between two dials: a cache would show one caller, by its speed, what
another has visited. Spec: docs/specs/stream.md §8.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import ExitStack, asynccontextmanager
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

import trio

from onionpath.onion.statuses import Reason
from onionpath.path.embedded import embedded
from onionpath.service.exit_policy import ExitPolicy, IPAddress, IPNetwork
from onionpath.service.hosts import DnsName, Host
from relay.addresses import Forbidden, judge
from relay.exit.destinations import DestinationLimits, Destinations


class Resolver(Protocol):
    """Finds names' addresses."""

    async def __call__(self, name: DnsName, *, caller: int) -> Sequence[IPAddress]:
        """A name's addresses, best first, perhaps none; ``caller`` is the link that asks.

        Raises:
            TimeoutError: the DNS doesn't answer, or the resolver has too much to do.
        """
        ...


Connect = Callable[[IPAddress, int], Awaitable[trio.SocketStream]]
"""Connects to an address and port; raises OSError."""

RESOLVE_TIMEOUT_S = 5.0  # what a resolver needs for one retry; with the next it stays below a service's 25 s
CONNECT_TIMEOUT_S = 10.0  # for both addresses together
MAX_ADDRESSES_TRIED = 2
MAX_ANSWERS = 64  # no honest name has more, and each is judged on the thread that carries everybody's packets

_LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


class Dialer:
    """Connects for the callers of one exit.

    Args:
        policy: what the operator lets them reach.
        own: gives the addresses of this machine: its interfaces' and those that it advertises, which behind a
            translator are no interface's. Asked at each dial, since they change.
        listeners: where this relay listens; no caller reaches them, not even where ``reachable_private`` says so.
            An unspecified address stands for all of this machine's.
        reachable_private: see ``addresses.judge``.
        resolver, connect: how; the world's are ``SystemResolver()`` and ``connect``.
        destinations: what each server is spared, except those in ``reachable_private``: they are the operator's.
        resolve_timeout_s, connect_timeout_s: together they bound a dial, in seconds.
    """

    def __init__(
        self,
        policy: ExitPolicy,
        *,
        own: Callable[[], Collection[IPAddress]],
        listeners: Collection[tuple[IPAddress, int]] = (),
        reachable_private: Sequence[IPNetwork] = (),
        resolver: Resolver,
        connect: Connect,
        destinations: DestinationLimits | None = None,
        resolve_timeout_s: float = RESOLVE_TIMEOUT_S,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        self._policy = policy
        self._own = own
        self._listeners = tuple(listeners)
        self._reachable_private = reachable_private
        self._resolver = resolver
        self._connect = connect
        self._destinations = Destinations(destinations or DestinationLimits())
        self._resolve_timeout_s = resolve_timeout_s
        self._connect_timeout_s = connect_timeout_s

    @asynccontextmanager
    async def dial(self, host: Host, port: int, caller: int) -> AsyncIterator[trio.SocketStream | Reason]:
        """Connect, or say why not; the connection is closed at the end.

        Args:
            caller: the link that asks, for accounting.
        """
        with ExitStack() as counted:
            connection = await self._dial(host, port, caller, counted)
            if isinstance(connection, Reason):
                yield connection
            else:
                async with connection:
                    yield connection

    async def _dial(
        self, host: Host, port: int, caller: int, counted: ExitStack
    ) -> trio.SocketStream | Reason:
        if not self._policy.may_allow_port(port):
            return Reason.PORT_REFUSED
        found = await self._resolve(host, caller)
        if isinstance(found, Reason):
            return found
        chosen = self._choose(found, port)
        if isinstance(chosen, Reason):
            return chosen
        return await self._connect_to_one(chosen, port, counted)

    async def _resolve(self, host: Host, caller: int) -> Sequence[IPAddress] | Reason:
        if not isinstance(host, DnsName):
            return (host,)
        if host.is_localhost:
            return _LOOPBACK
        if not host.is_public:
            return Reason.NAME_NOT_FOUND
        addresses: Sequence[IPAddress] | None = None
        try:
            with trio.move_on_after(self._resolve_timeout_s):
                addresses = await self._resolver(host, caller=caller)
        except TimeoutError:
            return Reason.NAME_TIMED_OUT
        if addresses is None:
            return Reason.NAME_TIMED_OUT
        return addresses if 1 <= len(addresses) <= MAX_ANSWERS else Reason.NAME_NOT_FOUND

    def _choose(self, addresses: Sequence[IPAddress], port: int) -> Sequence[IPAddress] | Reason:
        """The addresses to try, in order."""
        own = self._own()
        # One forbidden answer refuses all: who mixes them in is probing the operator's network.
        for address in addresses:
            verdict = judge(address, own=own, reachable_private=self._reachable_private)
            if isinstance(verdict, Forbidden) or self._is_listener(address, port, own):
                return Reason.ADDRESS_FORBIDDEN
        allowed = [address for address in addresses if self._allows(address, port)]
        if not allowed:
            return Reason.PORT_REFUSED
        # One address of each family, since a broken family breaks all its addresses.
        first, *others = allowed
        others.sort(key=lambda address: address.version == first.version)
        return [first, *others][:MAX_ADDRESSES_TRIED]

    def _is_listener(self, address: IPAddress, port: int, own: Collection[IPAddress]) -> bool:
        """Whether this relay itself would answer there, also behind a translated address."""
        return any(
            meant == ours or (ours.is_unspecified and (meant.is_loopback or meant in own))
            for ours, our_port in self._listeners
            if our_port == port
            for meant in (address, *embedded(address))
        )

    def _allows(self, address: IPAddress, port: int) -> bool:
        """Whether the policy allows the address and the IPv4 address that it may be translated to."""
        return all(self._policy.allows(meant, port) for meant in (address, *embedded(address)))

    async def _connect_to_one(
        self, addresses: Sequence[IPAddress], port: int, counted: ExitStack
    ) -> trio.SocketStream | Reason:
        """Try in order; the time is shared out evenly, and what one leaves over the next may use."""
        deadline = trio.current_time() + self._connect_timeout_s
        result: trio.SocketStream | Reason = Reason.CONNECTION_REFUSED
        for left in range(len(addresses), 0, -1):
            share = (deadline - trio.current_time()) / left
            with ExitStack() as attempt:
                result = await self._attempt(addresses[-left], port, share, attempt)
                if isinstance(result, trio.SocketStream):
                    counted.push(attempt.pop_all().__exit__)  # It counts until it is closed.
                    break
        return result

    async def _attempt(
        self, address: IPAddress, port: int, seconds: float, counted: ExitStack
    ) -> trio.SocketStream | Reason:
        delay_s = self._count(address, port, counted)
        if delay_s is None:
            return Reason.STREAM_LIMIT
        with trio.move_on_after(seconds):
            await trio.sleep(delay_s)
            try:
                return await self._connect(address, port)
            except TimeoutError:
                pass  # The kernel gave up before we did.
            except OSError:
                return Reason.CONNECTION_REFUSED
        return Reason.CONNECTION_TIMED_OUT

    def _count(self, address: IPAddress, port: int, counted: ExitStack) -> float | None:
        """Count the connection until the end of ``counted``; in how many seconds it may be made, if it may."""
        if any(address in network for network in self._reachable_private):
            return 0.0
        # A translated address leads to the same server as the one inside it.
        server = (*embedded(address), address)[0]
        return counted.enter_context(
            self._destinations.entered((server.packed, port), now=trio.current_time())
        )


async def connect(address: IPAddress, port: int) -> trio.SocketStream:
    """Connect over TCP to exactly this address.

    Raises:
        OSError: it was refused, or there is no way to it.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    sock = trio.socket.socket(family, socket.SOCK_STREAM)
    try:
        # A server whose machine vanished is noticed by the kernel's probes.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await sock.connect((str(address), port))
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)
