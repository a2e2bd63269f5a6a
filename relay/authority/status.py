"""How an authority is, for its operator: drawn from a running process, or from what its disk holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from onionpath.directory.trust import Authority, TrustRoot
from onionpath.errors import MalformedError
from onionpath.injected import UnixTime
from relay.authority.agreement import Agreement
from relay.authority.visiting import Sight

MAX_STATUS_SIZE = 256 * 1024  # bytes: 31 authorities and 64 names of files take some 10 KiB


@dataclass(frozen=True, slots=True)
class Other:
    """Another authority.

    Args:
        seen_at: Unix time of the last visit; 0 for none.
        fault: why the last try failed; empty if it did not.
    """

    identity: str
    address: str
    seen_at: float
    fault: str


@dataclass(frozen=True, slots=True)
class Status:
    """See the module's first line; all times are Unix times, 0 for never.

    Args:
        running: whether a process was asked.
        number: of the document that was published last; 0 for none.
        valid_until: of that document.
        listed: how many relays it lists.
        known: of how many relays there is a descriptor.
        opening: number of the document that is being agreed on.
        is_recovery: whether no document is valid.
        votes: of that opening, as accepted so far.
        signed: number of the draft that was signed last.
        signatures: over that draft.
        needed: signatures that make a document.
        complete: whether the number at hand has its document.
        next_opening_at: when the next votes are due.
        others: the other authorities.
        evidence: names of files in the folder ``evidence``.
    """

    running: bool
    now: float
    number: int
    valid_until: float
    listed: int
    known: int
    opening: int
    is_recovery: bool
    votes: int
    signed: int
    signatures: int
    needed: int
    complete: bool
    next_opening_at: float
    others: tuple[Other, ...]
    evidence: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def status_of(
    agreement: Agreement,
    root: TrustRoot,
    *,
    running: bool,
    known: int,
    sights: Mapping[bytes, Sight],
    evidence: Sequence[str],
    now: UnixTime,
) -> Status:
    """How this authority is.

    Args:
        known: of how many relays there is a descriptor.
        sights: of the other authorities, by identity.
    """
    opening, draft, newest = agreement.calendar.opening(now), agreement.draft, agreement.newest
    return Status(
        running=running,
        now=now,
        number=newest.number if newest else 0,
        valid_until=newest.valid_until if newest else 0,
        listed=len(newest.relays) if newest else 0,
        known=known,
        opening=opening.number,
        is_recovery=bool(opening.recovery_at),
        votes=agreement.votes_accepted,
        signed=draft.number if draft else 0,
        signatures=len(draft.signatures) if draft else 0,
        needed=root.threshold,
        complete=agreement.calendar.is_complete(now),
        next_opening_at=agreement.calendar.next_opening_at(now),
        others=tuple(_other(one, sights) for one in root.authorities if one.identity != agreement.identity),
        evidence=tuple(evidence),
    )


def encode_status(status: Status) -> bytes:
    """One JSON object."""
    return msgspec.json.encode(status)


def decode_status(encoded: bytes) -> Status:
    """Read what a process told.

    Raises:
        MalformedError: it is no status.
    """
    try:
        return msgspec.json.decode(encoded, type=Status)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedError("an authority's status has a wrong form") from error


def _other(authority: Authority, sights: Mapping[bytes, Sight]) -> Other:
    sight = sights.get(authority.identity, Sight())
    return Other(authority.identity.hex(), str(authority.address), sight.seen_at, sight.fault)
