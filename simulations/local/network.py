"""``LocalNetwork``: authorities, relays, perhaps a website and a file server, each a process of its own, on loopback.

Authority *i* listens on 127.1.0.*i*, relay *i* on 127.(*i*+1).0.1, so that the rule of paths, no two relays in one
/16, holds without an exception.
All relays are exits for the servers of this machine and for nothing else.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from onionpath.directory.parameters import Parameters
from onionpath.errors import UsageError
from onionpath.swarm.node_list import parse_nodes
from onionpath.swarm.nodes import SessionNode
from relay.cards import read_card
from relay.founding import CARD_FILE, found_authority, found_network, found_relay
from relay.settings import Endpoint
from simulations.local.file_server import FoundFileServer, found_file_server
from simulations.local.network_folder import NetworkFolder, private_folder
from simulations.local.nodes import RECORDS, START_S, LocalAuthority, LocalRelay, Website
from simulations.local.processes import Processes
from simulations.local.protocol import Program
from simulations.local.seed import ALL_NODES, SeedSettings, ask_seed
from simulations.local.website_settings import ADDRESS, HOST_NAME, WebsiteSettings, make_certificates

MIN_RELAYS, MAX_RELAYS, MAX_AUTHORITIES = 3, 200, 9
WEBSITE, FILE_SERVER, SEED = "the website", "the file server", "the seed"
# Packets remembered per slot: more than one machine can send itself in five minutes' experiments, in 0.5 MB of disk
# per slot and relay instead of 16 MB.
REPLAY_ENTRIES = 65_536

__all__ = ["LocalAuthority", "LocalNetwork", "LocalRelay", "Website"]

_EXIT = {
    "exit.enabled": True,
    "exit.policy": ("accept 127.0.0.0/8:*", "accept [::1/128]:*"),
    "exit.reach_private": ("127.0.0.0/8", "::1/128"),
}

_SESSION = {"session.enabled": True, "session.seed": True}


class LocalNetwork:
    """Use it with ``with``: inside, all processes serve and every relay knows all the others.

    Args:
        folder: where everything lies; None for a temporary one that is removed at the end.
        relays: how many; at least a path's three.
        authorities: how many; two thirds of them, rounded up, must sign.
        authority_period_s: seconds between directory documents.
        website: whether there is one.
        session: whether the relays take Session's onions too, and there are a seed and a file server for Session's
            clients.
        storage: whether the relays store for accounts; then each is in a swarm, and answers for its accounts.
        record: write down every link and the sizes of its frames, and what the website saw.
        parameters: of the network.
        relay_settings, authority_settings: ``section.key`` to value, for every relay or authority.
        tell: is given progress, a line at a time.

    Raises:
        UsageError: too few or too many relays or authorities, or a folder that isn't empty.
        ProcessFailedError: a process ended; DeadlineError: they did not come up in a minute.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        relays: int = 9,
        authorities: int = 1,
        authority_period_s: int = 60,
        website: bool = True,
        session: bool = False,
        storage: bool = False,
        record: bool = False,
        parameters: Parameters | None = None,
        relay_settings: Mapping[str, Any] | None = None,
        authority_settings: Mapping[str, Any] | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        if not MIN_RELAYS <= relays <= MAX_RELAYS:
            raise UsageError(f"a local network has {MIN_RELAYS} to {MAX_RELAYS} relays, not {relays}")
        if not 1 <= authorities <= MAX_AUTHORITIES:
            raise UsageError(f"a local network has 1 to {MAX_AUTHORITIES} authorities, not {authorities}")
        self._wanted_folder = folder
        self._authority_count = authorities
        self._count = relays
        self._with_website = website
        self._with_session = session
        self._with_storage = storage
        self._record = record
        self._parameters = replace(parameters or Parameters(), period_s=authority_period_s)
        self._relay_settings = dict(relay_settings or {})
        self._authority_settings = dict(authority_settings or {})
        self._tell = tell
        self._stack = ExitStack()
        self._website: Website | None = None
        self._file_server: FoundFileServer | None = None
        self._seed: SeedSettings | None = None
        self.relays: Sequence[LocalRelay] = ()
        self.authorities: Sequence[LocalAuthority] = ()

    def __enter__(self) -> LocalNetwork:
        with ExitStack() as stack:
            self.folder = stack.enter_context(NetworkFolder(self._wanted_folder))
            authorities = (
                "1 authority" if self._authority_count == 1 else f"{self._authority_count} authorities"
            )
            self._tell(f"starting {authorities}, {self._count} relays and their state in {self.folder}")
            self.processes = stack.enter_context(Processes(self.folder / "forking.log"))
            self._found()
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell("stopping all processes")
        self._stack.close()

    @property
    def trust_root_file(self) -> Path:
        """The file that clients are given."""
        return self.folder / "network.json"

    @property
    def website(self) -> Website:
        """Where the website is.

        Raises:
            UsageError: this network has none.
        """
        if self._website is None:
            raise UsageError("this local network was started without a website")
        return self._website

    @property
    def has_website(self) -> bool:
        """Whether there is one."""
        return self._website is not None

    @property
    def has_file_server(self) -> bool:
        """Whether there is one, and the relays take Session's onions."""
        return self._file_server is not None

    @property
    def file_server(self) -> FoundFileServer:
        """Where the file server for Session's clients is.

        Raises:
            UsageError: this network has none.
        """
        if self._file_server is None:
            raise UsageError("this local network was started without a file server for Session's clients")
        return self._file_server

    @property
    def seed_url(self) -> str:
        """Where the seed is that speaks plain HTTP; every relay is one that speaks HTTPS.

        Raises:
            UsageError: this network has none.
        """
        if self._seed is None:
            raise UsageError("this local network was started without a seed for Session's clients")
        return self._seed.url

    @property
    def nodes_file(self) -> Path:
        """The seeds' list at the start: what ``Client(…, format="session")`` is given."""
        return self.folder / "nodes.json"

    @property
    def nodes(self) -> tuple[SessionNode, ...]:
        """What the seeds say now.

        Raises:
            UnreachableError: none of them answers.
        """
        return parse_nodes(ask_seed(self._session_endpoints, ALL_NODES).body).nodes

    @property
    def threshold(self) -> int:
        """How many authorities must sign: two thirds of them."""
        return -(-2 * self._authority_count // 3)

    def pids(self) -> dict[str, int]:
        """Every running process, the forking one among them."""
        return {"the forking process": self.processes.pid} | self.processes.pids()

    def found_authority(self) -> LocalAuthority:
        """One more authority, which knows no network yet and does not run."""
        return self._found_authority(self._authority_count + 1)

    def add_relay(self) -> LocalRelay:
        """One more relay, which serves when this returns; the next document lists it."""
        relay = self._found_relay(len(self.relays) + 1)
        self.relays = [*self.relays, relay]
        relay.start()
        self.processes.wait_ready(relay.name, timeout_s=START_S)
        return relay

    def relay(self, relay_id: bytes) -> LocalRelay:
        """The relay of this identity."""
        return next(relay for relay in self.relays if relay.relay_id == relay_id)

    def log(self, index: int) -> str:
        """What relay number ``index`` + 1 has logged."""
        return self.relays[index].log()

    # Making it.

    def _found(self) -> None:
        self.authorities = [self._found_authority(number) for number in range(1, self._authority_count + 1)]
        found_network(
            self.trust_root_file,
            [read_card(authority.folder / CARD_FILE) for authority in self.authorities],
            name="local",
            threshold=self.threshold,
            parameters=self._parameters,
            entropy=os.urandom,
        )
        for authority in self.authorities:
            shutil.copyfile(self.trust_root_file, authority.folder / "network.json")
        self.relays = [self._found_relay(number) for number in range(1, self._count + 1)]
        if self._with_website:
            self._website = self._found_website()
        if self._with_session:
            (endpoint,) = _free(ADDRESS)
            folder = private_folder(self.folder / "file-server")
            self._file_server = found_file_server(folder, host=ADDRESS, port=endpoint.port)
            self._seed = self._found_seed()

    def _found_authority(self, number: int) -> LocalAuthority:
        folder = private_folder(self.folder / f"authority-{number}")
        (endpoint,) = _free(f"127.1.0.{number}")
        values: dict[str, Any] = {
            "authority.listen": (str(endpoint),),
            "authority.first_document_relays": self._count,
            "authority.private_addresses": True,
            # Relays that share one machine would only measure each other's load.
            "authority.measure": False,
            "log.format": "json",
        } | self._authority_settings
        founded = found_authority(folder, values, address=endpoint, entropy=os.urandom)
        return LocalAuthority(number, founded.keys.identity.public, folder, self.processes)

    def _found_relay(self, number: int) -> LocalRelay:
        folder = private_folder(self.folder / f"relay-{number}")
        host = f"127.{number + 1}.0.1"
        endpoint, free = _free(host, host)
        session_endpoint = free if self._with_session else None
        values = self._relay_values(endpoint, session_endpoint)
        founded = found_relay(folder, values, trust_root=self.trust_root_file, entropy=os.urandom)
        relay_id = founded.keys.identity.relay_id
        return LocalRelay(
            number, relay_id, endpoint, folder, self.processes, session_endpoint=session_endpoint
        )

    def _relay_values(self, endpoint: Endpoint, session_endpoint: Endpoint | None) -> dict[str, Any]:
        values: dict[str, Any] = {
            "relay.listen": (str(endpoint),),
            "limits.replay_entries": REPLAY_ENTRIES,
            "log.format": "json",
        }
        values |= _EXIT | self._relay_settings
        if session_endpoint is not None:
            values |= _SESSION | {"session.listen": (str(session_endpoint),)}
        if self._with_storage:
            values["storage.enabled"] = True
        if self._record:
            values["simulation.record_frames"] = RECORDS
        return values

    def _found_website(self) -> Website:
        folder = private_folder(self.folder / "website")
        right, wrong = _free(ADDRESS, ADDRESS)
        ca_file, certificate, wrong_certificate = make_certificates(folder)
        notes = folder / "notes.jsonl" if self._record else None
        settings = WebsiteSettings(
            right.port,
            wrong.port,
            str(certificate),
            str(wrong_certificate),
            None if notes is None else str(notes),
        )
        settings.write(folder / "website.json")
        url, wrong_url = (f"https://{HOST_NAME}:{port}/" for port in (right.port, wrong.port))
        return Website(HOST_NAME, right.port, url, wrong_url, ca_file, notes)

    def _found_seed(self) -> SeedSettings:
        (endpoint,) = _free(ADDRESS)
        settings = SeedSettings(*endpoint, list(self._session_endpoints))
        settings.write(private_folder(self.folder / "seed") / "seed.json")
        return settings

    @property
    def _session_endpoints(self) -> list[Endpoint]:
        return [relay.session_endpoint for relay in self.relays if relay.session_endpoint is not None]

    def _start(self) -> None:
        for authority in self.authorities:
            authority.start()
        servers = self._start_servers()
        # A relay whose authority doesn't answer tries again later and later, so authorities go first.
        self.processes.wait_ready(*(one.name for one in self.authorities), timeout_s=START_S)
        for relay in self.relays:
            relay.start()
        self.processes.wait_ready(*servers, *(relay.name for relay in self.relays), timeout_s=START_S)
        self._tell("all processes serve; waiting until every relay has the directory")
        self._wait_for_relays(LocalRelay.has_directory, "to learn of the others")
        if self._with_storage:
            self._tell("waiting until every relay answers for the accounts of its swarm")
            self._wait_for_relays(LocalRelay.answers_for_accounts, "to answer for accounts")
        if self._with_session:
            self.nodes_file.write_bytes(ask_seed(self._session_endpoints, ALL_NODES).body)

    def _start_servers(self) -> Sequence[str]:
        """Start whatever there is beside authorities and relays, and give its names."""
        website, seed = self.folder / "website" / "website.json", self.folder / "seed" / "seed.json"
        programs = []
        if self._website is not None:
            programs.append((WEBSITE, Program.WEBSITE, website))
        if self._file_server is not None:
            programs.append((FILE_SERVER, Program.FILE_SERVER, self._file_server.settings))
        if self._seed is not None:
            programs.append((SEED, Program.SEED, seed))
        for name, program, settings in programs:
            self.processes.start(name, program, settings, settings.with_name("log"))
        return [name for name, _, _ in programs]

    def _wait_for_relays(self, is_so: Callable[[LocalRelay], bool], what: str) -> None:
        for relay in self.relays:
            self.processes.wait_for(partial(is_so, relay), timeout_s=START_S, what=f"{relay.name} {what}")


def _free(*hosts: str) -> list[Endpoint]:
    """A free port on each host; all are held until the last is found, so that no two are the same."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server((host, 0))) for host in hosts]
        return [Endpoint(*listener.getsockname()) for listener in listeners]
