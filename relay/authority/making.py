"""Builds an authority from its settings and its state folder; ``daemon`` gives it a switch and runs it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import SystemRandom

import trio

from onionpath.crypto.identity import IdentityKey
from onionpath.directory.directory import Directory, authenticate_directory
from onionpath.directory.document import Document
from onionpath.directory.succession import Lineage
from onionpath.directory.trust import TrustRoot
from onionpath.errors import DirectoryError, MalformedError, SettingsError, UsageError
from onionpath.injected import UnixTime
from onionpath.link.neighbour import Neighbour
from onionpath.service.calls import Limits, Service, ServiceId
from onionpath.service.directory import DirectoryService
from onionpath.service.echo import EchoService
from relay.authority.agreement import Agreement
from relay.authority.authority_files import AuthorityFiles
from relay.authority.catching_up import catch_up_forever
from relay.authority.collecting import Collector
from relay.authority.echoing import Echoer, measure_forever
from relay.authority.enrolment import Enrolment
from relay.authority.measuring import Measuring
from relay.authority.office import Office, unmeasured
from relay.authority.probing import Prober
from relay.authority.publishing import Publishing
from relay.authority.running import RunningAuthority
from relay.authority.status import Status, encode_status, status_of
from relay.authority.status_door import tell_forever
from relay.authority.visiting import Visitor
from relay.authority.votes_service import VotesService
from relay.lineage_files import Roots
from relay.settings import AuthoritySettings

# Turns are drawn within quarters of a period; in shorter ones an authority would do nothing but measure.
SHORTEST_MEASURED_PERIOD_S = 60

Task = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Made:
    """An authority that does not run yet, and what it serves."""

    agreement: Agreement
    services: dict[int, Service]
    tasks: tuple[Task, ...]

    async def run(self) -> None:
        """Take part until cancelled."""
        async with trio.open_nursery() as nursery:
            for task in self.tasks:
                nursery.start_soon(task)


def make_agreement(
    identity: IdentityKey, roots: Roots, files: AuthorityFiles, *, newest: Document | None = None
) -> Agreement:
    """The agreement as it was stored last.

    Raises:
        SettingsError: the trust root does not name this identity, or the diary is damaged.
    """
    try:
        return Agreement(
            identity=identity,
            root=roots.newest,
            earlier=roots.earlier,
            newest=newest,
            state=files.diary(),
            entropy=os.urandom,
        )
    except UsageError as error:
        raise SettingsError(str(error), key="network.trust_root") from error
    except (MalformedError, DirectoryError) as error:
        raise SettingsError(
            f"{files.diary_file}: {error}; without it two documents of one number could be signed",
            file=str(files.diary_file),
        ) from error


def make_authority(
    settings: AuthoritySettings,
    identity: IdentityKey,
    roots: Roots,
    *,
    limits: Limits,
    context: ssl.SSLContext,
    clock: Callable[[], UnixTime],
) -> Made:
    """All parts of an authority.

    Args:
        limits: of its services.
        context: of TLS as a client.

    Raises:
        SettingsError, KeyFileError: it cannot start.
    """
    root, files = roots.newest, AuthorityFiles(settings.state)
    geometry, section = root.parameters.geometry, settings.authority
    directory = _kept_directory(files, roots)
    agreement = make_agreement(identity, roots, files, newest=directory.document if directory else None)
    enrolment = _enrolment(settings, root, directory)
    publishing = _publishing(roots.lineage, agreement, directory)
    measuring = _measuring(root)
    judge = measuring.measure if section.measure else unmeasured
    office = Office(agreement, enrolment, first_document_relays=section.first_document_relays, judge=judge)
    prober = Prober(enrolment, geometry, context=context, clock=clock)
    service = DirectoryService(collector=Collector(enrolment, prober, clock).collect, limits=limits)
    running = RunningAuthority(office, publishing, service, files=files, clock=clock)
    others = [one for one in root.authorities if one.identity != identity.public]
    visitors = [
        Visitor(one, agreement, geometry, context=context, clock=clock, carry_out=running.carry_out)
        for one in others
    ]
    neighbours = [Neighbour.of_authority(one) for one in others]
    echoer = Echoer(root.parameters, root.network_id, context, clock, os.urandom)
    measure = partial(measure_forever, measuring, echoer, lambda: publishing.directory)
    status = partial(_status, office, visitors, root, files, clock)
    tasks: tuple[Task, ...] = (
        running.run,
        prober.run,
        *(visitor.run for visitor in visitors),
        partial(catch_up_forever, publishing, root, neighbours, context=context, clock=clock),
        *([measure] if section.measure else []),
        partial(tell_forever, settings.state, lambda: encode_status(status())),
    )
    services: dict[int, Service] = {
        ServiceId.ECHO: EchoService(limits),
        ServiceId.DIRECTORY: service,
        ServiceId.VOTES: VotesService(agreement, limits),
    }
    return Made(agreement, services, tasks)


def _measuring(root: TrustRoot) -> Measuring:
    period_s = max(SHORTEST_MEASURED_PERIOD_S, root.parameters.period_s)
    return Measuring(root.parameters, period_s=period_s, choice=SystemRandom())


def _kept_directory(files: AuthorityFiles, roots: Roots) -> Directory | None:
    """What was published last; what cannot be read is fetched again."""
    snapshot = files.directory()
    if snapshot is not None:
        for root in (roots.newest, *roots.earlier):
            with suppress(MalformedError, DirectoryError):
                return authenticate_directory(snapshot, root)
    return None


def _enrolment(settings: AuthoritySettings, root: TrustRoot, directory: Directory | None) -> Enrolment:
    enrolment = Enrolment(root, private_addresses=settings.authority.private_addresses, allow=settings.allow)
    if directory is not None:
        enrolment.vouch(directory.envelopes.values())
    return enrolment


def _publishing(lineage: Lineage, agreement: Agreement, directory: Directory | None) -> Publishing:
    publishing = Publishing(lineage=lineage)
    if directory is not None:
        publishing.announce(directory.document, directory.envelopes.values())
    if agreement.newest is not None:
        known = list(directory.envelopes.values()) if directory else []
        publishing.announce(agreement.newest, known)
    return publishing


def _status(
    office: Office,
    visitors: Sequence[Visitor],
    root: TrustRoot,
    files: AuthorityFiles,
    clock: Callable[[], UnixTime],
) -> Status:
    return status_of(
        office.agreement,
        root,
        running=True,
        known=len(office.enrolment),
        sights={visitor.other.identity: visitor.sight for visitor in visitors},
        evidence=files.evidence(),
        now=clock(),
    )
