"""An authority's status for people, and where it comes from."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from onionpath.injected import UnixTime
from relay.authority.authority_files import AuthorityFiles
from relay.authority.making import make_agreement
from relay.authority.status import Other, Status, decode_status, status_of
from relay.authority.status_door import ask
from relay.keys import load_relay_keys
from relay.lineage_files import read_roots
from relay.settings import AuthoritySettings


def look(settings: AuthoritySettings) -> Status:
    """Ask the process that runs in the settings' state folder; without one, read what the folder holds.

    Raises:
        SettingsError, KeyFileError: the folder cannot be read.
        OnionPathError: the process does not answer.
    """
    told = ask(settings.state)
    if told is not None:
        return decode_status(told)
    files, roots = AuthorityFiles(settings.state), read_roots(settings.trust_root)
    agreement = make_agreement(load_relay_keys(settings.state).identity, roots, files)
    return status_of(
        agreement,
        roots.newest,
        running=False,
        known=0,
        sights={},
        evidence=files.evidence(),
        now=UnixTime(time.time()),
    )


def report(status: Status) -> str:
    """A line for each thing that an operator wants to know."""
    lines = {
        "process": "running" if status.running else "not running",
        "document": _document(status),
        "agreeing on": _agreeing(status),
        "next votes": _when(status.next_opening_at, status.now),
        "relays": f"{status.listed} listed, {status.known} known"
        if status.running
        else f"{status.listed} listed",
        "evidence": ", ".join(status.evidence) or "none",
    }
    told = [f"{label:<12} {text}" for label, text in lines.items()]
    return "\n".join(told + [f"{'authority':<12} {_other(other, status.now)}" for other in status.others])


def _document(status: Status) -> str:
    if not status.number:
        return "none yet"
    ends = "valid until" if status.valid_until > status.now else "EXPIRED at"
    return f"{status.number}, {ends} {_time(status.valid_until)}"


def _agreeing(status: Status) -> str:
    if status.complete:
        return f"{status.opening}: done"
    recovery = ", because no document is valid" if status.is_recovery else ""
    is_signed = status.signed == status.opening
    signatures = status.signatures if is_signed else 0
    return f"{status.opening}{recovery}: {status.votes} votes, {signatures} of {status.needed} signatures"


def _other(other: Other, now: float) -> str:
    seen = f"seen {_when(other.seen_at, now)}" if other.seen_at else "not seen"
    return f"{other.identity[:8]} at {other.address}: {seen}" + (f" ({other.fault})" if other.fault else "")


def _when(at: float, now: float) -> str:
    return f"in {at - now:.0f} s" if at > now else f"{now - at:.0f} s ago"


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
