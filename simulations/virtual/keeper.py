"""A relay's tie to its network, in virtual time: the schedule of ``relay.network_schedule`` carried out over wires.

It publishes and fetches by the wire forms of the directory service, over wires of its own, as the real one does.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from onionpath.crypto.identity import IdentityKey
from onionpath.directory.descriptor import Descriptor, sign_descriptor
from onionpath.directory.directory import Directory, decode_directory, decode_seen
from onionpath.directory.document import SeenDocument
from onionpath.directory.trust import TrustRoot
from onionpath.errors import OnionPathError, UnreachableError
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
    Publishing,
    first_fetch_in_s,
    has_run_out,
    next_fetch_in_s,
    sources,
)
from simulations.virtual.connections import connect
from simulations.virtual.disks import Disk
from simulations.virtual.driver import SwitchDriver
from simulations.virtual.heap import EventHeap, Promise
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
        self._publishing = Publishing()
        self._is_closed = False  # whether the last directory is so old that we forward nothing by it
        self._described_anew: Promise[None] = Promise(self._heap)

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
        self._described_anew.keep(None)

    async def publish_forever(self, *, published: bool) -> None:
        """Hand our descriptor to every authority, again and again; ``published`` says that they have it already."""
        published_at = self._clock() if published else None
        while True:
            # Made before we publish: what changes meanwhile is published next.
            self._described_anew = Promise(self._heap)
            published_at = published_at or await self._publish_to_all()
            pause_s = self._publishing.done(published_at, has_directory=self.directory is not None)
            published_at = None
            timer = self._heap.after(pause_s, self._described_anew.keep, None)
            try:
                await self._described_anew
            finally:
                timer.cancel()

    async def _publish_to_all(self) -> UnixTime:
        await self._heap.sleep(self._publishing.begin(now=self._clock()))
        missing = list(self._root.authorities)
        while True:
            # Signed anew for each round: an authority takes only what is newer than what it has.
            descriptor = self._describe()
            envelope = sign_descriptor(descriptor, self._identity)
            for authority in list(missing):
                if await self._publish(envelope, Neighbour.of_authority(authority)):
                    missing.remove(authority)
            if not missing:
                return descriptor.published_at
            await self._heap.sleep(self._publishing.retry_in_s())

    async def _publish(self, envelope: bytes, authority: Neighbour) -> bool:
        try:
            await self._heap.within(CALL_TIMEOUT_S, self._hand_over(envelope, authority))
        except (OnionPathError, TimeoutError) as error:
            self._note("not_published", outcome=type(error).__name__)
            return False
        self._note("published", size=len(envelope))
        return True

    async def _hand_over(self, envelope: bytes, authority: Neighbour) -> None:
        capacity = call_capacity(self._geometry, SizeClass.SMALL)
        connection = await connect(self._driver.name, self._fabric, authority, self._geometry)
        try:
            for body in publish_calls(envelope, capacity=capacity):
                answer = await connection.call(CallBody(ServiceId.DIRECTORY, SizeClass.SMALL, body))
                if answer.status != ReplyStatus.ANSWERED:
                    raise UnreachableError("the authority is busy, or leaves")
                check_published(answer.body)
        finally:
            connection.close()

    async def fetch_forever(self) -> None:
        """Fetch each new document."""
        await self._heap.sleep(first_fetch_in_s(self.directory, now=self._clock(), choice=self._choice))
        while True:
            ours = self._identity.relay_id
            for neighbour in sources(self._root, self.directory, ours=ours, choice=self._choice):
                if await self._fetch(neighbour):
                    break
            self._close_if_run_out()
            await self._heap.sleep(next_fetch_in_s(self.directory, now=self._clock(), choice=self._choice))

    def _close_if_run_out(self) -> None:
        if self.directory is None or self._is_closed:
            return
        if has_run_out(self.directory.document, self._clock()):
            self._driver.use_network({}, {})
            self._is_closed = True
            self._note("directory_expired")

    async def _fetch(self, neighbour: Neighbour) -> bool:
        try:
            directory = await self._heap.within(CALL_TIMEOUT_S, self._fetch_from(neighbour))
        except (OnionPathError, TimeoutError) as error:
            self._note("not_fetched", outcome=type(error).__name__)
            return False
        if directory is not self.directory:
            self.use(directory)
        if self._publishing.is_missed_by(directory, ours=self._identity.relay_id, now=self._clock()):
            self.publish_soon()
        return directory.is_fresh(self._clock())

    async def _fetch_from(self, neighbour: Neighbour) -> Directory:
        basis = self._shared.basis(self.directory)
        fetch = DirectoryFetch(self._root, known=basis, seen=self._seen)
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
        directory = self._shared.intern(directory)
        self._driver.use_network(self._shared.neighbours(directory), self._shared.key_hashes(directory))
        self._is_closed = False
        self._service.replace(self._shared.publication(directory, self.directory))
        self.directory, self._seen = directory, directory.seen
        self._disk.directory = directory
        self._note("directory_refreshed", outcome=str(directory.document.number))

    def _note(self, kind: str, *, size: int = 0, outcome: str = "") -> None:
        self._fabric.record.note(self._heap.now, self._driver.name, kind, size=size, outcome=outcome)
