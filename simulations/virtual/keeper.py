"""A relay's tie to its network, in virtual time: the counterpart of ``relay.network_keeper`` with its numbers.

It publishes and fetches by the wire forms of the directory service, over wires of its own, as the real one does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

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
from relay.network_keeper import CALL_TIMEOUT_S, FIRST_RETRY_S, PUBLISH_EVERY_S, RETRY_S
from simulations.virtual.connections import connect
from simulations.virtual.disks import Disk
from simulations.virtual.driver import SwitchDriver
from simulations.virtual.heap import EventHeap, Promise
from simulations.virtual.shared import SharedDirectories
from simulations.virtual.wires import Fabric

# Relays that are asked when no authority has anything fresh; the real keeper has the same three.
MIRRORS_ASKED = 3


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
        while True:
            # Made before we publish: what changes meanwhile is published next.
            self._described_anew = Promise(self._heap)
            if not published:
                await self._publish_to_all()
            published = False
            timer = self._heap.after(PUBLISH_EVERY_S, self._described_anew.keep, None)
            try:
                await self._described_anew
            finally:
                timer.cancel()

    async def _publish_to_all(self) -> None:
        missing = list(self._root.authorities)
        retry_s = FIRST_RETRY_S
        while missing:
            # Signed anew for each try: an authority takes only what is newer than what it has.
            envelope = sign_descriptor(self._describe(), self._identity)
            for authority in list(missing):
                if await self._publish(envelope, Neighbour.of_authority(authority)):
                    missing.remove(authority)
            if missing:
                await self._heap.sleep(retry_s)
                retry_s = min(RETRY_S, 2 * retry_s)

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
        await self._heap.sleep(self._pause_s() if self.directory is not None else 0.0)
        while True:
            for neighbour in self._sources():
                if await self._fetch(neighbour):
                    break
            await self._heap.sleep(self._pause_s())

    def _sources(self) -> Iterator[Neighbour]:
        authorities = [Neighbour.of_authority(one) for one in self._root.authorities]
        yield from self._choice.sample(authorities, len(authorities))
        if self.directory is not None:
            relays = [name for name in self.directory.relays if name != self._identity.relay_id]
            for relay_id in self._choice.sample(relays, min(MIRRORS_ASKED, len(relays))):
                yield Neighbour.of_relay(self.directory.relays[relay_id].descriptor)

    async def _fetch(self, neighbour: Neighbour) -> bool:
        try:
            directory = await self._heap.within(CALL_TIMEOUT_S, self._fetch_from(neighbour))
        except (OnionPathError, TimeoutError) as error:
            self._note("not_fetched", outcome=type(error).__name__)
            return False
        if directory is not self.directory:
            self.use(directory)
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

    def _pause_s(self) -> float:
        now = self._clock()
        if self.directory is None:
            return FIRST_RETRY_S
        document = self.directory.document
        period_s = document.fresh_until - document.valid_from
        if document.is_fresh(now):
            return document.fresh_until - now + self._choice.random() * min(30.0, period_s / 20)
        return min(RETRY_S, period_s / 10)

    def use(self, directory: Directory) -> None:
        """Work by this directory from now on, and keep it on disk."""
        directory = self._shared.intern(directory)
        self._driver.use_network(self._shared.neighbours(directory), self._shared.key_hashes(directory))
        self._service.replace(self._shared.publication(directory, self.directory))
        self.directory, self._seen = directory, directory.seen
        self._disk.directory = directory
        self._note("directory_refreshed", outcome=str(directory.document.number))

    def _note(self, kind: str, *, size: int = 0, outcome: str = "") -> None:
        self._fabric.record.note(self._heap.now, self._driver.name, kind, size=size, outcome=outcome)
