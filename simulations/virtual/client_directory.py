"""A client's directory in virtual time: the schedule and the checks of the production keeper."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from onionpath.client.directory_schedule import (
    FETCH_TIMEOUT_S,
    ISOLATIONS,
    RETRY_S,
    refresh_in_s,
    sources,
)
from onionpath.directory.directory import Directory
from onionpath.directory.document import EquivocationError, SeenDocument
from onionpath.directory.evidence import Evidence
from onionpath.directory.inquiry import Inquiry
from onionpath.errors import OnionPathError, UnreachableError
from onionpath.injected import UnixTime
from onionpath.link.frames import CallBody
from onionpath.link.neighbour import Neighbour
from onionpath.onion.geometry import SizeClass
from onionpath.onion.statuses import ReplyStatus
from onionpath.service.calls import ServiceId
from onionpath.service.directory_fetch import DirectoryFetch
from simulations.virtual.chance import stream
from simulations.virtual.connections import Connections
from simulations.virtual.relays import World

Ask = Callable[[bytes], Awaitable[bytes]]
Asked = TypeVar("Asked")


class ClientDirectory:
    """The newest verified directory of one client.

    Args:
        directory: what it starts from; None fetches one.
        through_path: one call of the directory service, over a path of this isolation key.
    """

    def __init__(
        self,
        world: World,
        name: str,
        *,
        directory: Directory | None,
        connections: Connections,
        through_path: Callable[[str, bytes], Awaitable[bytes]],
        clock: Callable[[], UnixTime],
    ) -> None:
        self._world, self._name, self._heap = world, name, world.heap
        self._connections, self._through_path, self._clock = connections, through_path, clock
        self._choice = stream(world.seed, "directory", name)
        self._seen: SeenDocument | None = directory.seen if directory is not None else None
        self._is_confirmed = True
        self._denied = 0  # the number of which there is the newest evidence
        self.evidence: Evidence | None = None
        self.newest = directory

    async def refresh_forever(self) -> None:
        """Fetch the first directory and then each new one."""
        while self.newest is None:
            await self._fetch_directly()
            if self.newest is None:
                await self._heap.sleep(RETRY_S)
        while True:
            wait_s = refresh_in_s(
                self.newest.document,
                now=self._clock(),
                choice=self._choice,
                is_confirmed=self._is_confirmed,
            )
            await self._heap.sleep(wait_s)
            await self._refresh()
            if not self._is_fresh:
                await self._fetch_directly()

    async def _refresh(self) -> None:
        asking = self._inquire(ISOLATIONS, wanted=len(ISOLATIONS))
        while (isolation := asking.next_source(now=self._clock())) is not None:
            await self._put(asking, partial(self._through_path, isolation))
        self._is_confirmed = not asking.answers or asking.is_confirmed(there_are=len(ISOLATIONS))
        self._take(asking)

    @property
    def _is_fresh(self) -> bool:
        return self.newest is not None and self.newest.is_fresh(self._clock())

    async def _fetch_directly(self) -> None:
        asking = self._inquire(sources(self._world.root, self.newest, choice=self._choice), wanted=1)
        while (source := asking.next_source(now=self._clock())) is not None:
            await self._put(asking, partial(self._directly, source.neighbour))
        self._take(asking)
        if asking.newest is not None and self._is_fresh:
            self._is_confirmed = False

    def _inquire(self, asked: Sequence[Asked], *, wanted: int) -> Inquiry[Asked]:
        return Inquiry(asked, self.newest, self._seen, denied=self._denied, wanted=wanted)

    async def _put(self, asking: Inquiry[Asked], ask: Ask) -> None:
        """Put the inquiry to one source."""
        try:
            asking.answered(await self._fetch(ask, beside=asking.newest))
        except EquivocationError as error:
            self._keep_evidence(asking.contradicted(error.pair), error.pair)
        except (OnionPathError, TimeoutError) as error:
            self._note("not_fetched", type(error).__name__)

    def _keep_evidence(self, number: int, pair: tuple[bytes, bytes]) -> None:
        if number > self._denied:
            self._denied, self.evidence = number, Evidence.of_documents(pair)
            self._note("authorities_signed_twice", str(number))

    def _take(self, asking: Inquiry[Asked]) -> None:
        if asking.newest is not None and asking.newest is not self.newest:
            self._keep(asking.newest)

    async def _directly(self, neighbour: Neighbour, body: bytes) -> bytes:
        connection = await self._connections.to(neighbour)
        answer = await connection.call(CallBody(ServiceId.DIRECTORY, SizeClass.LARGE, body))
        if answer.status != ReplyStatus.ANSWERED:
            raise UnreachableError("the directory is not served there now")
        return answer.body

    async def _fetch(self, ask: Ask, *, beside: Directory | None) -> Directory:
        """What somebody has, given what another has just answered."""
        basis = self._world.shared.basis(self.newest)
        fetch = DirectoryFetch(self._world.root, known=basis, seen=self._seen, beside=beside)
        directory = await self._heap.within(FETCH_TIMEOUT_S, self._finish(fetch, ask))
        return self.newest if directory is basis and self.newest else directory

    def _keep(self, directory: Directory) -> None:
        self.newest = self._world.shared.intern(directory)
        self._seen = self.newest.seen
        self._note("directory_refreshed", str(directory.document.number))

    async def _finish(self, fetch: DirectoryFetch, ask: Ask) -> Directory:
        while True:
            directory = fetch.take(await ask(fetch.next_call()), now=self._clock())
            if directory is not None:
                return directory

    def _note(self, kind: str, outcome: str) -> None:
        self._world.fabric.record.note(self._heap.now, self._name, kind, outcome=outcome)
