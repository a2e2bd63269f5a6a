"""What ``onionpath doctor`` found: one thing that was examined, good or bad, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from onionpath.errors import (
    DeadlineError,
    DirectoryError,
    NoPathError,
    OnionPathError,
    StaleDirectoryError,
    UnreachableError,
    UsageError,
    WrongNetworkError,
    WrongPeerError,
)

CHECK_INTERNET = "check the internet; if it lets only a proxy through, set proxy=socks5://HOST:PORT"
START_NETWORK = (
    "the network seems not to run: its addresses are of this machine or of a private network; start it there,"
    " or give the file of another with --network"
)
# First match wins.
_REMEDIES: tuple[tuple[type[OnionPathError], str], ...] = (
    (StaleDirectoryError, "set the clock (`timedatectl` says whether it is synchronized), then try again"),
    (
        WrongNetworkError,
        "get the network's file anew from whoever runs the network, or give it a state of its own",
    ),
    (
        DirectoryError,
        "get the network's file anew from whoever runs the network; tell them if that doesn't help",
    ),
    (
        WrongPeerError,
        "somebody stands between you and the network, or a relay changed its key: try another network",
    ),
    (NoPathError, "`onionpath path explain` says whom each place refused, and why"),
    (DeadlineError, "try again, or give it more time with --set deadline_s=90"),
    (UnreachableError, CHECK_INTERNET),
    (UsageError, "mend what the line names"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing.

    Args:
        verdict: "well", "odd" (it works all the same), or "wrong".
        remedy: what to do; empty if nothing.
        error: what makes it wrong, with the exit code that this gives.
    """

    name: str
    verdict: str
    detail: str
    remedy: str = ""
    error: OnionPathError | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "detail": self.detail,
            "remedy": self.remedy or None,
        }


def well(name: str, detail: str) -> Finding:
    """It is as it should be."""
    return Finding(name, "well", detail)


def odd(name: str, detail: str, remedy: str) -> Finding:
    """It works, and somebody should know."""
    return Finding(name, "odd", detail, remedy)


def wrong(name: str, error: OnionPathError, remedy: str = "") -> Finding:
    """It does not work."""
    found = remedy or next((words for kind, words in _REMEDIES if isinstance(error, kind)), "")
    return Finding(name, "wrong", str(error), found, error)


def nearby(finding: Finding) -> Finding:
    """The finding, of a network on this machine or next to it: there the internet is not to blame."""
    return replace(finding, remedy=START_NETWORK) if finding.remedy == CHECK_INTERNET else finding


def remedies(findings: Iterable[Finding]) -> tuple[str, ...]:
    """What to do, in order, each once and with the names of all that it would help."""
    names: dict[str, list[str]] = {}
    for each in findings:
        if each.remedy:
            names.setdefault(each.remedy, []).append(each.name)
    return tuple(f"{', '.join(named)}: {remedy}" for remedy, named in names.items())


class FoundError(Exception):
    """Something is wrong and noted, and what needs it cannot be examined."""


@contextmanager
def noting(name: str, findings: list[Finding]) -> Iterator[None]:
    """Note an error as a finding.

    Raises:
        FoundError: there was one.
    """
    try:
        yield
    except OnionPathError as error:
        findings.append(wrong(name, error))
        raise FoundError from error
