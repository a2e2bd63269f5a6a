"""Runs an authority: takes descriptors, has their relays dialled, and signs, stores, publishes, in this order."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from onionpath.errors import (
    KeyFileError,
    MalformedError,
    OnionPathError,
    RefusedError,
    SignatureThresholdError,
    StaleDirectoryError,
)
from onionpath.injected import UnixTime
from onionpath.service.directory import DirectoryService, Publication
from relay.authority.probing import Prober
from relay.authority.roll import REASONS
from relay.authority.signing import Authority, Signed

log = structlog.get_logger(__name__)

TICK_S = 0.1
STORE_RETRY_S = 1.0


class RunningAuthority:
    """The authority of a process.

    Args:
        store: keeps the state durably; raises KeyFileError where the disk refuses.
        clock: Unix time that never goes back.
    """

    def __init__(
        self,
        authority: Authority,
        prober: Prober,
        *,
        store: Callable[[bytes], None],
        clock: Callable[[], UnixTime],
    ) -> None:
        self._authority = authority
        self._prober = prober
        self._store = store
        self._clock = clock

    def collect(self, envelope: bytes) -> None:
        """Take a descriptor.

        Raises:
            OnionPathError: see ``Authority.collect``.
        """
        try:
            self._authority.collect(envelope, now=self._clock())
        except OnionPathError as error:
            log.warning("descriptor_refused", reason=reason_of(error))
            raise
        self._prober.soon()

    async def run(self, directory: DirectoryService) -> None:
        """Probe and sign until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._prober.run)
            nursery.start_soon(self._sign_forever, directory)

    async def _sign_forever(self, directory: DirectoryService) -> None:
        before = self._authority.directory
        if before is not None:
            directory.replace(Publication.of(before))
        while True:
            signed = self._authority.tick(self._clock())
            if signed is not None:
                await self._store_until_done(signed)
                directory.replace(Publication.of(signed.directory, before=before))
                before = signed.directory
                log.info("document_signed", number=before.document.number, relays=len(before.relays))
            await trio.sleep(TICK_S)

    async def _store_until_done(self, signed: Signed) -> None:
        # Durable first: after a crash nobody signs this number a second time. Until it is, the last document serves.
        while True:
            try:
                self._store(signed.state)
            except KeyFileError as error:
                log.error("document_not_stored", number=signed.directory.document.number, reason=str(error))
                await trio.sleep(STORE_RETRY_S)
            else:
                return


def reason_of(error: OnionPathError) -> str:
    """A name of ours for why a descriptor was refused; what its sender wrote never reaches the log."""
    match error:
        case RefusedError() if error.reason in REASONS:
            return error.reason
        case StaleDirectoryError():
            return "stale"
        case SignatureThresholdError():
            return "bad-signature"
        case MalformedError():
            return "malformed"
        case _:
            return "other"
