"""The part of ``onionpath doctor`` that asks: the directory, the first guards, and one call through a path.

Whoever is dialled here is dialled by every command. Guards beyond the first few are not: each relay that a client
connects to learns that it uses the network.
"""

from __future__ import annotations

import time
from contextlib import suppress
from ipaddress import ip_address

import anyio

from onionpath.cli_client import client_of
from onionpath.cli_doctor_here import Patient
from onionpath.cli_findings import Finding, FoundError, nearby, noting, odd, well, wrong
from onionpath.client.client import Client
from onionpath.client.connection import Connection, connect
from onionpath.client.dial import Dial, ProxyDial, dial_directly
from onionpath.client.path_report import GuardReport, GuardState
from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory
from onionpath.directory.trust import TrustRoot
from onionpath.errors import DeadlineError, OnionPathError, StaleDirectoryError, UnreachableError
from onionpath.injected import UnixTime
from onionpath.link.neighbour import Neighbour
from onionpath.link.tls import client_context
from onionpath.service.calls import ServiceId

# A slot: packets of a clock that is off by more are refused (docs/specs/onion-native.md).
CLOCK_TOLERANCE_S = 300.0
PING_TIMEOUT_S = 5.0
FIRST_GUARDS = (GuardState.IN_USE, GuardState.PRIMARY, GuardState.DOWN)


async def examine_network(patient: Patient, findings: list[Finding]) -> None:
    """Note what is found."""
    deadline_s = patient.settings.deadline_s
    with anyio.move_on_after(deadline_s) as scope, suppress(FoundError):
        await _examine(patient, findings)
    if scope.cancelled_caught:
        findings.append(wrong("time", DeadlineError(f"not all was examined within {deadline_s:g} s")))
    if is_nearby(patient.root):
        findings[:] = map(nearby, findings)


def is_nearby(root: TrustRoot) -> bool:
    """Whether all authorities have addresses of this machine or of a private network."""
    return all(ip_address(each.address.host).is_private for each in root.authorities)


async def _examine(patient: Patient, findings: list[Finding]) -> None:
    begun_at = time.monotonic()
    with noting("directory", findings):
        async with client_of(patient.settings) as client:
            fetched_ms = _ms_since(begun_at)
            findings.append(_directory(client.directory, fetched_ms))
            findings.append(examine_clock(client.directory, now=time.time()))
            await _examine_client(client, patient, findings)


async def _examine_client(client: Client, patient: Patient, findings: list[Finding]) -> None:
    proxy = patient.settings.proxy
    dial = dial_directly if proxy is None else ProxyDial(proxy)
    report = client.path_report()
    guards = [each for each in report.guards if each.state in FIRST_GUARDS]
    reached = [await _guard(client, each, dial) for each in guards]
    findings.extend(beside_others(reached))
    if not guards:
        findings.append(wrong("guards", UnreachableError("no guard may be used")))
    findings.append(await _request(client, patient.settings.deadline_s))


def _directory(directory: Directory, fetched_ms: int) -> Finding:
    document = directory.document
    said = f"document {document.number} with {len(directory.relays)} relays, after {fetched_ms} ms"
    if directory.is_fresh(UnixTime(time.time())):
        return well("directory", f"fresh: {said}")
    return odd(
        "directory", f"not fresh: {said}", "authorities have signed nothing newer, or nobody has it yet"
    )


def examine_clock(directory: Directory, *, now: float) -> Finding:
    """By what others have dated, as TLS 1.3 tells no time; the call through a path shows the rest."""
    newest = max([each.descriptor.published_at for each in directory.relays.values()], default=now)
    ahead_s = max(newest, directory.document.valid_from) - now
    if ahead_s > CLOCK_TOLERANCE_S:
        error = StaleDirectoryError(f"our clock is at least {ahead_s:.0f} s behind what relays have dated")
        return wrong("clock", error)
    return well("clock", "within the document's time, and nothing is dated in the future")


async def _guard(client: Client, guard: GuardReport, dial: Dial) -> Finding:
    name = f"guard {guard.relay_id.hex()[:16]}"
    try:
        return well(name, f"{guard.state.value}, {await _reach(client, guard.relay_id, dial)}")
    except OnionPathError as error:
        return wrong(name, error)


async def _reach(client: Client, guard: RelayId, dial: Dial) -> str:
    """Connect and ping; gives the times in words."""
    neighbour = Neighbour.of_relay(client.directory.relays[guard].descriptor)
    begun_at = time.monotonic()
    geometry = client.trust_root.parameters.geometry
    async with await connect(neighbour, geometry, client_context(), dial) as connection:
        connected_ms = _ms_since(begun_at)
        ping_ms = await _ping(connection)
    if ping_ms is None:
        raise UnreachableError(f"{neighbour} connected and did not answer in {PING_TIMEOUT_S:.0f} s")
    return f"connected in {connected_ms} ms, answered in {ping_ms} ms"


async def _ping(connection: Connection) -> int | None:
    """How long the answer took; None if none came."""
    begun_at, took_ms = time.monotonic(), None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        with anyio.move_on_after(PING_TIMEOUT_S), suppress(UnreachableError):
            await connection.ping()
            took_ms = _ms_since(begun_at)
        tasks.cancel_scope.cancel()
    return took_ms


def beside_others(found: list[Finding]) -> list[Finding]:
    """One guard that is down is odd and not wrong as long as another can be reached."""
    if all(each.error is not None for each in found):
        return found
    return [
        odd(each.name, each.detail, "nothing for now: paths take the others, and this one is tried again")
        if each.error is not None
        else each
        for each in found
    ]


async def _request(client: Client, deadline_s: float) -> Finding:
    begun_at = time.monotonic()
    try:
        await client.call(ServiceId.ECHO, b"", deadline_s=deadline_s)
    except OnionPathError as error:
        return wrong("request", error)
    hops = client.trust_root.parameters.hops
    return well("request", f"through {hops} relays and back in {_ms_since(begun_at)} ms")


def _ms_since(begun_at: float) -> int:
    return round(1_000 * (time.monotonic() - begun_at))
