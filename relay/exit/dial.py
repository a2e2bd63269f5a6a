"""The one way by which an exit connects to a server: resolve once, judge every answer, dial what passed.

Nothing is cached and nothing is shared between two dials: a cache would show one caller, by its speed, what
another has visited. Spec: docs/specs/stream.md §8.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address

import trio

from onionpath.onion.statuses import Reason
from onionpath.service.exit_policy import ExitPolicy, IPAddress, IPNetwork
from relay.addresses import Forbidden, embedded, judge
from relay.exit.hosts import DnsName, Host

Resolver = Callable[[DnsName], Awaitable[Sequence[IPAddress]]]
"""Finds a name's addresses, best first, perhaps none. Raises TimeoutError when the DNS doesn't answer."""

Connect = Callable[[IPAddress, int], Awaitable[trio.SocketStream]]
"""Connects to an address and port; raises OSError."""

RESOLVE_TIMEOUT_S = 5.0  # what a resolver needs for one retry; with the next it stays below a service's 25 s
CONNECT_TIMEOUT_S = 10.0  # for both addresses together
MAX_ADDRESSES_TRIED = 2
MAX_ANSWERS = 64  # no honest name has more, and each is judged on the thread that carries everybody's packets
# Lookups that hang hold their thread until the C library gives up, so the number of threads is bounded.
RESOLVER_THREADS = 16

_LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


class Dialer:
    """Connects for the callers of one exit.

    Args:
        policy: what the operator lets them reach.
        own: gives the addresses of this machine's interfaces, and is asked at each dial: they change.
        reachable_private: see ``addresses.judge``.
        resolver, connect: how; the world's are ``SystemResolver()`` and ``connect``.
        resolve_timeout_s, connect_timeout_s: together they bound a dial, in seconds.
    """

    def __init__(
        self,
        policy: ExitPolicy,
        *,
        own: Callable[[], Collection[IPAddress]],
        reachable_private: Sequence[IPNetwork] = (),
        resolver: Resolver,
        connect: Connect,
        resolve_timeout_s: float = RESOLVE_TIMEOUT_S,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        self._policy = policy
        self._own = own
        self._reachable_private = reachable_private
        self._resolver = resolver
        self._connect = connect
        self._resolve_timeout_s = resolve_timeout_s
        self._connect_timeout_s = connect_timeout_s

    async def dial(self, host: Host, port: int) -> trio.SocketStream | Reason:
        """Connect, or say why not; the caller owns the stream."""
        if not self._policy.may_allow_port(port):
            return Reason.PORT_REFUSED
        found = await self._resolve(host)
        if isinstance(found, Reason):
            return found
        chosen = self._choose(found, port)
        if isinstance(chosen, Reason):
            return chosen
        return await self._connect_to_one(chosen, port)

    async def _resolve(self, host: Host) -> Sequence[IPAddress] | Reason:
        if not isinstance(host, DnsName):
            return (host,)
        if host.is_localhost:
            return _LOOPBACK
        if not host.is_public:
            return Reason.NAME_NOT_FOUND
        addresses: Sequence[IPAddress] | None = None
        try:
            with trio.move_on_after(self._resolve_timeout_s):
                addresses = await self._resolver(host)
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
            if isinstance(verdict, Forbidden):
                return Reason.ADDRESS_FORBIDDEN
        allowed = [address for address in addresses if self._allows(address, port)]
        if not allowed:
            return Reason.PORT_REFUSED
        # One address of each family, since a broken family breaks all its addresses.
        first, *others = allowed
        others.sort(key=lambda address: address.version == first.version)
        return [first, *others][:MAX_ADDRESSES_TRIED]

    def _allows(self, address: IPAddress, port: int) -> bool:
        """Whether the policy allows the address and the IPv4 address that it may be translated to."""
        return all(self._policy.allows(meant, port) for meant in (address, *embedded(address)))

    async def _connect_to_one(self, addresses: Sequence[IPAddress], port: int) -> trio.SocketStream | Reason:
        """Try in order; the time is shared out evenly, and what one leaves over the next may use."""
        deadline = trio.current_time() + self._connect_timeout_s
        reason = Reason.CONNECTION_REFUSED
        for left in range(len(addresses), 0, -1):
            share = (deadline - trio.current_time()) / left
            reason = Reason.CONNECTION_TIMED_OUT
            with trio.move_on_after(share):
                try:
                    return await self._connect(addresses[-left], port)
                except TimeoutError:
                    continue  # The kernel gave up before we did.
                except OSError:
                    reason = Reason.CONNECTION_REFUSED
        return reason


class SystemResolver:
    """Asks this machine's resolver, in at most 16 threads that nothing else uses."""

    def __init__(self, *, threads: int = RESOLVER_THREADS) -> None:
        self._limiter = trio.CapacityLimiter(threads)

    async def __call__(self, name: DnsName) -> Sequence[IPAddress]:
        """Look a name up as an absolute one, for A and AAAA.

        Raises:
            TimeoutError: the DNS could not answer now.
        """
        # The dot at the end keeps the resolver from trying the name inside the operator's own domains.
        absolute = name.text.encode("ascii") + b"."
        look_up = partial(socket.getaddrinfo, absolute, None, type=socket.SOCK_STREAM)
        try:
            entries = await trio.to_thread.run_sync(look_up, abandon_on_cancel=True, limiter=self._limiter)
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise TimeoutError("the DNS did not answer") from error
            return ()
        return tuple(dict.fromkeys(ip_address(entry[4][0]) for entry in entries))


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
