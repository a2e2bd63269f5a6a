"""A client in virtual time: the production paths, attempts, onion and frames over wires of the event heap."""

from __future__ import annotations

from collections.abc import Callable

from onionpath.client.asking import Asking
from onionpath.client.attempts import Attempts
from onionpath.client.native_format import NativeFormat
from onionpath.client.onion_exchange import onion_call
from onionpath.client.path_pool import PathPool
from onionpath.client.paths import NativePaths, Paths
from onionpath.client.ready_path import Need, ReadyPath
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
from onionpath.onion.packets import Answer, OnionCall
from onionpath.onion.replay import slot_at
from onionpath.onion.statuses import ReplyStatus
from onionpath.path.constraints import Constraints
from onionpath.path.path_memory import PathMemory
from onionpath.path.roles import NO_CONSTRAINTS
from onionpath.service.call_keys import new_call_key
from onionpath.service.calls import ServiceId
from simulations.virtual.chance import bytes_of, stream
from simulations.virtual.client_directory import ClientDirectory
from simulations.virtual.clocks import MachineClock
from simulations.virtual.connections import Connections
from simulations.virtual.pace import VirtualPace
from simulations.virtual.relays import World
from simulations.virtual.requests import Ask, Ending, Outcome, Request
from simulations.virtual.streams import StreamOpener, VirtualStream


class VirtualClient:
    """A machine with one client on it, entered from the start.

    Args:
        directory: what it starts from; None fetches one from the authority.
        run_until: lets the network run until something is so; ``request`` needs it.
        memory: guards and middles of an earlier run.
        hedges: see ``Client``.
    """

    def __init__(
        self,
        world: World,
        name: str,
        *,
        directory: Directory | None,
        run_until: Callable[[Callable[[], bool]], None],
        refreshes: bool = True,
        memory: PathMemory | None = None,
        constraints: Constraints = NO_CONSTRAINTS,
        hedges: bool = False,
    ) -> None:
        self.name = name
        self._world = world
        self._heap = world.heap
        self._run_until = run_until
        self._entropy = bytes_of(world.seed, name)
        self._hedges = hedges
        self.pool = PathPool(stream(world.seed, "paths", name), constraints=constraints, memory=memory)
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
        self.paths: NativePaths = Paths(
            self.pool,
            NativeFormat(
                world.root,
                directory=self._known_directory,
                connect=self._connections.to,
                clock=self.now,
                entropy=self._entropy,
            ),
            relays=self._known_directory,
            clock=self.now,
            pace=VirtualPace(world.heap),
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
        started_at, asking, answer = self._heap.now, self._asking(ask), None
        try:
            answer = await asking.ask()
        except OnionPathError as error:
            ending, why = _ending(error), str(error)
        else:
            answered = answer.head.status is ReplyStatus.ANSWERED
            ending, why = Ending.ANSWERED if answered else Ending.REFUSED, ""
        failure = asking.failure
        return Outcome(
            ending,
            started_at,
            self._heap.now - started_at,
            asking.made,
            self._names(asking.ready),
            answer,
            failure.edge if isinstance(failure, UnreachableError) else None,
            why,
        )

    def _asking(self, ask: Ask) -> Asking[OnionCall, Answer]:
        parameters = self._world.root.parameters
        geometry, key = (
            parameters.geometry,
            new_call_key(slot_at(self.now(), parameters.slot_s), self._entropy),
        )
        call = onion_call(geometry, ask.service, ask.body, idempotency_key=key, large_reply=ask.large_reply)
        rule = Attempts.of(ask.service, deadline_at=self._heap.now + ask.deadline_s, hedges=self._hedges)
        need, isolation = Need(ask.service, exit=ask.to), ask.isolation or f"service {ask.service}"
        return Asking(self.paths, rule, need, isolation, call)

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
        return () if ready is None else tuple(self._world.name_of(each) for each in ready.relays)


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
