"""A relay's tie to its network, in virtual time: the schedule of ``relay.network_schedule`` carried out over wires.

It publishes and fetches by the wire forms of the directory service, over wires of its own, as the real one does.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from onionpath.crypto.identity import IdentityKey
from onionpath.directory.descriptor import Descriptor, sign_descriptor
from onionpath.directory.directory import Directory, decode_directory, decode_seen
from onionpath.directory.document import EquivocationError, SeenDocument
from onionpath.directory.evidence import Evidence
from onionpath.directory.inquiry import Inquiry
from onionpath.directory.trust import Authority, TrustRoot
from onionpath.disk.evidence_files import MAX_EVIDENCE_FILES
from onionpath.errors import OnionPathError, RefusedError, UnreachableError
from onionpath.injected import UnixTime
from onionpath.link.frames import CallBody, call_capacity
from onionpath.link.neighbour import Neighbour
from onionpath.onion.geometry import SizeClass
from onionpath.onion.statuses import ReplyStatus
from onionpath.service.calls import ServiceId
from onionpath.service.directory import DirectoryService
from onionpath.service.directory_fetch import DirectoryFetch
from onionpath.service.directory_wire import check_published, publish_calls
from relay.network_schedule import (
    CALL_TIMEOUT_S,
    count_sources,
    first_fetch_in_s,
    has_run_out,
    newest_root,
    next_fetch_in_s,
    sources,
)
from relay.publishing import Failure, Publishing
from simulations.virtual.connections import connect
from simulations.virtual.disks import Disk
from simulations.virtual.driver import SwitchDriver
from simulations.virtual.heap import EventHeap, Promise, Task
from simulations.virtual.shared import SharedDirectories
from simulations.virtual.wires import Fabric


class Keeper:
    """One life of one relay's tie.

    Args:
        describe: our descriptor as it is now, unsigned.
        service: what hands the directory on.
    """

    def __init__(
        self,
        root: TrustRoot,
        identity: IdentityKey,
        *,
        describe: Callable[[], Descriptor],
        disk: Disk,
        driver: SwitchDriver,
        service: DirectoryService,
        fabric: Fabric,
        shared: SharedDirectories,
        clock: Callable[[], UnixTime],
        choice: random.Random,
    ) -> None:
        self._root, self._identity, self._describe = root, identity, describe
        self._disk, self._driver, self._service = disk, driver, service
        self._fabric, self._shared = fabric, shared
        self._heap: EventHeap = fabric.heap
        self._clock, self._choice = clock, choice
        self._geometry = root.parameters.geometry
        self._seen: SeenDocument | None = None
        self.directory: Directory | None = None
        self._publishing = Publishing(choice=choice)
        self._denied = max(disk.evidence, default=0)  # the number of which there is the newest evidence
        self._is_closed = False  # whether the last directory is so old that we forward nothing by it
        self._awoken: Promise[None] = Promise(self._heap)
        self._is_changed = False  # whether a newer descriptor is wanted

    @property
    def root(self) -> TrustRoot:
        """The newest version of the trust root that we have been led to."""
        return newest_root(self._root, self.directory, self._seen)

    def load(self) -> None:
        """Take the snapshot from disk, verified as if it came from a stranger."""
        stored = self._disk.directory
        if stored is None:
            return
        try:
            snapshot = stored.encode()
            self._seen = decode_seen(snapshot, self._root)
            self.use(decode_directory(snapshot, self._root, now=self._clock(), seen=self._seen))
        except OnionPathError:
            self._note("snapshot_ignored")

    def publish_soon(self) -> None:
        """The descriptor has changed: our keys, for example."""
        self._is_changed = True
        self._awoken.keep(None)

    async def publish_forever(self, *, published: bool) -> None:
        """Hand our descriptor to every authority, again and again; ``published`` says that they have it already."""
        publishing = self._publishing
        while True:
            await self._heap.sleep(publishing.make_in_s(now=self._clock()))
            # Before we describe ourselves: what changes meanwhile is published next.
            self._is_changed = False
            descriptor = self._describe()
            publishing.made(descriptor.published_at)
            if published:
                for authority in self.root.authorities:
                    publishing.took(authority, descriptor.published_at)
                published = False
            await self._offer(descriptor)

    async def _offer(self, descriptor: Descriptor) -> None:
        """Give this descriptor to all, until there is reason to make another."""
        while not (self._is_changed or self._is_old()):
            self._awoken = Promise(self._heap)
            await self._give(self._publishing.due(self.root, now=self._clock()), descriptor)
            timer = self._heap.after(self._pause_s(), self._awoken.keep, None)
            try:
                await self._awoken
            finally:
                timer.cancel()

    def _is_old(self) -> bool:
        return self._publishing.is_old(now=self._clock(), has_directory=self.directory is not None)

    def _pause_s(self) -> float:
        has_directory = self.directory is not None
        return self._publishing.pause_s(self.root, now=self._clock(), has_directory=has_directory)

    async def _give(self, due: list[Authority], descriptor: Descriptor) -> None:
        """All at once, so that one who is silent does not keep us from the others."""
        newer = self._describe() if any(map(self._publishing.needs_newer, due)) else descriptor
        given: list[Promise[None]] = []
        tasks: list[Task] = []
        for authority in due:
            one = newer if self._publishing.needs_newer(authority) else descriptor
            given.append(Promise(self._heap))
            tasks.append(self._heap.spawn(self._give_one(authority, one, given[-1])))
        try:
            for each in given:
                await each
        finally:
            for task in tasks:
                task.cancel()

    async def _give_one(self, authority: Authority, descriptor: Descriptor, given: Promise[None]) -> None:
        envelope = sign_descriptor(descriptor, self._identity)
        failure = await self._publish(envelope, Neighbour.of_authority(authority))
        if failure is None:
            self._publishing.took(authority, descriptor.published_at)
            self._note("published", size=len(envelope))
        else:
            self._publishing.failed(authority, failure, self.root, now=self._clock())
            self._note("not_published", outcome=failure.value)
        given.keep(None)

    async def _publish(self, envelope: bytes, authority: Neighbour) -> Failure | None:
        try:
            return await self._heap.within(CALL_TIMEOUT_S, self._hand_over(envelope, authority))
        except (UnreachableError, TimeoutError):
            return Failure.UNREACHABLE
        except RefusedError:
            return Failure.REFUSED
        except OnionPathError:
            return Failure.PROTOCOL

    async def _hand_over(self, envelope: bytes, authority: Neighbour) -> Failure | None:
        capacity = call_capacity(self._geometry, SizeClass.SMALL)
        connection = await connect(self._driver.name, self._fabric, authority, self._geometry)
        try:
            for body in publish_calls(envelope, capacity=capacity):
                answer = await connection.call(CallBody(ServiceId.DIRECTORY, SizeClass.SMALL, body))
                if answer.status != ReplyStatus.ANSWERED:
                    return Failure.BUSY
                check_published(answer.body)
        finally:
            connection.close()
        return None

    async def fetch_forever(self) -> None:
        """Fetch each new document."""
        await self._heap.sleep(first_fetch_in_s(self.directory, now=self._clock(), choice=self._choice))
        while True:
            await self._heap.sleep(await self._fetch())

    async def _fetch(self) -> float:
        """One inquiry; gives how long to wait for the next."""
        ours, choice = self._identity.relay_id, self._choice
        asked = sources(self.root, self.directory, ours=ours, choice=choice)
        asking = Inquiry(asked, self.directory, self._seen, denied=self._denied)
        while (source := asking.next_source(now=self._clock())) is not None:
            await self._ask(source, asking)
        if asking.newest is not None:
            self._take(asking.newest)
        self._close_if_run_out()
        return next_fetch_in_s(
            self.directory,
            now=self._clock(),
            choice=choice,
            is_confirmed=asking.is_confirmed(there_are=count_sources(self.root, self.directory, ours=ours)),
            is_denied=asking.is_denied,
        )

    def _close_if_run_out(self) -> None:
        if self.directory is None or self._is_closed:
            return
        if has_run_out(self.directory.document, self._clock()):
            self._driver.use_network({}, {})
            self._is_closed = True
            self._note("directory_expired")

    async def _ask(self, source: Neighbour, asking: Inquiry[Neighbour]) -> None:
        try:
            work = self._fetch_from(source, beside=asking.newest)
            asking.answered(await self._heap.within(CALL_TIMEOUT_S, work))
        except EquivocationError as error:
            self._keep_evidence(asking.contradicted(error.pair), error.pair)
        except (OnionPathError, TimeoutError) as error:
            self._note("not_fetched", outcome=type(error).__name__)

    def _keep_evidence(self, number: int, pair: tuple[bytes, bytes]) -> None:
        if number <= self._denied:
            return
        self._denied = number
        if len(self._disk.evidence) < MAX_EVIDENCE_FILES:
            self._disk.evidence[number] = Evidence.of_documents(pair).encode()
        self._note("authorities_signed_twice", outcome=str(number))

    def _take(self, directory: Directory) -> None:
        if directory is not self.directory:
            self.use(directory)
        ours, now = self._identity.relay_id, self._clock()
        if self._publishing.is_missed_by(directory, self.root, ours=ours, now=now):
            self.publish_soon()

    async def _fetch_from(self, neighbour: Neighbour, *, beside: Directory | None) -> Directory:
        basis = self._shared.basis(self.directory)
        fetch = DirectoryFetch(self._root, known=basis, seen=self._seen, beside=beside)
        connection = await connect(self._driver.name, self._fabric, neighbour, self._geometry)
        try:
            while True:
                answer = await connection.call(
                    CallBody(ServiceId.DIRECTORY, SizeClass.LARGE, fetch.next_call())
                )
                if answer.status != ReplyStatus.ANSWERED:
                    raise UnreachableError("the directory is not served there now")
                directory = fetch.take(answer.body, now=self._clock())
                if directory is not None:
                    return self.directory if directory is basis and self.directory else directory
        finally:
            connection.close()

    def use(self, directory: Directory) -> None:
        """Work by this directory from now on, and keep it on disk."""
        directory, before = self._shared.intern(directory), self.root
        self._driver.use_network(self._shared.neighbours(directory), self._shared.key_hashes(directory))
        self._is_closed = False
        earlier = self._service.publication
        self._service.replace(self._shared.publication(directory, self.directory, earlier))
        self.directory, self._seen = directory, directory.seen
        self._disk.directory = directory
        if self.root != before:
            # Whoever is new gets the descriptor that the others have.
            self._awoken.keep(None)
        self._note("directory_refreshed", outcome=str(directory.document.number))

    def _note(self, kind: str, *, size: int = 0, outcome: str = "") -> None:
        self._fabric.record.note(self._heap.now, self._driver.name, kind, size=size, outcome=outcome)
