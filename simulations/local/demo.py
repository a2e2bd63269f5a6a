"""The demo: a page through three relays with TLS from end to end, and then what each of them could know of it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulations.local.agreed import Agreed, agreed
from simulations.local.evidence import Outside, Sight, outside, sights
from simulations.local.report import agreement, report
from simulations.local.website_notes import Note, Requested, read_notes

if TYPE_CHECKING:
    from simulations.local.network import LocalNetwork

DEADLINE_S = 40.0
NOTES_S = 5.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """The page as the program got it."""

    url: str
    status: int
    http_version: str
    body: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything that the demo tells."""

    page: Fetched
    relays: tuple[Sight, ...]
    outside: Outside
    document: Agreed

    def as_json(self) -> dict[str, Any]:
        """Plain values, with ``outside`` being what the exit's connection to the website carried."""
        return asdict(self)

    def as_text(self) -> str:
        """For people."""
        shown = report(self.page.url, self.page.body, self.page.seconds, self.relays, self.outside)
        return f"{shown}\n\n{agreement(self.document)}"


def show(network: LocalNetwork) -> Shown:
    """Fetch the page and gather what the relays recorded.

    Raises:
        OnionPathError: it could not be fetched, or the records don't form a path.
    """
    import anyio

    page = anyio.run(_fetch, network, backend="trio")
    assert network.website.notes is not None
    seen = outside(network, _wait_for_notes(network, network.website.notes), page.body)
    return Shown(page, tuple(sights(network, seen)), seen, agreed(network))


async def _fetch(network: LocalNetwork) -> Fetched:
    import httpx

    from onionpath.client.client import Client
    from onionpath.transports.for_httpx import OnionTransport

    async with Client(network.trust_root_file) as client:
        transport = OnionTransport(client, verify=network.website.tls())
        async with httpx.AsyncClient(transport=transport, timeout=DEADLINE_S) as http:
            started_at = time.monotonic()
            response = await http.get(network.website.url)
            seconds = time.monotonic() - started_at
    response.raise_for_status()
    return Fetched(network.website.url, response.status_code, response.http_version, response.text, seconds)


def _wait_for_notes(network: LocalNetwork, file: Path) -> list[Note]:
    """The website writes a request down before it answers, so it is there, but for the time of a write."""

    def complete() -> bool:
        return any(isinstance(note, Requested) for note in read_notes(file))

    network.processes.wait_for(complete, timeout_s=NOTES_S, what="the website's notes")
    return list(read_notes(file))
