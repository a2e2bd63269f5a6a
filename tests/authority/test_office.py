"""A network's only authority: when it votes, what its ballots say, and what a restart must not forget."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import randbytes
from typing import Any

import pytest

from onionpath.crypto.identity import RelayId
from onionpath.directory.address import Address
from onionpath.directory.directory import Directory, decode_directory
from onionpath.directory.document import NO_PREVIOUS, Document, SeenDocument, UnverifiedDocument
from onionpath.directory.succession import Lineage, sign_succession
from onionpath.directory.swarms import assigned
from onionpath.directory.trust import TrustRoot
from onionpath.errors import MalformedError, OnionPathError
from onionpath.injected import UnixTime
from relay.authority.agreement import Agreement
from relay.authority.enrolment import Enrolment
from relay.authority.measures import Measure
from relay.authority.office import Office, make_ballot
from relay.authority.publishing import Publishing
from simulations.virtual.authority import agree_at_once, join
from tests.authority.test_enrolment import signed
from tests.authority.worlds import known
from tests.directory.networks import EPOCH_S, NOW, PERIOD_S, identity, root


class Disk:
    """What survives a restart."""

    def __init__(self) -> None:
        self.state: bytes | None = None
        self.directory: Directory | None = None

    def keep(self, state: bytes) -> None:
        self.state = state


def office(disk: Disk, *, relays: int = 3, trust: TrustRoot | None = None, **settings: Any) -> Office:
    trust = trust or root()
    agreement = Agreement(
        identity=identity("authority", 0),
        root=trust,
        earlier=(root(),),
        state=disk.state,
        entropy=randbytes,
    )
    enrolment = Enrolment(trust, probes=False, **settings)
    if disk.directory is not None:
        enrolment.vouch(disk.directory.envelopes.values())
    return Office(agreement, enrolment, first_document_relays=relays)


def ready(disk: Disk, **settings: Any) -> Office:
    """With the descriptors of three relays."""
    ours = office(disk, **settings)
    for name in range(3):
        ours.enrolment.collect(signed(name), now=NOW)
    return ours


def agree(ours: Office, disk: Disk, now: float = NOW) -> Document:
    document = agree_at_once(ours, UnixTime(now), store=disk.keep)
    assert document is not None
    disk.directory = join(ours, document, disk.directory)
    return document


def test_the_first_document_waits_for_enough_relays() -> None:
    disk = Disk()
    ours = office(disk)
    for name in range(2):
        ours.enrolment.collect(signed(name), now=NOW)
    assert agree_at_once(ours, NOW) is None

    ours.enrolment.collect(signed(2), now=NOW)

    assert 3 == len(agree(ours, disk, NOW + 60).relays)


def test_the_document_verifies_and_has_the_times_of_its_period() -> None:
    document = agree(ready(Disk()), Disk())

    assert document == UnverifiedDocument(document.envelope).verify(root(), now=NOW, seen=None)
    assert int(NOW // PERIOD_S) == document.number
    assert document.number * PERIOD_S == document.valid_from
    assert document.valid_from + PERIOD_S == document.fresh_until
    assert document.valid_from + 3 * PERIOD_S == document.valid_until
    assert NO_PREVIOUS == document.previous


def test_a_period_has_one_document() -> None:
    disk = Disk()
    ours = ready(disk)
    agree(ours, disk)
    ours.enrolment.collect(signed(7), now=NOW)

    assert agree_at_once(ours, UnixTime(NOW + 61)) is None


def test_the_next_document_comes_with_the_next_period_and_names_the_one_before() -> None:
    disk = Disk()
    ours = ready(disk)
    first = agree(ours, disk)
    second = agree(ours, disk, first.fresh_until)

    assert first.number + 1 == second.number
    assert first.digest == second.previous
    seen = SeenDocument.of(first)
    assert UnverifiedDocument(second.envelope).verify(root(), now=first.fresh_until, seen=seen)


def test_a_restart_signs_no_number_twice_and_goes_on_with_the_chain_and_the_descriptors() -> None:
    disk = Disk()
    first = agree(ready(disk), disk)
    again = office(disk)
    again.enrolment.collect(signed(7), now=NOW)

    assert agree_at_once(again, UnixTime(NOW + 61)) is None
    second = agree(again, disk, NOW + PERIOD_S)
    assert first.digest == second.previous
    assert 4 == len(second.relays)


def test_a_restart_between_vote_and_signature_still_signs() -> None:
    """What the vote of the process before names is known from its last document."""
    disk = Disk()
    first = agree(ready(disk), disk)
    ours = office(disk)
    opening = UnixTime(first.valid_from + PERIOD_S / 2)
    actions = ours.tick(opening)
    assert actions.state is not None
    disk.keep(actions.state)
    again = office(disk)
    again.tick(UnixTime(opening + 0.1 * PERIOD_S))
    again.tick(UnixTime(opening + 0.3 * PERIOD_S))

    assert again.tick(UnixTime(opening + 0.376 * PERIOD_S)).state is not None


def test_a_clock_that_was_set_back_signs_nothing() -> None:
    disk = Disk()
    ours = ready(disk)
    agree(ours, disk)

    assert agree_at_once(ours, UnixTime(NOW - PERIOD_S)) is None


def test_after_expiry_the_authority_waits_for_enough_relays_again() -> None:
    """Few relays right after an outage would make a network of those few."""
    disk = Disk()
    ours = ready(disk)
    late = UnixTime(agree(ours, disk).valid_until + 2 * EPOCH_S)
    ours.enrolment.collect(signed(0, now=late), now=late)

    assert agree_at_once(ours, late) is None


@pytest.mark.parametrize("position", [0, 40, 90, -1])
def test_a_damaged_diary_is_refused(position: int) -> None:
    """Starting without it could sign a second document of the same number."""
    disk = Disk()
    agree(ready(disk), disk)
    assert disk.state is not None
    state = bytearray(disk.state)
    state[position] ^= 1
    for damaged in (bytes(state), b"", bytes(state[:80])):
        disk.state = damaged
        with pytest.raises(MalformedError):
            office(disk)


def test_relays_that_store_are_in_swarms_and_stay_there() -> None:
    disk = Disk()
    ours = office(disk, relays=1)
    for name in range(12):
        ours.enrolment.collect(signed(name, services=(1, 2, 4) if name < 11 else (1, 2)), now=NOW)
    swarms = assigned(agree(ours, disk))

    assert {identity(name).relay_id for name in range(11)} == swarms.keys()
    assert [5, 6] == sorted(Counter(swarms.values()).values())
    assert swarms == assigned(agree(office(disk), disk, NOW + PERIOD_S))


def succeeded() -> Lineage:
    """The network's second trust root: the same authority at another address."""
    before = root()
    moved = replace(before.authorities[0], address=Address("9.9.9.9", 443))
    after = replace(before, version=2, authorities=(moved,))
    return Lineage(before).follow([sign_succession(before, after, [identity("authority", 0)])])


def test_an_authority_goes_on_after_a_succession_and_leads_its_readers_there() -> None:
    disk, lineage = Disk(), succeeded()
    first = agree(ready(disk), disk)
    before = disk.directory
    second = agree(office(disk, trust=lineage.root), disk, NOW + PERIOD_S)
    assert disk.directory is not None
    assert before is not None

    publishing = Publishing(lineage=lineage)
    publishing.announce(second, disk.directory.envelopes.values())
    directory = publishing.due(UnixTime(NOW + PERIOD_S))

    assert 2 == second.root_version
    assert first.digest == second.previous
    assert directory is not None
    assert directory == decode_directory(
        directory.encode(), root(), now=UnixTime(NOW + PERIOD_S), seen=before.seen
    )


def test_the_state_of_another_network_is_refused() -> None:
    disk = Disk()
    agree(ready(disk), disk)
    other = replace(root(), network_id=bytes(32))

    with pytest.raises(OnionPathError):
        Agreement(identity=identity("authority", 0), root=other, state=disk.state, entropy=randbytes)


CAPACITIES = {identity(0).relay_id: None, identity(1).relay_id: 0, identity(2).relay_id: 300}


def measured(relay: RelayId, now: UnixTime) -> Measure:
    return Measure(reachable=relay != identity(3).relay_id, capacity_kib_s=CAPACITIES.get(relay))


def test_a_ballot_holds_measured_bytes_per_second_and_nothing_is_not_slow() -> None:
    ballot = make_ballot([known(name) for name in range(3)], measured, NOW)

    assert [0, 1, 307_200] == [ballot.choices[identity(name).relay_id].capacity for name in range(3)]


def test_a_relay_that_packets_do_not_pass_is_not_on_the_ballot() -> None:
    disk = Disk()
    ours = office(disk)
    judging = Office(ours.agreement, ours.enrolment, first_document_relays=3, judge=measured)
    for name in range(4):
        judging.enrolment.collect(signed(name), now=NOW)

    assert {identity(name).relay_id for name in range(3)} == {
        listing.relay_id for listing in agree(judging, disk).relays
    }


def test_a_document_is_handed_out_from_its_beginning_on_and_not_before() -> None:
    disk = Disk()
    document = agree(ready(disk), disk)
    assert disk.directory is not None
    publishing = Publishing()
    publishing.announce(document, disk.directory.envelopes.values())

    assert publishing.due(UnixTime(document.valid_from - 1)) is None
    assert disk.directory == publishing.due(document.valid_from)
    assert publishing.due(document.valid_from) is None


def test_descriptors_that_are_lacking_are_told_until_they_are_there() -> None:
    disk = Disk()
    document = agree(ready(disk), disk)
    assert disk.directory is not None
    publishing = Publishing()
    publishing.announce(document, list(disk.directory.envelopes.values())[:1])
    assert document is publishing.lacking
    assert publishing.due(NOW) is None

    publishing.complete(disk.directory)

    assert disk.directory == publishing.due(NOW)
    assert publishing.lacking is None
