"""Keeps the client's directory: from disk, from relays, at first from an authority, and fresh from then on.

Everything that comes from outside, the disk included, is verified against the trust root before it is used.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from onionpath.client.connections import Connections
from onionpath.client.directory_schedule import FETCH_TIMEOUT_S, Source, refresh_in_s, sources
from onionpath.client.shared_file import locked, replace_shared
from onionpath.directory.directory import Directory, decode_directory, decode_seen
from onionpath.directory.document import EquivocationError, SeenDocument
from onionpath.directory.evidence import Evidence
from onionpath.directory.inquiry import Inquiry
from onionpath.directory.trust import TrustRoot
from onionpath.disk.evidence_files import EVIDENCE_NAME, EvidenceFiles
from onionpath.errors import (
    DirectoryError,
    MissingDirectoryError,
    OnionPathError,
    StaleDirectoryError,
    UnreachableError,
)
from onionpath.injected import UnixTime
from onionpath.link.frames import CallBody
from onionpath.onion.geometry import SizeClass
from onionpath.onion.statuses import ReplyStatus
from onionpath.service.calls import ServiceId
from onionpath.service.directory_fetch import DirectoryFetch
from onionpath.service.directory_wire import Outcome, decode_reply

Ask = Callable[[bytes], Awaitable[bytes]]
"""Carries one call of the directory service to somebody, and gives the body of the answer."""

Asked = TypeVar("Asked")


class DirectoryKeeper:
    """The directory of one network.

    Args:
        root: whom we believe.
        file: the snapshot on disk; None keeps nothing.
        clock: Unix time that never goes back.
        choice: which mirror is asked.
    """

    def __init__(
        self,
        root: TrustRoot,
        *,
        file: Path | None,
        clock: Callable[[], UnixTime],
        choice: random.Random,
    ) -> None:
        self._root = root
        self._file = file
        self._clock = clock
        self._choice = choice
        self._seen: SeenDocument | None = None
        self._directory: Directory | None = None
        self._is_confirmed = True
        self._denied = 0  # the number of which there is the newest evidence
        self.evidence: Evidence | None = None  # That authorities have signed two documents of one number.

    @property
    def directory(self) -> Directory:
        """The newest verified directory.

        Raises:
            MissingDirectoryError: there is none yet.
        """
        if self._directory is None:
            raise MissingDirectoryError("no directory yet: enter the client first")
        return self._directory

    def use(self, directory: Directory) -> None:
        """Start from a directory that the program has."""
        self._directory = directory

    async def load(self) -> None:
        """Take the snapshot from disk, if it is there and still good; a damaged one is ignored."""
        if self._file is None:
            return
        try:
            snapshot = await anyio.Path(self._file).read_bytes()
        except OSError:
            return
        try:
            self._seen = decode_seen(snapshot, self._root)
            self._directory = decode_directory(snapshot, self._root, now=self._clock(), seen=self._seen)
        except OnionPathError:
            # What it proves to have been seen still counts; the rest is fetched again.
            self._directory = None

    async def fetch(self, connections: Connections) -> None:
        """Get a directory that is fresh, from whoever has one first; for a client that has no paths yet.

        Raises:
            DirectoryError: what was offered must not be used. UnreachableError: nobody answered.
        """
        if self._directory is not None and self._directory.is_fresh(self._clock()):
            return
        asking = self._inquire(sources(self._root, self._directory, choice=self._choice), wanted=1)
        failures: list[OnionPathError] = []
        while (source := asking.next_source(now=self._clock())) is not None:
            failure = await self._ask(_directly(connections, source), asking)
            failures += [failure] if failure else []
        await self._take(asking)
        if asking.newest is not None and asking.newest.is_fresh(self._clock()):
            self._is_confirmed = False  # One has been asked; the second is, over a path.
        elif self._directory is None or not self._directory.is_usable(self._clock()):
            raise _worst(failures, is_denied=asking.is_denied)

    async def refresh_forever(self, connections: Connections, through_paths: Sequence[Ask]) -> None:
        """Fetch each new document some time after the old one turned stale; until cancelled.

        Args:
            through_paths: asks relays through paths, each over another.
        """
        while True:
            document = self.directory.document
            wait_s = refresh_in_s(
                document, now=self._clock(), choice=self._choice, is_confirmed=self._is_confirmed
            )
            await anyio.sleep(wait_s)
            # Neither a liar nor a full disk may end the program's client; calls say so once the document has expired.
            with suppress(OnionPathError):
                await self.refresh(through_paths)
                if not self.directory.is_fresh(self._clock()):
                    await self.fetch(connections)

    async def refresh(self, asks: Sequence[Ask]) -> None:
        """Ask all of them with what we have now, and take the newest; nothing if authorities contradict themselves.

        Spec: docs/specs/directory.md §12.
        """
        asking = self._inquire(asks, wanted=len(asks))
        while (ask := asking.next_source(now=self._clock())) is not None:
            await self._ask(ask, asking)
        # Whoever has one answer only uses it, and asks again sooner.
        self._is_confirmed = not asking.answers or asking.is_confirmed(there_are=len(asks))
        await self._take(asking)

    def _inquire(self, asked: Sequence[Asked], *, wanted: int) -> Inquiry[Asked]:
        return Inquiry(asked, self._directory, self._seen, denied=self._denied, wanted=wanted)

    async def _ask(self, ask: Ask, asking: Inquiry[Asked]) -> OnionPathError | None:
        """Put the inquiry to one source; gives why it failed, or None."""
        try:
            asking.answered(await self._fetch(ask, beside=asking.newest))
        except EquivocationError as error:
            await self._keep_evidence(asking.contradicted(error.pair), error.pair)
            return error
        except OnionPathError as error:
            return error
        return None

    async def _take(self, asking: Inquiry[Asked]) -> None:
        if asking.newest is not None and asking.newest is not self._directory:
            await self._keep(asking.newest)

    async def _fetch(self, ask: Ask, *, beside: Directory | None) -> Directory:
        """What somebody has, given what another has just answered."""
        fetch = DirectoryFetch(self._root, known=self._directory, seen=self._seen, beside=beside)
        directory = None
        try:
            with anyio.fail_after(FETCH_TIMEOUT_S):
                while directory is None:
                    body = await ask(fetch.next_call())
                    # In a thread, because a large network's descriptors take seconds to check, and the program's other
                    # tasks must not wait for that. A fetch that was given up is used no more.
                    take = partial(fetch.take, body, now=self._clock())
                    directory = await anyio.to_thread.run_sync(take, abandon_on_cancel=True)
        except TimeoutError as error:
            raise UnreachableError(f"the directory was not delivered in {FETCH_TIMEOUT_S:.0f} s") from error
        return directory

    async def _keep_evidence(self, number: int, pair: tuple[bytes, bytes]) -> None:
        """Both documents of this number, for people to see; once."""
        if number <= self._denied:
            return
        self._denied, self.evidence = number, Evidence.of_documents(pair)
        if self._file is not None:
            keep = partial(_keep_evidence, self._file.parent, self.evidence, number)
            await anyio.to_thread.run_sync(keep)

    async def _keep(self, directory: Directory) -> None:
        self._directory, self._seen = directory, directory.seen
        if self._file is not None:
            # In one step that nobody can interrupt, so that nothing half done is left.
            await anyio.to_thread.run_sync(replace_shared, self._file, directory.encode())


def _directly(connections: Connections, source: Source) -> Ask:
    """Ask one relay or authority itself, without a path."""

    async def ask(body: bytes) -> bytes:
        """One call and the body of its answer; see ``Ask``."""
        try:
            connection = await connections.to(source.neighbour)
        except UnreachableError as error:
            if error.edge is None:
                raise  # Not its fault: a proxy is down, for example.
            raise UnreachableError(f"{source} could not be reached; is the network running?") from error
        answer = await connection.call(CallBody(ServiceId.DIRECTORY, SizeClass.LARGE, body))
        if answer.status != ReplyStatus.ANSWERED:
            raise UnreachableError(f"{source} does not serve the directory now")
        _check_there_is_one(answer.body, source)
        return answer.body

    return ask


def _check_there_is_one(body: bytes, source: Source) -> None:
    """The fetch would say it too, but not whose word it is."""
    if decode_reply(body).outcome is Outcome.MISSING:
        raise MissingDirectoryError(
            f"{source} has no document yet; it signs the first when enough relays have published"
            if source.is_authority
            else f"{source} has no document yet"
        )


def _worst(failures: list[OnionPathError], *, is_denied: bool) -> OnionPathError:
    """A forged or stale document says more than a relay that is down."""
    if is_denied:
        return DirectoryError("authorities have signed two documents of the newest number; neither is used")
    for kind in (StaleDirectoryError, DirectoryError):
        for failure in failures:
            if isinstance(failure, kind) and not isinstance(failure, MissingDirectoryError):
                return failure
    return failures[0] if failures else MissingDirectoryError("nobody has a directory yet")


def _keep_evidence(state: Path, evidence: Evidence, number: int) -> None:
    with locked(state / EVIDENCE_NAME):
        EvidenceFiles(state).keep(evidence, number=number)
