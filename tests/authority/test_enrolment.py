"""Who may join a network's list, and what it costs the authority to find out."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from onionpath.crypto.hybrid import HybridPublicKey
from onionpath.crypto.identity import RelayId
from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor, sign_descriptor
from onionpath.errors import RefusedError, StaleDirectoryError
from onionpath.injected import UnixTime
from relay.addresses import is_public
from relay.authority.enrolment import Enrolment
from relay.authority.newcomers import (
    MAX_NEWCOMERS,
    MAX_NEWCOMERS_PER_LINK,
    MAX_NEWCOMERS_PER_NETWORK,
    Newcomers,
)
from relay.authority.probe_turns import NEWCOMERS_AT_ONCE, ProbeTurns
from relay.authority.reachability import Contact, Reachability
from relay.authority.roll import MAX_PER_NETWORK, Known, Roll
from tests.directory.networks import (
    EPOCH_S,
    NETWORK_ID,
    NOW,
    PERIOD_S,
    bytes_of,
    descriptor,
    door,
    identity,
    root,
)


def enrolment(*, probes: bool = False, **settings: Any) -> Enrolment:
    return Enrolment(root(), probes=probes, **settings)


def signed(name: int, **changes: Any) -> bytes:
    return sign_descriptor(descriptor(name, **changes), identity(name))


def ready(**settings: Any) -> Enrolment:
    """With the descriptors of three relays."""
    ours = enrolment(**settings)
    for name in range(3):
        ours.collect(signed(name), now=NOW)
    return ours


def contact(name: int, **changes: Any) -> Contact:
    return Contact.of(descriptor(name, **changes))


def listed(ours: Enrolment, now: float = NOW) -> set[RelayId]:
    ours.drop_stale(UnixTime(now))
    return {known.descriptor.relay_id for known in ours.listable(UnixTime(now))}


def probing() -> Enrolment:
    return ready(probes=True)


def reach(ours: Enrolment, *names: int, reached: bool = True, now: float = NOW) -> None:
    for name in names:
        ours.probed(contact(name), reached=reached, now=UnixTime(now))


def refused(ours: Enrolment, envelope: bytes, now: float = NOW) -> str:
    with pytest.raises(RefusedError) as caught:
        ours.collect(envelope, now=UnixTime(now))
    return caught.value.reason


def test_nobody_is_listed_before_a_probe_has_reached_it() -> None:
    """Otherwise a list of relays that don't exist would be most of the network."""
    ours = probing()
    assert set() == listed(ours)

    reach(ours, 0, 1)

    assert {identity(name).relay_id for name in range(2)} == listed(ours)


def test_whoever_was_not_reached_gives_back_its_address_and_its_keys() -> None:
    """Otherwise publishing a rival's address first would keep it out of the network."""
    ours = probing()
    ours.collect(signed(7, addresses=descriptor(8).addresses), now=NOW)
    assert "address-taken" == refused(ours, signed(8))

    ours.probed(contact(7, addresses=descriptor(8).addresses), reached=False, now=NOW)

    ours.collect(signed(8), now=NOW)


def test_a_contact_that_failed_is_refused_for_a_while_and_then_dialled_again() -> None:
    ours = probing()
    reach(ours, 0, reached=False)
    again = signed(0, published_at=UnixTime(NOW + 1))

    assert "unreachable" == refused(ours, again, NOW + 599)
    ours.collect(again, now=UnixTime(NOW + 600))
    assert contact(0) in ours.newcomers


def test_a_result_counts_for_a_period_and_only_for_its_contact() -> None:
    ours = probing()
    reach(ours, 0, 1, 2)
    assert [] == ours.due(UnixTime(NOW + PERIOD_S - 1))
    assert {contact(0), contact(1), contact(2)} == set(ours.due(UnixTime(NOW + PERIOD_S)))

    moved = {"addresses": (Address("20.0.9.9", 443),), "published_at": UnixTime(NOW + 1)}
    ours.collect(signed(0, **moved), now=UnixTime(NOW + 1))

    assert [contact(0, **moved)] == list(ours.newcomers)
    assert identity(0).relay_id not in listed(ours, NOW + 1)


def test_one_lost_probe_costs_a_relay_nothing_and_two_periods_without_any_its_place() -> None:
    ours = probing()
    reach(ours, 0, 1, 2)
    listed(ours)
    reach(ours, 1, 2, now=NOW + PERIOD_S)
    reach(ours, 0, reached=False, now=NOW + PERIOD_S)
    assert 3 == len(listed(ours, NOW + PERIOD_S))
    assert [contact(0)] == ours.due(UnixTime(NOW + PERIOD_S + 600))

    reach(ours, 0, reached=False, now=NOW + 2 * PERIOD_S)

    assert {identity(1).relay_id, identity(2).relay_id} == listed(ours, NOW + 2 * PERIOD_S)


def test_a_restart_lists_those_of_the_last_document_and_dials_them_at_once() -> None:
    """Also when its own network comes up late: that must not empty the list."""
    again = enrolment(probes=True)
    again.vouch(signed(name) for name in range(3))
    assert {contact(0), contact(1), contact(2)} == set(again.due(NOW))
    reach(again, 0, 1, 2, reached=False)

    assert 3 == len(listed(again, NOW + PERIOD_S - 60))
    assert set() == listed(again, NOW + 2 * PERIOD_S)


def test_results_of_probes_are_forgotten_with_their_relays() -> None:
    results = Reachability(period_s=PERIOD_S)
    for name in range(10):
        results.note(contact(name), NOW, reached=True)

    results.keep({contact(3)})

    assert {contact(3)} == results._reached_at.keys() == results._tried_at.keys()


def with_made_up(ours: Enrolment, count: int) -> list[Contact]:
    """So many relays publish silent addresses, each in a network of its own."""
    addresses = [(Address(f"20.{100 + number}.0.1", 443),) for number in range(count)]
    for number, its in enumerate(addresses):
        ours.collect(signed(100 + number, addresses=its), now=NOW)
    return [contact(100 + number, addresses=its) for number, its in enumerate(addresses)]


def test_relays_that_were_reached_are_dialled_before_all_newcomers() -> None:
    """Descriptors of nobody, at 10 s each, once kept an authority from its listed relays until they were dropped."""
    ours = probing()
    reach(ours, 0, 1, 2)
    later = UnixTime(NOW + PERIOD_S)
    made_up = with_made_up(ours, NEWCOMERS_AT_ONCE + 4)

    taken = ProbeTurns(ours).take(later)

    assert [contact(0), contact(1), contact(2), *made_up[:NEWCOMERS_AT_ONCE]] == taken


def test_half_of_the_places_are_for_relays_that_were_reached_also_when_newcomers_came_first() -> None:
    ours = probing()
    reach(ours, 0, 1, 2)
    made_up = with_made_up(ours, NEWCOMERS_AT_ONCE + 4)
    turns = ProbeTurns(ours)
    assert made_up[:NEWCOMERS_AT_ONCE] == turns.take(NOW)
    assert {contact(0), contact(1), contact(2)} == set(turns.take(UnixTime(NOW + PERIOD_S)))

    ours.probed(made_up[0], reached=False, now=NOW)
    turns.ended(made_up[0])

    assert [made_up[NEWCOMERS_AT_ONCE]] == turns.take(UnixTime(NOW + PERIOD_S))


def test_few_newcomers_wait_and_a_place_is_free_when_one_was_dialled() -> None:
    *crowd, late = map(Contact.of, many(MAX_NEWCOMERS + 1))
    waiting = Newcomers(per_network=None)
    for one in crowd:
        assert waiting.has_room(one)
        waiting.add(one)
    assert not waiting.has_room(late)

    waiting.remove(crowd[0].relay_id)

    assert waiting.has_room(late)


def test_of_one_network_few_newcomers_wait_and_others_are_asked_to_come_again() -> None:
    ours = enrolment(probes=True)
    hosts = [(Address(f"20.1.{number}.1", 443),) for number in range(MAX_NEWCOMERS_PER_NETWORK + 1)]
    for number, host in enumerate(hosts[:-1]):
        ours.collect(signed(50 + number, addresses=host), now=NOW)
    assert "newcomers-full" == refused(ours, signed(60, addresses=hosts[-1]))

    ours.probed(contact(50, addresses=hosts[0]), reached=True, now=NOW)

    ours.collect(signed(60, addresses=hosts[-1]), now=NOW)


def test_over_one_link_few_newcomers_come_and_others_find_room() -> None:
    """Whoever makes names up over one link would otherwise have all places that wait."""
    ours = enrolment(probes=True, private_addresses=True)
    for name in range(MAX_NEWCOMERS_PER_LINK):
        ours.collect(signed(name), now=NOW, link=1)
    with pytest.raises(RefusedError) as caught:
        ours.collect(signed(60), now=NOW, link=1)
    assert "newcomers-full" == caught.value.reason
    ours.collect(signed(60), now=NOW, link=2)

    ours.probed(contact(0), reached=True, now=NOW)

    ours.collect(signed(61), now=NOW, link=1)


def test_a_newcomer_of_a_full_link_may_renew_its_descriptor_over_it() -> None:
    ours = enrolment(probes=True, private_addresses=True)
    for name in range(MAX_NEWCOMERS_PER_LINK):
        ours.collect(signed(name), now=NOW, link=1)
    moved = (Address("20.9.9.9", 443),)

    ours.collect(signed(0, published_at=UnixTime(NOW + 1)), now=NOW, link=1)
    ours.collect(signed(1, addresses=moved, published_at=UnixTime(NOW + 1)), now=NOW, link=1)

    assert contact(0) in ours.newcomers
    assert contact(1, addresses=moved) in ours.newcomers


def test_no_relay_has_an_authoritys_address() -> None:
    own = root().authorities[0].address

    assert "address-of-authority" == refused(ready(), signed(7, addresses=(own,)))


@pytest.mark.parametrize("hosts", [("20.1.{}.1",), ("2a00:1450:{:x}::1",)])
def test_one_network_has_a_few_relays_and_no_more(hosts: tuple[str]) -> None:
    """Addresses in one /16 or /32 are rented as one lot, and a hundred of them are one neighbour."""
    ours = enrolment()
    envelopes = [
        signed(50 + number, addresses=(Address(hosts[0].format(number + 1), 443),)) for number in range(9)
    ]
    for envelope in envelopes[:MAX_PER_NETWORK]:
        ours.collect(envelope, now=NOW)

    assert "subnet-full" == refused(ours, envelopes[8])


def test_a_relay_of_a_full_network_may_still_renew_its_descriptor() -> None:
    ours = enrolment()
    hosts = [(Address(f"20.1.{number}.1", 443),) for number in range(MAX_PER_NETWORK)]
    for number, host in enumerate(hosts):
        ours.collect(signed(50 + number, addresses=host), now=NOW)

    ours.collect(signed(50, addresses=hosts[0], published_at=UnixTime(NOW + 1)), now=NOW)


def test_a_test_network_may_be_all_in_one_place() -> None:
    ours = enrolment(private_addresses=True)
    for number in range(20):
        ours.collect(signed(number, addresses=(Address("127.0.0.1", 1000 + number),)), now=NOW)

    assert 20 == len(listed(ours))


def test_with_an_allow_list_nobody_else_joins() -> None:
    ours = enrolment(allow=[identity(3).relay_id])
    assert "not-allowed" == refused(ours, signed(7))

    ours.collect(signed(3), now=NOW)

    assert {identity(3).relay_id} == listed(ours)


def many(count: int) -> list[Descriptor]:
    """Relays that differ in all that only one relay may have."""
    one = descriptor(0)
    encoded = one.packet_keys[0].public.encoded
    return [
        replace(
            one,
            relay_id=identity("many", name).relay_id,
            addresses=(Address(f"{20 + name // 60_000}.{name // 250 % 240}.{name % 250}.1", 443),),
            link_key_hash=bytes_of("link", name),
            # Any X25519 half will do, and none is as dear as a real key.
            packet_keys=(
                replace(
                    one.packet_keys[0],
                    public=HybridPublicKey(encoded[:-32] + bytes_of("key", name)[:31] + b"\1"),
                ),
            ),
        )
        for name in range(count)
    ]


@pytest.mark.slow
def test_taking_a_descriptor_costs_the_same_in_a_network_of_any_size() -> None:
    """It took a walk over all others for each: a publisher's 4 KiB cost tens of milliseconds."""
    *crowd, newcomer = many(4_001)
    roll = Roll(NETWORK_ID, own=(), private_addresses=True, allow=())
    for member in crowd:
        roll.put(Known(b"", member))

    begun = time.perf_counter()
    reasons = set()
    for _ in range(1_000):
        roll.make_room(newcomer, now=NOW)
        reasons.add(roll.refusal(newcomer))
    took_s = time.perf_counter() - begun

    assert {None} == reasons
    # 0.01 s on an idle core; walking took 10 s.
    assert took_s < 1


def test_asking_whether_a_relay_may_join_changes_nothing() -> None:
    """It once forgot stale relays that were in the way, although it reads as a question."""
    roll = Roll(NETWORK_ID, own=(), private_addresses=False, allow=())
    roll.put(Known(signed(1), descriptor(1)))
    later = UnixTime(NOW + 3 * EPOCH_S)
    rival = descriptor(2, now=later, addresses=descriptor(1).addresses)
    assert "address-taken" == roll.refusal(rival)
    assert 1 == len(roll)

    roll.make_room(rival, now=later)

    assert roll.refusal(rival) is None


def test_the_roll_holds_nothing_of_whoever_left() -> None:
    roll = Roll(NETWORK_ID, own=(), private_addresses=False, allow=())
    envelope = sign_descriptor(descriptor(1), identity(1))
    roll.put(Known(envelope, descriptor(1)))
    roll.remove(identity(1).relay_id)

    assert (0, {}, {}) == (len(roll), roll._holders, dict(roll._networks))


@pytest.mark.parametrize(
    ("reason", "envelope"),
    [
        ("wrong-network", signed(7, network_id=bytes(32))),
        ("address-not-public", signed(7, addresses=(Address("192.168.1.1", 443),))),
        ("address-taken", signed(7, addresses=descriptor(1).addresses)),
        ("key-taken", signed(7, link_key_hash=bytes_of("link", 1))),
        ("key-taken", signed(7, packet_keys=descriptor(1).packet_keys)),
        ("not-newer", signed(1, version="9")),
    ],
)
def test_a_descriptor_that_may_not_be_listed_is_refused(reason: str, envelope: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        ready().collect(envelope, now=NOW)

    assert reason == caught.value.reason


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("address-taken", {"addresses": (Address("20.7.0.1", 443), Address("20.1.0.1", 22_021))}),
        ("key-taken", {"session": door(1)}),
        ("key-taken", {"session": replace(door(7), certificate_hash=door(1).certificate_hash)}),
    ],
    ids=["address", "key", "certificate"],
)
def test_a_door_for_sessions_clients_belongs_to_one_relay(reason: str, changes: dict[str, Any]) -> None:
    ours = enrolment()
    ours.collect(signed(1, session=door(1)), now=NOW)

    assert reason == refused(ours, signed(7, **changes))


def test_a_stale_descriptor_is_refused() -> None:
    with pytest.raises(StaleDirectoryError):
        ready().collect(signed(7), now=UnixTime(NOW + 86_401))


def test_the_same_descriptor_may_come_again_and_a_newer_one_replaces_it() -> None:
    ours = ready()
    ours.collect(signed(1), now=NOW)
    ours.collect(signed(1, version="9", published_at=UnixTime(NOW + 1)), now=NOW)

    assert "9" in {known.descriptor.version for known in ours.listable(NOW)}


NOT_PUBLIC = """
    10.0.0.1 127.0.0.1 169.254.169.254 100.64.0.1 224.0.0.1 192.88.99.1 0.0.0.1 168.63.129.16 255.255.255.255
    ::1 fe80::1 fc00::1 64:ff9b::808:808 2002:a00:1:: 2001::1 ff02::1 2001:db8::1 3fff::1
    100::1 3ffe::1 4000::1 ::ffff:1.1.1.1 2a00:1450:4001::5efe:101:101
"""


@pytest.mark.parametrize("host", NOT_PUBLIC.split())
def test_addresses_that_not_everybody_reaches_are_not_public(host: str) -> None:
    assert not is_public(host)


@pytest.mark.parametrize("host", ["1.1.1.1", "20.1.0.1", "2a00:1450:4001::1"])
def test_ordinary_addresses_are_public(host: str) -> None:
    assert is_public(host)


def test_descriptors_without_a_current_key_are_dropped() -> None:
    ours = ready()
    later = UnixTime(NOW + 2 * EPOCH_S)
    ours.collect(signed(5, now=later), now=later)

    assert {identity(5).relay_id} == listed(ours, later)
