"""How many files a process may open, and who gets them: each connection is one.

Without a share for each, whoever opens idle connections takes the files from the dials of the relay itself.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass

from onionpath.errors import SettingsError

MOST = 8_192
# For keys, snapshots, replay tables, the listeners, the loop itself and calls for the directory.
RESERVE = 32
# With less no share is worth its name. Systems give 1,024 where nobody asked for anything.
LEAST = 128


@dataclass(frozen=True, slots=True)
class Shares:
    """Args:
    accepted: connections that others made to us.
    dialled: links that we make to other relays.
    streams: connections of an exit.
    session: connections of Session's clients, and as many to servers for them.
    """

    accepted: int
    dialled: int
    streams: int
    session: int = 0


def share(limit: int, *, is_exit: bool, serves_session: bool = False) -> Shares:
    """Divide what the system lets one process open; a fifth of it stays for resolvers and libraries.

    Raises:
        SettingsError: too few to run with.
    """
    if limit < LEAST:
        raise SettingsError(
            f"a process may open {limit} files here; a relay needs {LEAST} (ulimit -n, LimitNOFILE=)"
        )
    total = min(MOST, limit * 8 // 10) - RESERVE
    dialled = total // 4
    streams = total * 3 // 8 if is_exit else 0
    session = total // 8 if serves_session else 0
    return Shares(total - dialled - streams - 2 * session, dialled, streams, session)


def file_limit() -> int:
    """How many files this process may open now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST * 2 if soft == resource.RLIM_INFINITY else soft
