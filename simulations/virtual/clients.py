"""A client in virtual time: the production paths, retry rule, onion and frames over wires of the event heap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from onionpath.client.attempts import Attempt, Attempts, GiveUp
from onionpath.client.onion_exchange import onion_call
from onionpath.client.path_pool import Need, PathPool, ReadyPath
from onionpath.client.paths import Paths
from onionpath.directory.directory import Directory
from onionpath.errors import (
    DirectoryError,
    MissingDirectoryError,
    NoPathError,
    OnionPathError,
    OutcomeUnknownError,
    UnreachableError,
)
from onionpath.injected import UnixTime
from onionpath.onion.packets import Answer
from onionpath.onion.statuses import ReplyStatus
from onionpath.service.calls import ServiceId
from simulations.virtual.chance import bytes_of, stream
from simulations.virtual.client_directory import ClientDirectory
from simulations.virtual.clocks import MachineClock
from simulations.virtual.connections import Connections
from simulations.virtual.relays import World
from simulations.virtual.requests import Ask, Ending, Outcome, Request
from simulations.virtual.streams import StreamOpener, VirtualStream


@dataclass(slots=True)
class _Progress:
    """A request between its attempts."""

    started_at: UnixTime
    attempts: int = 0
    ready: ReadyPath | None = None
    failure: OnionPathError | None = None


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
        self._entropy = bytes_of(world.seed, name)
        self.pool = PathPool(stream(world.seed, "paths", name))
        self.clock = MachineClock(world.heap)
        self.steady = self.clock.steady()
        self._connections = Connections(name, world.fabric, world.root.parameters.geometry)
        self._directory = ClientDirectory(
            world,
            name,
            directory=directory,
            connections=self._connections,
            through_path=self._ask_for_directory,
            clock=self.now,
        )
        self.paths = Paths(
            world.root,
            self.pool,
            directory=self._known_directory,
            connect=self._connections.to,
            clock=self.now,
            entropy=self._entropy,
            within=world.heap.within,
            report=lambda error: None,
        )
        geometry, tokens = world.root.parameters.geometry, bytes_of(world.seed, name, "tokens")
        self._opener = StreamOpener(world.heap, self.paths, geometry, tokens, world.name_of, run_until)
        self._under_way = 0
        if refreshes:
            self._heap.spawn(self._directory.refresh_forever())

    def now(self) -> UnixTime:
        """What this client takes for the time."""
        return self.steady.now()

    @property
    def directory(self) -> Directory | None:
        """The newest verified directory."""
        return self._directory.newest

    @property
    def under_way(self) -> int:
        """Requests that haven't ended."""
        return self._under_way

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

    def open_stream(self, host: str, port: int, *, isolation: str | None = None) -> VirtualStream:
        """A TCP connection from an exit, once it stands. Errors are those of ``Client.open_stream``."""
        return self._opener.open(host, port, isolation=isolation)

    def close(self) -> None:
        """Close all connections; what is under way fails, and the next request makes new ones."""
        self._connections.close()

    async def _ask(self, ask: Ask, request: Request, then: Callable[[Outcome], None] | None) -> None:
        outcome = await self._outcome(ask)
        request.outcome = outcome
        self._under_way -= 1
        words = f"{outcome.ending.value} {outcome.attempts} {' '.join(outcome.path)}"
        self._world.fabric.record.note(self._heap.now, self.name, "request", outcome=words)
        if then is not None:
            then(outcome)

    async def _outcome(self, ask: Ask) -> Outcome:
        progress, answer = _Progress(self._heap.now), None
        try:
            answer = await self._answer(ask, progress)
        except OnionPathError as error:
            ending, why = _ending(error), str(error)
        else:
            answered = answer.head.status is ReplyStatus.ANSWERED
            ending, why = Ending.ANSWERED if answered else Ending.REFUSED, ""
        failure = progress.failure
        return Outcome(
            ending,
            progress.started_at,
            self._heap.now - progress.started_at,
            progress.attempts,
            self._names(progress.ready),
            answer,
            failure.edge if isinstance(failure, UnreachableError) else None,
            why,
        )

    async def _answer(self, ask: Ask, progress: _Progress) -> Answer:
        need, isolation = Need(ask.service, exit=ask.to), ask.isolation or f"service {ask.service}"
        geometry, key = self._world.root.parameters.geometry, self._entropy(16)
        call = onion_call(geometry, ask.service, ask.body, idempotency_key=key, large_reply=ask.large_reply)
        attempts = Attempts.of(ask.service, deadline_at=progress.started_at + ask.deadline_s)
        step: Attempt | GiveUp = attempts.first(now=self._heap.now)
        while isinstance(step, Attempt):
            progress.ready = self.paths.ready(need, isolation)
            progress.attempts, progress.failure = step.number, None
            try:
                return await self.paths.exchange(progress.ready, call, timeout_s=step.timeout_s)
            except UnreachableError as error:
                progress.failure = error
                self.paths.retire(progress.ready, error.edge)
                step = attempts.after(step, error, now=self._heap.now)
        raise step.error

    async def _ask_for_directory(self, isolation: str, body: bytes) -> bytes:
        outcome = await self._outcome(Ask(ServiceId.DIRECTORY, body, isolation=isolation, large_reply=True))
        if not outcome.is_answered:
            raise UnreachableError(outcome.error)
        return outcome.body

    def _known_directory(self) -> Directory:
        if self.directory is None:
            raise MissingDirectoryError("no directory yet")
        return self.directory

    def _names(self, ready: ReadyPath | None) -> tuple[str, ...]:
        return () if ready is None else tuple(self._world.name_of(hop.relay_id) for hop in ready.hops)


def _ending(error: OnionPathError) -> Ending:
    match error:
        case NoPathError():
            return Ending.NO_PATH
        case DirectoryError():
            return Ending.NO_DIRECTORY
        case OutcomeUnknownError():
            return Ending.UNKNOWN
        case UnreachableError():
            return Ending.UNREACHABLE
        case _:
            raise error
