"""Runs an authority's agreement: votes and signs when it is time, keeps what was decided, and publishes.

What was decided is stored in a thread before anybody is shown it; the agreement sees to the order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import structlog
import trio

from onionpath.directory.document import Document
from onionpath.directory.evidence import Evidence
from onionpath.disk.evidence_files import MAX_EVIDENCE_FILES
from onionpath.errors import (
    KeyFileError,
)
from onionpath.injected import UnixTime
from onionpath.service.directory import DirectoryService
from relay.authority.actions import Actions
from relay.authority.authority_files import AuthorityFiles
from relay.authority.office import Office
from relay.authority.publishing import Publishing

log = structlog.get_logger(__name__)

STORE_RETRY_S = 1.0


class RunningAuthority:
    """The agreement of a process; ``making`` says what runs beside it.

    Args:
        service: hands out what was published.
        files: keeps what must not be lost; raises KeyFileError where the disk refuses.
        clock: Unix time that never goes back.
    """

    def __init__(
        self,
        office: Office,
        publishing: Publishing,
        service: DirectoryService,
        *,
        files: AuthorityFiles,
        clock: Callable[[], UnixTime],
    ) -> None:
        self.office = office
        self.publishing = publishing
        self._service = service
        self._files = files
        self._clock = clock
        self._state: bytes | None = None
        self._state_given = trio.Event()
        self._evidence: list[Evidence] = []
        self._evidence_given = trio.Event()

    def carry_out(self, actions: Actions) -> None:
        """Do what the agreement says; never waits."""
        if actions.evidence:
            self._evidence += actions.evidence[: MAX_EVIDENCE_FILES - len(self._evidence)]
            self._evidence_given.set()
        if actions.state is not None:
            self._state = actions.state
            self._state_given.set()
        # A document comes last: it alone can fail, and the rest must not be lost with it.
        if actions.document is not None:
            self._announce(actions.document)

    async def run(self) -> None:
        """Take part until cancelled."""
        async with trio.open_nursery() as nursery:
            for task in (self._store_forever, self._keep_evidence_forever, self._tick_forever):
                nursery.start_soon(task)

    async def _tick_forever(self) -> None:
        while True:
            if self._state is None:
                self.carry_out(self.office.tick(self._clock()))
            await self._publish()
            await trio.sleep(self.office.agreement.calendar.pause_s(self._clock()))

    async def _publish(self) -> None:
        directory = self.publishing.due(self._clock())
        if directory is None or self.publishing.publication is None:
            return
        self._service.replace(self.publishing.publication)
        log.info(
            "document_published",
            number=directory.document.number,
            relays=len(directory.relays),
            missing=directory.missing,
        )
        try:
            await trio.to_thread.run_sync(self._files.keep_directory, directory.encode())
        except KeyFileError as error:
            # It only serves the next start; the agreement keeps the document itself.
            log.error("directory_not_kept", reason=str(error))

    def _announce(self, document: Document) -> None:
        content = self.office.agreement.content
        envelopes = self.publishing.wanted(document, content)
        self.publishing.announce(document, [*envelopes, *self.office.enrolment.envelopes()])
        log.info("document_agreed", number=document.number, relays=len(document.relays))

    async def _store_forever(self) -> None:
        # Durable first: after a crash nobody votes in this opening, or signs this number, a second time.
        while True:
            await self._state_given.wait()
            self._state_given = trio.Event()
            while (state := self._state) is not None:
                await self._until_done("state_not_stored", partial(self._files.keep_diary, state))
                # What came meanwhile holds this, too, and is stored next.
                if self._state == state:
                    self._state = None
                    self.carry_out(self.office.agreement.stored(self._clock()))

    async def _keep_evidence_forever(self) -> None:
        while True:
            await self._evidence_given.wait()
            self._evidence_given = trio.Event()
            while self._evidence:
                pair = self._evidence.pop(0)
                proven = self.office.agreement.proven(pair)
                guilty = [key.hex()[:16] for key in proven.guilty]
                log.error(
                    "authority_equivocated", number=proven.number, kind=pair.payload_type, guilty=guilty
                )
                keep = partial(self._files.keep_evidence, pair, proven.number)
                await self._until_done("evidence_not_kept", keep)

    async def _until_done(self, event: str, store: Callable[[], None]) -> None:
        while True:
            try:
                return await trio.to_thread.run_sync(store)
            except KeyFileError as error:
                log.error(event, reason=str(error))
                await trio.sleep(STORE_RETRY_S)
