"""Keeps a relay in its network: publishes its descriptor, fetches documents, and tells the switch who is there."""

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
from onionpath.directory.descriptor import Descriptor, sign_descriptor
from onionpath.directory.directory import Directory, decode_directory, decode_seen
from onionpath.directory.document import SeenDocument
from onionpath.directory.trust import TrustRoot
from onionpath.errors import KeyFileError, OnionPathError, RefusedError, UnreachableError
from onionpath.injected import UnixTime
from onionpath.link.frames import CallBody, call_capacity
from onionpath.link.neighbour import Neighbour
from onionpath.onion.geometry import SizeClass
from onionpath.onion.statuses import Reason, ReplyStatus
from onionpath.service.calls import ServiceId
from onionpath.service.directory import DirectoryService, Publication
from onionpath.service.directory_fetch import DirectoryFetch
from onionpath.service.directory_wire import check_published, publish_calls
from relay.caller import calling
from relay.files import read_secret, replace_secret
from relay.links import Links
from relay.network_schedule import (
    CALL_TIMEOUT_S,
    Publishing,
    first_fetch_in_s,
    has_run_out,
    next_fetch_in_s,
    sources,
)

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
        self._describe = describe
        self._file = file
        self._links = links
        self._service = service
        self._client_tls = client_tls
        self._clock = clock
        self._choice = choice
        self._geometry = root.parameters.geometry
        self._directory: Directory | None = None
        self._seen: SeenDocument | None = None
        self._described_anew = trio.Event()
        self._publishing = Publishing()
        self._is_closed = False  # whether the last directory is so old that we forward nothing by it

    @property
    def directory(self) -> Directory | None:
        """The newest verified directory."""
        return self._directory

    def load(self) -> None:
        """Take the snapshot from disk, so that a relay works again although no authority answers."""
        if not self._file.exists():
            return
        try:
            snapshot = read_secret(self._file, max_size=MAX_SNAPSHOT_SIZE)
            self._seen = decode_seen(snapshot, self._root)
            directory = decode_directory(snapshot, self._root, now=self._clock(), seen=self._seen)
            self._use(_Known.of(directory, None))
        except KeyFileError:
            raise
        except OnionPathError as error:
            log.warning("directory_on_disk_ignored", reason=str(error))

    def publish_soon(self) -> None:
        """The descriptor has changed: our keys, for example."""
        self._described_anew.set()

    async def run(self) -> None:
        """Publish and fetch until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._publish_forever)
            nursery.start_soon(self._fetch_forever)

    # Publishing.

    async def _publish_forever(self) -> None:
        while True:
            # Made before we publish: what changes meanwhile is published next.
            self._described_anew = trio.Event()
            published_at = await self._publish_to_all()
            pause_s = self._publishing.done(published_at, has_directory=self._directory is not None)
            with trio.move_on_after(pause_s):
                await self._described_anew.wait()

    async def _publish_to_all(self) -> UnixTime:
        """Give each authority a newer descriptor than it has, and say when the newest was made."""
        await trio.sleep(self._publishing.begin(now=self._clock()))
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
            await trio.sleep(self._publishing.retry_in_s())

    async def _publish(self, envelope: bytes, authority: Neighbour) -> bool:
        capacity = call_capacity(self._geometry, SizeClass.SMALL)
        try:
            with trio.fail_after(CALL_TIMEOUT_S):
                async with calling(authority, self._geometry, self._client_tls) as caller:
                    for body in publish_calls(envelope, capacity=capacity):
                        answer = await caller.call(CallBody(ServiceId.DIRECTORY, SizeClass.SMALL, body))
                        if answer.status != ReplyStatus.ANSWERED:
                            # It said nothing of the descriptor: it is busy, or leaves. Our next try may find it well.
                            log.warning(
                                "authority_busy",
                                authority=str(authority),
                                reason=_named(answer.reason),
                            )
                            return False
                        check_published(answer.body)
        except (UnreachableError, trio.TooSlowError):
            log.warning("authority_unreachable", authority=str(authority))
            return False
        except RefusedError as error:
            # The answer has no room for a reason.
            log.error(
                "descriptor_refused",
                authority=str(authority),
                reason=error.reason,
                hint="the authority's log says why",
            )
            return False
        except OnionPathError as error:
            log.error("authority_broke_protocol", kind=type(error).__name__)
            return False
        except Exception as error:
            # A bug that an authority's bytes can reach must not end a relay that works.
            log.error("publishing_failed", kind=type(error).__name__)
            return False
        log.info("descriptor_published", authority=str(authority))
        return True

    # Fetching.

    async def _fetch_forever(self) -> None:
        await trio.sleep(first_fetch_in_s(self._directory, now=self._clock(), choice=self._choice))
        while True:
            ours = self._identity.relay_id
            for neighbour in sources(self._root, self._directory, ours=ours, choice=self._choice):
                if await self._fetch(neighbour):
                    break
            self._close_if_run_out()
            await trio.sleep(next_fetch_in_s(self._directory, now=self._clock(), choice=self._choice))

    async def _fetch(self, neighbour: Neighbour) -> bool:
        try:
            with trio.fail_after(CALL_TIMEOUT_S):
                directory = await self._fetch_from(neighbour)
        except trio.TooSlowError:
            log.warning("directory_fetch_failed", reason="too slow")
            return False
        except OnionPathError as error:
            # Before the first document of a new network this is what every relay hears.
            log.debug("directory_fetch_failed", reason=str(error))
            return False
        except Exception as error:
            # Nor must one that a mirror's bytes can reach.
            log.error("directory_fetch_failed", kind=type(error).__name__)
            return False
        if directory is not self._directory:
            # What takes long in a large network, and what waits for a disk, is done in threads.
            before = self._directory
            known = await trio.to_thread.run_sync(_Known.of, directory, before)
            self._use(known)
            await trio.to_thread.run_sync(self._keep_snapshot, directory)
        self._publish_if_missed(directory)
        return directory.is_fresh(self._clock())

    def _publish_if_missed(self, directory: Directory) -> None:
        if self._publishing.is_missed_by(directory, ours=self._identity.relay_id, now=self._clock()):
            log.warning("relay_not_listed", number=directory.document.number)
            self._described_anew.set()

    def _close_if_run_out(self) -> None:
        if self._directory is None or self._is_closed:
            return
        if has_run_out(self._directory.document, self._clock()):
            log.error("directory_expired", number=self._directory.document.number)
            self._links.use_network({})
            self._is_closed = True

    def _keep_snapshot(self, directory: Directory) -> None:
        try:
            replace_secret(self._file, directory.encode())
        except KeyFileError as error:
            # The snapshot only serves the next start; a full disk must not end a relay that works.
            log.error("directory_not_kept", reason=str(error))

    async def _fetch_from(self, neighbour: Neighbour) -> Directory:
        fetch = DirectoryFetch(self._root, known=self._directory, seen=self._seen)
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
        directory = known.directory
        self._links.use_network(known.neighbours)
        self._is_closed = False
        self._service.replace(known.publication)
        self._directory, self._seen = directory, directory.seen
        log.info("directory_refreshed", number=directory.document.number, relays=len(directory.relays))


class _Known(NamedTuple):
    """A directory with what follows from it."""

    directory: Directory
    neighbours: Mapping[RelayId, Neighbour]
    publication: Publication

    @classmethod
    def of(cls, directory: Directory, before: Directory | None) -> _Known:
        """Work it out; takes long in a large network."""
        neighbours = {
            relay_id: Neighbour.of_relay(relay.descriptor) for relay_id, relay in directory.relays.items()
        }
        return cls(directory, neighbours, Publication.of(directory, before=before))


def _named(reason: int) -> str:
    try:
        return Reason(reason).name.lower()
    except ValueError:
        return f"unknown ({reason})"
