"""A client in virtual time: the production path pool, onion and frames, under the retry rule of ``Client.call``.

One request has one deadline and at most three attempts, each over the path that the pool gives, sealed anew. A
reply that names an edge makes the pool avoid both of its relays. What must not be repeated ends as unknown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from onionpath.client.client import MAX_ATTEMPTS, MIRRORS
from onionpath.client.connections import MAX_CONNECTIONS
from onionpath.client.directory_keeper import FETCH_TIMEOUT_S, JITTER_S, MIRRORS_ASKED, RETRY_S
from onionpath.client.path_pool import Need, PathPool, ReadyPath
from onionpath.directory.directory import Directory
from onionpath.directory.document import SeenDocument
from onionpath.errors import (
    DeadlineError,
    DirectoryError,
    Edge,
    MissingDirectoryError,
    NoPathError,
    OnionPathError,
    PeerError,
    UnreachableError,
)
from onionpath.injected import UnixTime
from onionpath.link.frames import CallBody, Kind
from onionpath.onion.geometry import SizeClass
from onionpath.onion.packets import Answer, OnionCall
from onionpath.onion.replay import slot_at
from onionpath.onion.statuses import ReplyStatus
from onionpath.service.calls import ServiceId
from onionpath.service.directory_fetch import DirectoryFetch
from simulations.virtual.chance import bytes_of, stream
from simulations.virtual.clocks import MachineClock
from simulations.virtual.connections import Connection, connect
from simulations.virtual.heap import Promise
from simulations.virtual.numbers import REPEATABLE
from simulations.virtual.relays import World
from simulations.virtual.requests import Ask, Ending, Outcome
from simulations.virtual.shared import Neighbour, neighbour_of


class Request:
    """A request under way; ``outcome`` is there once it has ended."""

    def __init__(self, started_at: UnixTime) -> None:
        self.started_at = started_at
        self.outcome: Outcome | None = None

    @property
    def has_ended(self) -> bool:
        """Whether there is an outcome."""
        return self.outcome is not None


@dataclass(slots=True)
class _Progress:
    """A request between its attempts."""

    started_at: UnixTime
    attempts: int = 0
    ready: ReadyPath | None = None
    answer: Answer | None = None
    edge: Edge | None = None
    error: str = ""

    def begin(self, ready: ReadyPath) -> None:
        """One more attempt."""
        self.attempts += 1
        self.ready, self.edge, self.error = ready, None, ""


class VirtualClient:
    """A machine with one client on it, entered from the start.

    Args:
        directory: what it starts from; None fetches one from the authority.
        run_until: lets the network run until something is so; ``request`` needs it.
    """

    def __init__(
        self,
        world: World,
        name: str,
        *,
        directory: Directory | None,
        run_until: Callable[[Callable[[], bool]], None],
        refreshes: bool = True,
    ) -> None:
        self.name = name
        self._world = world
        self._heap = world.heap
        self._run_until = run_until
        self._onion, self._geometry = world.onion, world.onion.geometry
        self._entropy = bytes_of(world.seed, name)
        self._choice = stream(world.seed, "directory", name)
        self.pool = PathPool(stream(world.seed, "paths", name))
        self.clock = MachineClock(world.heap)
        self.steady = self.clock.steady()
        self.directory = directory
        self._seen: SeenDocument | None = directory.seen if directory is not None else None
        self._connections: dict[str, Connection] = {}
        self._making: dict[str, list[Promise[Connection]]] = {}
        self._under_way = 0
        if refreshes:
            self._heap.spawn(self._refresh_forever())

    def now(self) -> UnixTime:
        """What this client takes for the time."""
        return self.steady.now()

    @property
    def under_way(self) -> int:
        """Requests that haven't ended."""
        return self._under_way

    # Requests.

    def request(self, ask: Ask) -> Outcome:
        """Ask, and let the network run until it is answered or has failed."""
        request = self.start(ask)
        self._run_until(lambda: request.has_ended)
        assert request.outcome is not None
        return request.outcome

    def start(self, ask: Ask, *, then: Callable[[Outcome], None] | None = None) -> Request:
        """Ask without waiting."""
        request = Request(self._heap.now)
        self._under_way += 1
        self._heap.spawn(self._ask(ask, request, then))
        return request

    async def _ask(self, ask: Ask, request: Request, then: Callable[[Outcome], None] | None) -> None:
        outcome = await self._outcome(ask)
        request.outcome = outcome
        self._under_way -= 1
        self._note("request", outcome=f"{outcome.ending.value} {outcome.attempts} {' '.join(outcome.path)}")
        if then is not None:
            then(outcome)

    async def _outcome(self, ask: Ask) -> Outcome:
        progress = _Progress(self._heap.now)
        ending = await self._try(ask, progress)
        took_s = self._heap.now - progress.started_at
        answer = progress.answer if ending in (Ending.ANSWERED, Ending.REFUSED) else None
        return Outcome(
            ending,
            progress.started_at,
            took_s,
            progress.attempts,
            self._names(progress.ready),
            answer,
            progress.edge,
            progress.error,
        )

    async def _try(self, ask: Ask, progress: _Progress) -> Ending:
        ends_at = progress.started_at + ask.deadline_s
        reply_class = SizeClass.LARGE if ask.large_reply else SizeClass.SMALL
        key = self._entropy(16)
        call = OnionCall(ask.service, ask.body, key, self._class_for(len(ask.body)), reply_class)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                ready = self._ready_path(ask)
            except (NoPathError, DirectoryError) as error:
                progress.error = str(error)
                return Ending.NO_PATH if isinstance(error, NoPathError) else Ending.NO_DIRECTORY
            progress.begin(ready)
            timeout_s = (ends_at - self._heap.now) / (MAX_ATTEMPTS + 1 - attempt)
            try:
                progress.answer = await self._within(timeout_s, ready, call)
            except UnreachableError as error:
                self.pool.retire(ready, error.edge, now=self.now())
                progress.edge, progress.error = error.edge, str(error)
                if ask.service not in REPEATABLE and error.sent:
                    return Ending.UNKNOWN
                if self._heap.now >= ends_at:
                    break
                continue
            answered = progress.answer.head.status is ReplyStatus.ANSWERED
            return Ending.ANSWERED if answered else Ending.REFUSED
        return Ending.UNREACHABLE

    def _ready_path(self, ask: Ask) -> ReadyPath:
        if self.directory is None:
            raise MissingDirectoryError("no directory yet")
        need = Need(ask.service, exit=ask.to)
        return self.pool.ready(
            self.directory, need, ask.isolation or f"service {ask.service}", now=self.now()
        )

    async def _within(self, timeout_s: float, ready: ReadyPath, call: OnionCall) -> Answer:
        try:
            answer = await self._heap.within(max(0.0, timeout_s), self._exchange(ready, call))
        except TimeoutError as error:
            raise DeadlineError(f"no answer over this path in {timeout_s:.1f} s") from error
        if answer.lying_edge is not None:
            self.pool.retire(ready, answer.lying_edge, now=self.now())
        return answer

    async def _exchange(self, ready: ReadyPath, call: OnionCall) -> Answer:
        first = ready.path.relays[0].descriptor
        connection = await self._connection(Neighbour(str(first.addresses[0]), first.link_key_hash))
        slot = slot_at(self.now(), self._world.root.parameters.slot_s)
        wrapped = self._onion.wrap(ready.hops, call, slot=slot, entropy=self._entropy)
        frame = await connection.exchange(wrapped.packet)
        if frame.kind is not Kind.REPLY or frame.size_class is not call.reply_class or frame.depth:
            raise UnreachableError("hop 1 rejected the packet", edge=Edge(-1, 0))
        try:
            answer = self._onion.open_reply(wrapped.opener, frame.body)
        except PeerError as error:
            hop = error.hop or 0
            message = f"the reply of hop {hop + 1} was forged or damaged"
            raise UnreachableError(message, edge=Edge(hop - 1, hop)) from error
        if answer.head.status is ReplyStatus.EDGE_FAILED:
            edge = Edge(answer.hop, answer.hop + 1)
            raise UnreachableError(f"{edge}: {answer.head.reason.name.lower()}", edge=edge)
        return answer

    def _class_for(self, size: int) -> SizeClass:
        fits = size <= self._geometry.request_capacity(SizeClass.SMALL, self._geometry.last_depth)
        return SizeClass.SMALL if fits else SizeClass.LARGE

    def _names(self, ready: ReadyPath | None) -> tuple[str, ...]:
        return () if ready is None else tuple(self._world.name_of(hop.relay_id) for hop in ready.hops)

    # Connections: one to each first hop, made when first needed.

    async def _connection(self, neighbour: Neighbour) -> Connection:
        known = self._connections.get(neighbour.address)
        if known is not None and known.is_usable:
            return known
        waiting = self._making.get(neighbour.address)
        if waiting is None:
            waiting = self._making[neighbour.address] = []
            # On its own, so that whoever asked first may give up without the others.
            self._heap.spawn(self._make(neighbour, waiting))
        promise: Promise[Connection] = Promise(self._heap)
        waiting.append(promise)
        return await promise

    async def _make(self, neighbour: Neighbour, waiting: list[Promise[Connection]]) -> None:
        try:
            connection = await connect(self.name, self._world.fabric, neighbour, self._geometry)
        except UnreachableError as error:
            del self._making[neighbour.address]
            for promise in waiting:
                promise.break_off(error)
            return
        del self._making[neighbour.address]
        self._connections[neighbour.address] = connection
        self._close_surplus(neighbour.address)
        for promise in waiting:
            promise.keep(connection)

    def _close_surplus(self, newest: str) -> None:
        idle = [
            address
            for address, connection in self._connections.items()
            if address != newest and not connection.in_flight
        ]
        for address in idle[: max(0, len(self._connections) - MAX_CONNECTIONS)]:
            self._connections.pop(address).close()

    def close(self) -> None:
        """Close all connections; what is under way fails, and the next request makes new ones."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    # The directory: kept fresh as the production keeper does it.

    async def _refresh_forever(self) -> None:
        while self.directory is None:
            await self._fetch_directly()
            if self.directory is None:
                await self._heap.sleep(RETRY_S)
        while True:
            document = self.directory.document
            period_s = document.fresh_until - document.valid_from
            jitter_s = self._choice.random() * min(JITTER_S, period_s / 2)
            fresh_for_s = document.fresh_until - self.now() + jitter_s
            await self._heap.sleep(max(min(RETRY_S, period_s / 4), fresh_for_s))
            for number in range(MIRRORS):
                await self._fetch(self._through_path(number))
            if not self.directory.is_fresh(self.now()):
                await self._fetch_directly()

    async def _fetch_directly(self) -> None:
        for neighbour in self._sources():
            await self._fetch(self._directly(neighbour))
            if self.directory is not None and self.directory.is_fresh(self.now()):
                return

    def _sources(self) -> Iterator[Neighbour]:
        if self.directory is not None:
            relays = list(self.directory.relays)
            for relay_id in self._choice.sample(relays, min(MIRRORS_ASKED, len(relays))):
                yield neighbour_of(self.directory, relay_id)
        for authority in self._world.root.authorities:
            yield Neighbour(str(authority.address), authority.link_key_hash)

    def _through_path(self, number: int) -> Callable[[bytes], Awaitable[bytes]]:
        async def ask(body: bytes) -> bytes:
            what = Ask(ServiceId.DIRECTORY, body, isolation=f"directory {number}", large_reply=True)
            outcome = await self._outcome(what)
            if not outcome.is_answered:
                raise UnreachableError(outcome.error)
            return outcome.body

        return ask

    def _directly(self, neighbour: Neighbour) -> Callable[[bytes], Awaitable[bytes]]:
        async def ask(body: bytes) -> bytes:
            connection = await self._connection(neighbour)
            answer = await connection.call(CallBody(ServiceId.DIRECTORY, SizeClass.LARGE, body))
            if answer.status != ReplyStatus.ANSWERED:
                raise UnreachableError("the directory is not served there now")
            return answer.body

        return ask

    async def _fetch(self, ask: Callable[[bytes], Awaitable[bytes]]) -> None:
        basis = self._world.shared.basis(self.directory)
        fetch = DirectoryFetch(self._world.root, known=basis, seen=self._seen)
        try:
            directory = await self._heap.within(FETCH_TIMEOUT_S, self._finish(fetch, ask))
        except (OnionPathError, TimeoutError) as error:
            self._note("not_fetched", outcome=type(error).__name__)
            return
        if directory is not basis:
            self.directory = self._world.shared.intern(directory)
            self._seen = self.directory.seen
            self._note("directory_refreshed", outcome=str(directory.document.number))

    async def _finish(self, fetch: DirectoryFetch, ask: Callable[[bytes], Awaitable[bytes]]) -> Directory:
        while True:
            directory = fetch.take(await ask(fetch.next_call()), now=self.now())
            if directory is not None:
                return directory

    def _note(self, kind: str, *, outcome: str = "") -> None:
        self._world.fabric.record.note(self._heap.now, self.name, kind, outcome=outcome)
