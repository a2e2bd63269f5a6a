"""Every kind of error that onionpath raises, split by whose fault it is and by what helps.

Rooms derive their own from these where they have more to say: EquivocationError in ``directory``, for example.

OnionPathError
├── UsageError              our caller's mistake: fix the call
│   ├── SettingsError       .file, .key: fix the settings
│   └── KeyFileError        .file: fix its mode or content
├── UnreachableError        try again later; .edge says between whom it broke
│   ├── DeadlineError       the caller's deadline passed
│   ├── NotDurableError     fewer members of a swarm than a majority have it; .holders
│   └── NoPathError         no path satisfies the constraints; .reasons counts why
├── PeerError               .peer broke the protocol
│   ├── BadLayerError       a seal did not open
│   ├── MalformedError      bytes that the specification does not allow
│   └── WrongPeerError      somebody else answered at the peer's address
├── DirectoryError          don't use it
│   ├── MissingDirectoryError
│   ├── SignatureThresholdError
│   ├── StaleDirectoryError  expired, or from the future
│   ├── RollbackError       older than, or other bytes than, one already seen
│   └── WrongNetworkError
├── RefusedError            understood, and refused: .reason
├── StreamError             a byte stream broke for good: .reason
├── WebsiteError            everything on the way worked, and the website said no
└── OutcomeUnknownError     it may or may not have happened
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


class OnionPathError(Exception):
    """The root of everything that onionpath raises on purpose."""


class UsageError(OnionPathError):
    """The call was wrong; the same call will fail again."""


class SettingsError(UsageError):
    """A settings file has an unknown key, a wrong type or an impossible value."""

    def __init__(self, message: str, *, file: str = "", key: str = "") -> None:
        super().__init__(message)
        self.file = file
        self.key = key


class KeyFileError(UsageError):
    """A file that holds a secret is missing, damaged, or readable by others."""

    def __init__(self, message: str, *, file: str = "") -> None:
        super().__init__(message)
        self.file = file


@dataclass(frozen=True, slots=True)
class Edge:
    """The pair of neighbours between whom something failed; -1 is the client itself.

    A hop's word proves only that this hop says so, therefore blame falls on the pair.
    """

    speaker: int
    about: int

    def __str__(self) -> str:
        def name(hop: int) -> str:
            return "the client" if hop < 0 else f"hop {hop + 1}"

        return f"between {name(self.speaker)} and {name(self.about)}"


# Between whoever sends a packet and the first relay of its path.
FIRST_EDGE = Edge(-1, 0)


class UnreachableError(OnionPathError):
    """Somebody on the way could not be reached; a later try may succeed.

    Args:
        edge: between whom it broke, as far as that is known.
        sent: False if it is certain that nothing left this program.
    """

    def __init__(self, message: str, *, edge: Edge | None = None, sent: bool = True) -> None:
        super().__init__(message)
        self.edge = edge
        self.sent = sent


class DeadlineError(UnreachableError):
    """The caller's deadline passed before an answer came."""


class NotDurableError(UnreachableError):
    """A write that fewer members of a swarm than a majority have on disk; to send it again is harmless.

    Args:
        holders: relay ids of members that have it, by their own signature.
        failed: the others' relay ids, with what is said of them.
    """

    def __init__(self, message: str, holders: Iterable[bytes], failed: Iterable[tuple[bytes, str]]) -> None:
        super().__init__(message)
        self.holders = frozenset(holders)
        self.failed = dict(failed)


class NoPathError(UnreachableError):
    """No path satisfies the constraints; ``reasons`` counts the relays refused for each."""

    def __init__(self, message: str, *, reasons: Mapping[str, int] | None = None) -> None:
        super().__init__(message)
        self.reasons = dict(reasons or {})


class PeerError(OnionPathError):
    """The other side broke the protocol.

    Args:
        peer: its address, as far as that is known.
        hop: index of the hop whose seal or reply it was.
    """

    def __init__(self, message: str, *, peer: str = "", hop: int | None = None) -> None:
        super().__init__(message)
        self.peer = peer
        self.hop = hop


class BadLayerError(PeerError):
    """A seal did not open: wrong key, wrong slot and damage look alike on purpose."""


class MalformedError(PeerError):
    """Bytes that no correct implementation sends."""


class WrongPeerError(PeerError):
    """Whoever answered at this address does not hold the expected key."""


class DirectoryError(OnionPathError):
    """A directory that must not be used."""


class MissingDirectoryError(DirectoryError):
    """There is no directory to work with."""


class SignatureThresholdError(DirectoryError):
    """Fewer authorities than the threshold have signed these bytes."""


class StaleDirectoryError(DirectoryError):
    """The document has expired or is from the future; perhaps our clock is wrong."""


class RollbackError(DirectoryError):
    """The document is older than one already seen, or has its number with other bytes."""


class WrongNetworkError(DirectoryError):
    """The document belongs to another network."""


class RefusedError(OnionPathError):
    """The request was understood and refused."""

    def __init__(self, message: str, *, reason: str, hop: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.hop = hop


class StreamError(OnionPathError):
    """A byte stream ended without its end: no byte after this one will come."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class WebsiteError(OnionPathError):
    """Everything on the way worked, and the website itself said no."""


class OutcomeUnknownError(OnionPathError):
    """The call may or may not have been carried out, and nobody can tell which."""
