"""Keeps a relay in its network: fetches documents, tells the switch who is there, and has its descriptor published."""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog
import trio

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.directory.descriptor import Descriptor
from onionpath.directory.directory import Directory, decode_directory, decode_seen
from onionpath.directory.document import EquivocationError, SeenDocument
from onionpath.directory.evidence import Evidence
from onionpath.directory.inquiry import Inquiry
from onionpath.directory.trust import TrustRoot
from onionpath.disk.evidence_files import EvidenceFiles
from onionpath.disk.private_files import read_private, replace_private
from onionpath.errors import KeyFileError, OnionPathError, UnreachableError
from onionpath.injected import UnixTime
from onionpath.link.frames import CallBody
from onionpath.link.neighbour import Neighbour
from onionpath.onion.geometry import SizeClass
from onionpath.onion.statuses import ReplyStatus
from onionpath.service.calls import ServiceId
from onionpath.service.directory import DirectoryService, Publication
from onionpath.service.directory_fetch import DirectoryFetch
from relay.caller import calling
from relay.links import Links
from relay.network_schedule import (
    CALL_TIMEOUT_S,
    count_sources,
    first_fetch_in_s,
    has_run_out,
    newest_root,
    next_fetch_in_s,
    sources,
)
from relay.publisher import Publisher

log = structlog.get_logger(__name__)

MAX_SNAPSHOT_SIZE = 512 * 1024 * 1024  # bytes: 20,000 relays with descriptors of 16 KiB, and the document


class NetworkKeeper:
    """One relay's tie to its network.

    Args:
        describe: our descriptor as it is now, unsigned.
        file: the directory's snapshot on disk.
        service: what hands the directory on.
    """

    def __init__(
        self,
        root: TrustRoot,
        identity: IdentityKey,
        *,
        describe: Callable[[], Descriptor],
        file: Path,
        links: Links,
        service: DirectoryService,
        client_tls: ssl.SSLContext,
        clock: Callable[[], UnixTime],
        choice: random.Random,
    ) -> None:
        self._root = root
        self._identity = identity
        self._file = file
        self._links = links
        self._service = service
        self._client_tls = client_tls
        self._clock = clock
        self._choice = choice
        self._geometry = root.parameters.geometry
        self._directory: Directory | None = None
        self._seen: SeenDocument | None = None
        self._evidence = EvidenceFiles(file.parent)
        self._is_wanted = trio.Event()
        self._denied = 0  # the number of which there is the newest evidence
        self.publisher = Publisher(
            self, identity, describe=describe, client_tls=client_tls, clock=clock, choice=choice
        )
        self._is_closed = False  # whether the last directory is so old that we forward nothing by it

    @property
    def directory(self) -> Directory | None:
        """The newest verified directory."""
        return self._directory

    @property
    def root(self) -> TrustRoot:
        """The newest version of the trust root that we have been led to."""
        return newest_root(self._root, self._directory, self._seen)

    def load(self) -> None:
        """Take the snapshot from disk, so that a relay works again although no authority answers."""
        self._denied = max(self._evidence.numbers(), default=0)
        if not self._file.exists():
            return
        try:
            snapshot = read_private(self._file, max_size=MAX_SNAPSHOT_SIZE)
            self._seen = decode_seen(snapshot, self._root)
            directory = decode_directory(snapshot, self._root, now=self._clock(), seen=self._seen)
            self._use(_Known.of(directory, None, None))
        except KeyFileError:
            raise
        except OnionPathError as error:
            log.warning("directory_on_disk_ignored", reason=str(error))

    def publish_soon(self) -> None:
        """The descriptor has changed: our keys, for example."""
        self.publisher.soon()

    def fetch_soon(self) -> None:
        """Somebody has a newer document: don't wait for the end of this one. Whoever calls this bounds how often."""
        self._is_wanted.set()

    async def run(self) -> None:
        """Publish and fetch until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.publisher.run)
            nursery.start_soon(self._fetch_forever)

    async def _fetch_forever(self) -> None:
        await trio.sleep(first_fetch_in_s(self._directory, now=self._clock(), choice=self._choice))
        while True:
            pause_s = await self._fetch()
            self._is_wanted = trio.Event()
            with trio.move_on_after(pause_s):
                await self._is_wanted.wait()

    async def _fetch(self) -> float:
        """One inquiry; gives how long to wait for the next."""
        ours = self._identity.relay_id
        asked = sources(self.root, self._directory, ours=ours, choice=self._choice)
        asking = Inquiry(asked, self._directory, self._seen, denied=self._denied)
        while (source := asking.next_source(now=self._clock())) is not None:
            await self._ask(source, asking)
        if asking.newest is not None:
            await self._take(asking.newest)
        self._close_if_run_out()
        return next_fetch_in_s(
            self._directory,
            now=self._clock(),
            choice=self._choice,
            is_confirmed=asking.is_confirmed(there_are=count_sources(self.root, self._directory, ours=ours)),
            is_denied=asking.is_denied,
        )

    async def _ask(self, source: Neighbour, asking: Inquiry[Neighbour]) -> None:
        try:
            with trio.fail_after(CALL_TIMEOUT_S):
                asking.answered(await self._fetch_from(source, beside=asking.newest))
        except trio.TooSlowError:
            log.warning("directory_fetch_failed", reason="too slow")
        except EquivocationError as error:
            await trio.to_thread.run_sync(self._keep_evidence, asking.contradicted(error.pair), error.pair)
        except OnionPathError as error:
            # Before the first document of a new network this is what every relay hears.
            log.debug("directory_fetch_failed", reason=str(error))
        except Exception as error:
            # A bug that a mirror's bytes can reach must not end a relay that works.
            log.error("directory_fetch_failed", kind=type(error).__name__)

    async def _take(self, directory: Directory) -> None:
        if directory is not self._directory:
            # What takes long in a large network, and what waits for a disk, is done in threads.
            before, earlier = self._directory, self._service.publication
            known = await trio.to_thread.run_sync(_Known.of, directory, before, earlier)
            self._use(known)
            await trio.to_thread.run_sync(self._keep_snapshot, directory)
        self.publisher.missed_by(directory, ours=self._identity.relay_id)

    def _keep_evidence(self, number: int, pair: tuple[bytes, bytes]) -> None:
        """Both documents of this number, for people to see; said once."""
        if number <= self._denied:
            return
        self._denied = number
        try:
            file = self._evidence.keep(Evidence.of_documents(pair), number=number)
        except KeyFileError as error:
            log.error("evidence_not_kept", reason=str(error))
            file = None
        log.error("authorities_signed_twice", number=number, evidence=str(file) if file else None)

    def _close_if_run_out(self) -> None:
        if self._directory is None or self._is_closed:
            return
        if has_run_out(self._directory.document, self._clock()):
            log.error("directory_expired", number=self._directory.document.number)
            self._links.use_network({})
            self._is_closed = True

    def _keep_snapshot(self, directory: Directory) -> None:
        try:
            replace_private(self._file, directory.encode())
        except KeyFileError as error:
            # The snapshot only serves the next start; a full disk must not end a relay that works.
            log.error("directory_not_kept", reason=str(error))

    async def _fetch_from(self, neighbour: Neighbour, *, beside: Directory | None) -> Directory:
        fetch = DirectoryFetch(self._root, known=self._directory, seen=self._seen, beside=beside)
        async with calling(neighbour, self._geometry, self._client_tls) as caller:
            while True:
                answer = await caller.call(CallBody(ServiceId.DIRECTORY, SizeClass.LARGE, fetch.next_call()))
                if answer.status != ReplyStatus.ANSWERED:
                    raise UnreachableError("the directory is not served there now")
                # In a thread, because the last part brings the work of them all: a large network's descriptors take
                # seconds to check, and packets must not wait for that. A fetch that was given up is used no more.
                take = partial(fetch.take, answer.body, now=self._clock())
                directory = await trio.to_thread.run_sync(take, abandon_on_cancel=True)
                if directory is not None:
                    return directory

    def _use(self, known: _Known) -> None:
        directory, before = known.directory, self.root
        self._links.use_network(known.neighbours)
        self._is_closed = False
        self._service.replace(known.publication)
        self._directory, self._seen = directory, directory.seen
        if self.root != before:
            log.info("authorities_changed", version=self.root.version)
            self.publisher.authorities_changed()
        log.info("directory_refreshed", number=directory.document.number, relays=len(directory.relays))


class _Known(NamedTuple):
    """A directory with what follows from it."""

    directory: Directory
    neighbours: Mapping[RelayId, Neighbour]
    publication: Publication

    @classmethod
    def of(cls, directory: Directory, before: Directory | None, earlier: Publication | None) -> _Known:
        """Work it out; takes long in a large network."""
        neighbours = {
            relay_id: Neighbour.of_relay(relay.descriptor) for relay_id, relay in directory.relays.items()
        }
        return cls(directory, neighbours, Publication.of(directory, before=before, earlier=earlier))
