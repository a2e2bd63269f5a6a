"""What a running proxy tells of itself, as plain values; the other end of ``cli_status_door``'s socket reads them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import msgspec

from onionpath.errors import MalformedError, OnionPathError

if TYPE_CHECKING:
    from onionpath.cli_traffic import Traffic
    from onionpath.client.client import Client
    from onionpath.proxy.server import ProxyServer


class ProcessGuard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A guard as one process knows it; see ``GuardState``."""

    id: str
    state: str
    retry_at: float | None


class Process(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One running proxy; all times are Unix times.

    Args:
        state: see ``onionpath.client.status.State``.
        sent, received: bytes of its programs; counted when handed over.
        opened: connections to websites since its start.
        counts: what happened how often, by named reason.
    """

    pid: int
    address: str
    state: str
    last_success_at: float | None
    last_failure: str | None
    document: int | None
    relays: int
    paths: int
    streams: int
    sent: int
    received: int
    opened: int
    counts: dict[str, int]
    guards: tuple[ProcessGuard, ...]
    state_problem: str | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def told(client: Client, server: ProxyServer, traffic: Traffic, address: str) -> bytes:
    """One JSON object about this process."""
    status = client.status()
    process = Process(
        pid=os.getpid(),
        address=address,
        state=status.state.value,
        last_success_at=status.last_success_at,
        last_failure=status.last_failure,
        document=status.document,
        relays=status.relays,
        paths=status.paths,
        streams=status.streams,
        sent=traffic.sent,
        received=traffic.received,
        opened=traffic.opened,
        counts=dict(server.counts),
        guards=_guards(client),
        state_problem=status.state_problem,
    )
    return json.dumps(process.as_json()).encode()


def _guards(client: Client) -> tuple[ProcessGuard, ...]:
    try:
        guards = client.path_report().guards
    except OnionPathError:
        return ()  # There is no directory that could be used, which the state says.
    return tuple(ProcessGuard(each.relay_id.hex(), each.state.value, each.retry_at) for each in guards)


def parse_process(told: bytes) -> Process:
    """Read it.

    Raises:
        MalformedError: it is no status of this version.
    """
    try:
        return msgspec.json.decode(told, type=Process)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedError("a running process tells a status of another version; start it again") from error
