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


class LocalRelay:
    """One relay of a running network."""

    def __init__(
        self, number: int, relay_id: bytes, endpoint: Endpoint, folder: Path, processes: Processes
    ) -> None:
        self.number = number
        self.relay_id = relay_id
        self.endpoint = endpoint
        self.folder = folder
        self._processes = processes

    @property
    def name(self) -> str:
        """What people call it: "relay 1" is the first."""
        return f"relay {self.number}"

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

    def start(self) -> None:
        """Have it started; the network waits for all of them together."""
        self._processes.start(self.name, Program.RELAY, self.folder / "relay.toml", self.folder / "log")

    def has_directory(self) -> bool:
        """Whether it has ever had the network's directory, and so knows the others."""
        return '"directory_refreshed"' in self.log()

    def log(self) -> str:
        """All that it has logged: one JSON object per line."""
        return _text(self.folder / "log")

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


class LocalAuthority:
    """One authority of a running network."""

    def __init__(self, number: int, identity: bytes, folder: Path, processes: Processes) -> None:
        self.number = number
        self.identity = identity
        self.folder = folder
        self._processes = processes

    @property
    def name(self) -> str:
        """What people call it: "authority 1" is the first."""
        return f"authority {self.number}"

    def start(self) -> None:
        """Have it started; the network waits for all of them together."""
        self._processes.start(
            self.name, Program.AUTHORITY, self.folder / "authority.toml", self.folder / "log"
        )

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

    def status(self) -> Status:
        """What it says of itself.

        Raises:
            UsageError: it isn't running.
        """
        told = ask(self.folder / "state")
        if told is None:
            raise UsageError(f"{self.name} is not running")
        return decode_status(told)

    def log(self) -> str:
        """All that it has logged: one JSON object per line."""
        return _text(self.folder / "log")


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
