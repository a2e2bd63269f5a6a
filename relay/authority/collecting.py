"""Takes the descriptors that relays publish: an authority's collector of the directory service."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from onionpath.errors import (
    MalformedError,
    OnionPathError,
    RefusedError,
    SignatureThresholdError,
    StaleDirectoryError,
)
from onionpath.injected import UnixTime
from relay.authority.enrolment import Enrolment
from relay.authority.probing import Prober
from relay.authority.roll import REASONS

log = structlog.get_logger(__name__)


class Collector:
    """Enrols whoever publishes, and has him probed without waiting.

    Args:
        clock: Unix time that never goes back.
    """

    def __init__(self, enrolment: Enrolment, prober: Prober, clock: Callable[[], UnixTime]) -> None:
        self._enrolment, self._prober, self._clock = enrolment, prober, clock

    def collect(self, envelope: bytes, caller: int) -> None:
        """Take a descriptor that came over this link.

        Raises:
            OnionPathError: see ``Enrolment.collect``.
        """
        try:
            self._enrolment.collect(envelope, now=self._clock(), link=caller)
        except OnionPathError as error:
            log.warning("descriptor_refused", reason=reason_of(error))
            raise
        self._prober.soon()


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
