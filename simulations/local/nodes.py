"""The parts of a local network, seen from the program that wanted them: relays, authorities and the website."""

from __future__ import annotations

import signal
import ssl
from pathlib import Path
from typing import NamedTuple

from onionpath.errors import UsageError
from relay.authority.status import Status, decode_status
from relay.authority.status_door import ask
from relay.settings import Endpoint
from simulations.local.frame_records import FrameRecord, read_frames
from simulations.local.processes import Processes
from simulations.local.protocol import Program

# The directory is there once all relays have published; 200 relays need a while for that.
START_S = 60.0
RECORDS = "frames.jsonl"


class Website(NamedTuple):
    """The website's names.

    Args:
        url: ends with a slash.
        wrong_url: shows a certificate that ``ca_file`` doesn't vouch for.
        notes: what it wrote down, if frames are recorded.
    """

    host: str
    port: int
    url: str
    wrong_url: str
    ca_file: Path
    notes: Path | None

    def tls(self) -> ssl.SSLContext:
        """A client's context that trusts this website's authority and no other."""
        return ssl.create_default_context(cafile=str(self.ca_file))


class LocalNode:
    """One relay or authority of a running network.

    Args:
        name: what people call it.
        folder: holds its settings, its state and its log.
    """

    def __init__(
        self, name: str, program: Program, settings: str, folder: Path, processes: Processes
    ) -> None:
        self.name = name
        self.folder = folder
        self._program = program
        self._settings = settings
        self._processes = processes

    def start(self) -> None:
        """Have it started; the network waits for all of them together."""
        self._processes.start(self.name, self._program, self.folder / self._settings, self.folder / "log")

    def kill(self) -> None:
        """End it as power loss to its process would: SIGKILL."""
        self._processes.end(self.name, signal.SIGKILL)

    def stop(self) -> None:
        """End it as its operator would: SIGTERM."""
        self._processes.end(self.name, signal.SIGTERM)

    def restart(self) -> None:
        """Start it again, after ``kill`` or ``stop``, with the state that it left; returns once it serves."""
        self.start()
        self._processes.wait_ready(self.name, timeout_s=START_S)

    def log(self) -> str:
        """All that it has logged: one JSON object per line."""
        file = self.folder / "log"
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


class LocalRelay(LocalNode):
    """One relay of a running network; "relay 1" is the first.

    Args:
        session_endpoint: where it takes Session's onions, if it does.
    """

    def __init__(
        self,
        number: int,
        relay_id: bytes,
        endpoint: Endpoint,
        folder: Path,
        processes: Processes,
        *,
        session_endpoint: Endpoint | None = None,
    ) -> None:
        super().__init__(f"relay {number}", Program.RELAY, "relay.toml", folder, processes)
        self.number = number
        self.relay_id = relay_id
        self.endpoint = endpoint
        self.session_endpoint = session_endpoint

    @property
    def pid(self) -> int:
        """Its process.

        Raises:
            UsageError: it isn't running.
        """
        pid = self._processes.pids().get(self.name)
        if pid is None:
            raise UsageError(f"{self.name} is not running")
        return pid

    def has_directory(self) -> bool:
        """Whether it has ever had the network's directory, and so knows the others."""
        return '"directory_refreshed"' in self.log()

    def answers_for_accounts(self) -> bool:
        """Whether it stores and, since its last start, answers for all accounts of its swarm."""
        since_start = self.log().rpartition('"event":"ready"')[2]
        return since_start.rfind('"storage_ready"') > since_start.rfind('"storage_behind"')

    def statistics(self) -> str:
        """Have it log its statistics, and give that line.

        Raises:
            DeadlineError: none came within 10 s.
        """
        before = self.log().count('"statistics"')
        self._processes.signal(self.name, signal.SIGUSR1)
        self._processes.wait_for(
            lambda: self.log().count('"statistics"') > before, timeout_s=10, what=f"{self.name}'s statistics"
        )
        return next(line for line in reversed(self.log().splitlines()) if '"statistics"' in line)

    def frames(self) -> list[FrameRecord]:
        """What was recorded of its links, if the network records."""
        file = self.folder / RECORDS
        return list(read_frames(file)) if file.exists() else []


class LocalAuthority(LocalNode):
    """One authority of a running network; "authority 1" is the first."""

    def __init__(self, number: int, identity: bytes, folder: Path, processes: Processes) -> None:
        super().__init__(f"authority {number}", Program.AUTHORITY, "authority.toml", folder, processes)
        self.number = number
        self.identity = identity

    def status(self) -> Status:
        """What it says of itself.

        Raises:
            UsageError: it isn't running.
        """
        told = ask(self.folder / "state")
        if told is None:
            raise UsageError(f"{self.name} is not running")
        return decode_status(told)
