from collections import Counter
from dataclasses import replace

import pytest

from onionpath.crypto.identity import RelayId
from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor, sign_descriptor
from onionpath.directory.directory import decode_directory
from onionpath.directory.document import NO_PREVIOUS, SeenDocument, UnverifiedDocument
from onionpath.directory.parameters import Parameters
from onionpath.directory.succession import Lineage, sign_succession
from onionpath.directory.swarms import assigned
from onionpath.errors import MalformedError, RefusedError, StaleDirectoryError, UsageError, WrongNetworkError
from onionpath.injected import UnixTime
from relay.authority.public import is_public
from relay.authority.signing import Authority, Signed
from relay.authority.weights import cap, weigh
from tests.directory.networks import EPOCH_S, NOW, PERIOD_S, bytes_of, descriptor, identity, root


def authority(*, state: bytes | None = None, relays: int = 3, **settings: object) -> Authority:
    period_s = settings.setdefault("period_s", PERIOD_S)
    parameters = Parameters(period_s=period_s)  # type: ignore[arg-type]  # settings are of any type
    return Authority(
        identity=identity("authority", 0),
        root=replace(root(), parameters=parameters),
        parameters=parameters,
        first_document_relays=relays,
        state=state,
        **settings,  # type: ignore[arg-type]
    )


def signed(name: int, **changes: object) -> bytes:
    return sign_descriptor(descriptor(name, **changes), identity(name))  # type: ignore[arg-type]


def ready(**settings: object) -> Authority:
    """An authority that has the descriptors of three relays."""
    ours = authority(**settings)  # type: ignore[arg-type]
    for name in range(3):
        ours.collect(signed(name), now=NOW)
    return ours


def tick(ours: Authority, now: float) -> Signed:
    result = ours.tick(UnixTime(now))
    assert result is not None
    return result


def test_the_first_document_waits_for_enough_relays() -> None:
    ours = authority()
    for name in range(2):
        ours.collect(signed(name), now=NOW)
    assert ours.tick(NOW) is None

    ours.collect(signed(2), now=NOW)

    assert 3 == len(tick(ours, NOW).directory.relays)


def test_the_document_verifies_and_has_the_times_of_its_period() -> None:
    document = tick(ready(), NOW).directory.document
    verified = UnverifiedDocument(document.envelope).verify(root(), now=NOW, seen=None)

    assert verified == document
    assert int(NOW // PERIOD_S) == document.number
    assert document.number * PERIOD_S == document.valid_from
    assert document.valid_from + PERIOD_S == document.fresh_until
    assert document.valid_from + 3 * PERIOD_S == document.valid_until
    assert NO_PREVIOUS == document.previous


def test_a_period_has_one_document() -> None:
    ours = ready()
    tick(ours, NOW)
    ours.collect(signed(7), now=NOW)

    assert ours.tick(UnixTime(NOW + 1)) is None


def test_the_next_document_comes_with_the_next_period_and_names_the_one_before() -> None:
    ours = ready()
    first = tick(ours, NOW).directory.document
    second = tick(ours, first.fresh_until).directory.document

    assert first.number + 1 == second.number
    assert first.digest == second.previous
    assert UnverifiedDocument(second.envelope).verify(
        root(), now=first.fresh_until, seen=SeenDocument.of(first)
    )


def test_a_restart_does_not_sign_a_number_twice() -> None:
    state = tick(ready(), NOW).state
    again = authority(state=state)
    again.collect(signed(7), now=NOW)

    assert again.tick(UnixTime(NOW + 1)) is None


def test_a_restart_goes_on_with_the_chain_and_the_descriptors() -> None:
    first = tick(ready(), NOW)
    again = authority(state=first.state)

    assert first.directory == again.directory
    second = tick(again, NOW + PERIOD_S).directory
    assert first.directory.document.digest == second.document.previous
    assert 3 == len(second.relays)


def test_a_clock_that_was_set_back_signs_nothing() -> None:
    ours = ready()
    tick(ours, NOW)

    assert ours.tick(UnixTime(NOW - PERIOD_S)) is None


def test_after_expiry_the_authority_waits_for_enough_relays_again() -> None:
    """Few relays right after an outage would make a network of those few."""
    ours = ready()
    expired = tick(ours, NOW).directory.document.valid_until
    late = UnixTime(expired + 2 * EPOCH_S)
    ours.collect(signed(0, now=late), now=late)

    assert ours.tick(late) is None


def test_descriptors_without_a_current_key_are_dropped() -> None:
    ours = ready(relays=1, period_s=EPOCH_S)
    tick(ours, NOW)
    later = UnixTime(NOW + 2 * EPOCH_S)
    ours.collect(signed(5, now=later), now=later)

    assert {identity(5).relay_id} == set(tick(ours, later).directory.relays)


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


def test_a_stale_descriptor_is_refused() -> None:
    with pytest.raises(StaleDirectoryError):
        ready().collect(signed(7), now=UnixTime(NOW + 86_401))


def test_the_same_descriptor_may_come_again_and_a_newer_one_replaces_it() -> None:
    ours = ready()
    ours.collect(signed(1), now=NOW)
    ours.collect(signed(1, version="9", published_at=UnixTime(NOW + 1)), now=NOW)

    assert "9" == tick(ours, NOW).directory.relays[identity(1).relay_id].descriptor.version


def test_private_addresses_are_listed_when_the_network_is_private() -> None:
    ours = authority(relays=1, private_addresses=True)
    ours.collect(signed(7, addresses=(Address("127.0.0.1", 443),)), now=NOW)

    assert 1 == len(tick(ours, NOW).directory.relays)


def test_who_cannot_sign_alone_is_not_an_authority() -> None:
    with pytest.raises(UsageError):
        Authority(identity=identity("stranger"), root=root(), parameters=Parameters(), period_s=1)
    with pytest.raises(UsageError):
        Authority(identity=identity("authority", 0), root=root(3, 2), parameters=Parameters(), period_s=1)


def test_a_state_of_another_period_is_refused() -> None:
    with pytest.raises(UsageError):
        authority(state=tick(ready(), NOW).state, period_s=PERIOD_S * 2)


@pytest.mark.parametrize("position", [0, 40, 60, -1])
def test_a_damaged_state_is_refused(position: int) -> None:
    """Starting without it could sign a second document of the same number."""
    state = bytearray(tick(ready(), NOW).state)
    state[position] ^= 1
    for damaged in (bytes(state), b"", bytes(state[:80])):
        with pytest.raises((MalformedError, UsageError)):
            authority(state=damaged)


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


def relays(count: int, *families: range) -> list[Descriptor]:
    """Relays of which those in one range name each other."""
    ids: list[RelayId] = [identity(name).relay_id for name in range(count)]
    one = descriptor(0)
    result = []
    for name in range(count):
        family = next((family for family in families if name in family), range(0))
        others = tuple(sorted(ids[other] for other in family if other != name))
        result.append(replace(one, relay_id=ids[name], family=others))
    return result


def test_weights_are_equal_in_a_small_network() -> None:
    assert {1000} == set(weigh(relays(39, range(20))).values())


def test_a_large_family_has_a_tenth_of_the_weight() -> None:
    weights = weigh(relays(60, range(20)))
    family = sum(weights[identity(name).relay_id] for name in range(20))

    assert 0.099 < family / sum(weights.values()) <= 0.1


def test_naming_a_relay_that_does_not_answer_takes_no_weight_from_it() -> None:
    """Otherwise an attacker could take a rival's traffic by a line in its own descriptor."""
    members = relays(60)
    others = tuple(sorted(relay.relay_id for relay in members[1:60]))
    members[0] = replace(members[0], family=others)

    assert {1000} == set(weigh(members).values())


def test_where_no_weights_satisfy_the_caps_they_stay_equal() -> None:
    assert {1000} == set(weigh(relays(40, range(20), range(20, 40))).values())
    assert {1000} == set(weigh(relays(40, range(30))).values())


def test_capping_one_group_can_bring_another_over_the_cap() -> None:
    names = [RelayId(bytes([number])) for number in range(12)]
    weights = dict(zip(names, [900, 105, *[99] * 10], strict=True))
    groups = [frozenset({name}) for name in names]
    capped = cap(weights, groups, 10)
    total = sum(capped.values())

    assert all(10 * weight <= total for weight in capped.values())
    assert 99 == capped[names[-1]]


def test_other_parameters_than_the_trust_roots_are_refused_at_the_start() -> None:
    """Every reader would refuse such documents, and the network would stand still without a hint why."""
    with pytest.raises(UsageError):
        Authority(
            identity=identity("authority", 0), root=root(), parameters=Parameters(hops=2), period_s=PERIOD_S
        )


def test_relays_that_store_are_in_swarms_and_stay_there() -> None:
    ours = authority(relays=1)
    for name in range(12):
        ours.collect(signed(name, services=(1, 2, 4) if name < 11 else (1, 2)), now=NOW)
    first = tick(ours, NOW).directory.document
    again = authority(state=tick(ours, NOW + PERIOD_S).state)

    swarms = assigned(first)
    assert {identity(name).relay_id for name in range(11)} == swarms.keys()
    assert [5, 6] == sorted(Counter(swarms.values()).values())
    assert swarms == assigned(tick(again, NOW + 2 * PERIOD_S).directory.document)


def succeeded() -> Lineage:
    """The network's second trust root: the same authority at another address."""
    before = root()
    moved = replace(before.authorities[0], address=Address("9.9.9.9", 443))
    after = replace(before, version=2, authorities=(moved,))
    return Lineage(before).follow([sign_succession(before, after, [identity("authority", 0)])])


def authority_after(state: bytes, lineage: Lineage) -> Authority:
    return Authority(
        identity=identity("authority", 0),
        root=lineage.root,
        parameters=Parameters(),
        period_s=PERIOD_S,
        state=state,
        lineage=lineage,
    )


def test_an_authority_goes_on_after_a_succession_and_leads_its_readers_there() -> None:
    first = tick(ready(), NOW)
    ours = authority_after(first.state, succeeded())
    assert ours.tick(UnixTime(NOW + 1)) is None
    directory = tick(ours, NOW + PERIOD_S).directory

    assert 2 == directory.document.root_version
    assert first.directory.document.digest == directory.document.previous
    later = UnixTime(NOW + PERIOD_S)
    assert directory == decode_directory(directory.encode(), root(), now=later, seen=first.directory.seen)


def test_an_authority_refuses_successions_that_lead_elsewhere() -> None:
    with pytest.raises(UsageError):
        authority(lineage=succeeded())


def test_the_state_of_another_network_is_refused() -> None:
    lineage = succeeded()
    other = replace(lineage, root=replace(lineage.root, network_id=bytes(32)))

    with pytest.raises(WrongNetworkError):
        authority_after(tick(ready(), NOW).state, other)
