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
from onionpath.errors import RefusedError
from onionpath.injected import UnixTime
from relay.authority.reachability import Contact, Reachability
from relay.authority.roll import MAX_PER_NETWORK, Known, Roll
from relay.authority.signing import Authority
from relay.authority.weights import weigh
from tests.directory.networks import NETWORK_ID, NOW, PERIOD_S, bytes_of, descriptor, identity, root
from tests.directory.test_authority import authority, ready, relays, signed


def contact(name: int, **changes: Any) -> Contact:
    return Contact.of(descriptor(name, **changes))


def listed(ours: Authority, now: float = NOW) -> set[RelayId]:
    result = ours.tick(UnixTime(now))
    return set(result.directory.relays) if result is not None else set()


def probing(relays: int = 3, **settings: Any) -> Authority:
    ours = authority(relays=relays, probes=True, **settings)
    for name in range(relays):
        ours.collect(signed(name), now=NOW)
    return ours


def reach(ours: Authority, *names: int, reached: bool = True, now: float = NOW) -> None:
    for name in names:
        ours.probed(contact(name), reached=reached, now=UnixTime(now))


def refused(ours: Authority, envelope: bytes, now: float = NOW) -> str:
    with pytest.raises(RefusedError) as caught:
        ours.collect(envelope, now=UnixTime(now))
    return caught.value.reason


def test_nobody_is_listed_before_a_probe_has_reached_it() -> None:
    """Otherwise a list of relays that don't exist would be most of the network."""
    ours = probing()
    assert ours.tick(NOW) is None
    reach(ours, 0, 1)
    assert ours.tick(NOW) is None

    reach(ours, 2)

    assert {identity(name).relay_id for name in range(3)} == listed(ours)


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
    assert contact(0) in ours.due(UnixTime(NOW + 600))


def test_a_result_counts_for_a_period_and_only_for_its_contact() -> None:
    ours = probing()
    reach(ours, 0, 1, 2)
    assert [] == ours.due(UnixTime(NOW + PERIOD_S - 1))
    assert {contact(0), contact(1), contact(2)} == set(ours.due(UnixTime(NOW + PERIOD_S)))

    moved = {"addresses": (Address("20.0.9.9", 443),), "published_at": UnixTime(NOW + 1)}
    ours.collect(signed(0, **moved), now=UnixTime(NOW + 1))

    assert [contact(0, **moved)] == ours.due(UnixTime(NOW + 1))
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
    before = probing()
    reach(before, 0, 1, 2)
    first = before.tick(NOW)
    assert first is not None
    again = authority(probes=True, state=first.state)
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


def test_no_relay_has_an_authoritys_address() -> None:
    own = root().authorities[0].address

    assert "address-of-authority" == refused(ready(), signed(7, addresses=(own,)))


@pytest.mark.parametrize("hosts", [("20.1.{}.1",), ("2a00:1450:{:x}::1",)])
def test_one_network_has_a_few_relays_and_no_more(hosts: tuple[str]) -> None:
    """Addresses in one /16 or /32 are rented as one lot, and a hundred of them are one neighbour."""
    ours = authority()
    envelopes = [
        signed(50 + number, addresses=(Address(hosts[0].format(number + 1), 443),)) for number in range(9)
    ]
    for envelope in envelopes[:MAX_PER_NETWORK]:
        ours.collect(envelope, now=NOW)

    assert "subnet-full" == refused(ours, envelopes[8])


def test_a_relay_of_a_full_network_may_still_renew_its_descriptor() -> None:
    ours = authority()
    hosts = [(Address(f"20.1.{number}.1", 443),) for number in range(MAX_PER_NETWORK)]
    for number, host in enumerate(hosts):
        ours.collect(signed(50 + number, addresses=host), now=NOW)

    ours.collect(signed(50, addresses=hosts[0], published_at=UnixTime(NOW + 1)), now=NOW)


def test_a_test_network_may_be_all_in_one_place() -> None:
    ours = authority(private_addresses=True)
    for number in range(20):
        ours.collect(signed(number, addresses=(Address("127.0.0.1", 1000 + number),)), now=NOW)

    assert 20 == len(listed(ours))


def test_with_an_allow_list_nobody_else_joins() -> None:
    ours = authority(relays=1, allow=[identity(3).relay_id])
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
    reasons = {roll.refusal(newcomer, now=NOW) for _ in range(1_000)}
    took_s = time.perf_counter() - begun

    assert {None} == reasons
    # 0.01 s on an idle core; walking took 10 s.
    assert took_s < 1


@pytest.mark.slow
def test_weighing_many_relays_is_quick() -> None:
    crowd = many(20_000)

    begun = time.perf_counter()
    weights = weigh(crowd)
    took_s = time.perf_counter() - begun

    assert {1000} == set(weights.values())
    # 0.05 s on an idle core; the square of so many took 6 s.
    assert took_s < 1


def test_families_are_found_whatever_the_order() -> None:
    members = relays(50, range(10), range(20, 24))

    assert weigh(members) == weigh(list(reversed(members)))


def test_the_roll_holds_nothing_of_whoever_left() -> None:
    roll = Roll(NETWORK_ID, own=(), private_addresses=False, allow=())
    envelope = sign_descriptor(descriptor(1), identity(1))
    roll.put(Known(envelope, descriptor(1)))
    roll.remove(identity(1).relay_id)

    assert (0, {}, {}) == (len(roll), roll._holders, dict(roll._networks))
