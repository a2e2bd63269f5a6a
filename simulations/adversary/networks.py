"""Generated networks: long-tailed weights, families, crowded networks of addresses, and a share of bad relays.

A network is made from its seed, and gives a directory of the production type for any moment. No authority has signed
it, and all relays share one packet key, because choice looks at neither.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv6Address
from itertools import accumulate
from types import MappingProxyType

from onionpath.crypto.hybrid import HybridPrivateKey, HybridPublicKey
from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor, PacketKey
from onionpath.directory.directory import Directory, Relay
from onionpath.directory.document import NO_PREVIOUS, Document, Listing
from onionpath.directory.parameters import Parameters
from onionpath.injected import UnixTime
from onionpath.path.guard_numbers import DAY_S
from onionpath.service.calls import ServiceId

PARAMETERS = Parameters()
NETWORK_ID = sha256(b"a generated network").digest()
SERVICES = tuple(sorted(int(each) for each in (ServiceId.ECHO, ServiceId.DIRECTORY, ServiceId.STREAM)))
# Whole days, at which the days of experiments begin, are starts of periods and of epochs.
START = UnixTime(20_000 * DAY_S)

# The middle relay has a weight of 1,000, and one in fifty has twelve times that or more, as in networks of volunteers.
MEDIAN_WEIGHT, SPREAD = 1_000, 1.2
# No relay has more of the weight (the authorities' rule), where there are enough relays for that.
MAX_SHARE = 0.05
# One relay in so many begins a family of two to six, of which half are declared by one side only.
FAMILY_EVERY, MAX_FAMILY = 12, 6
# Random choices of bad relays, of which one comes within a thousandth of the share.
LOTS = 200


@dataclass(frozen=True, slots=True)
class Network:
    """The relays of a network, and those of them that belong to the adversary.

    Args:
        relays: without keys that are valid at any time; ``directory`` gives them some.
        bad: the adversary's.
    """

    relays: tuple[Relay, ...]
    bad: frozenset[RelayId]

    @property
    def bad_share(self) -> float:
        """The adversary's part of the weight."""
        bad = sum(relay.weight for relay in self.relays if relay.relay_id in self.bad)
        return bad / sum(relay.weight for relay in self.relays)

    def directory(self, now: UnixTime, *, away: Iterable[RelayId] = ()) -> Directory:
        """What a client has at this moment, when some relays are not there."""
        keys = (_packet_key(now),)
        out = frozenset(away)
        relays = {
            relay.relay_id: Relay(replace(relay.descriptor, packet_keys=keys), relay.weight)
            for relay in self.relays
            if relay.relay_id not in out
        }
        return Directory(_document(relays, now), MappingProxyType(relays), MappingProxyType({}), missing=0)

    def after_losses(self, share: float, dice: random.Random) -> Network:
        """That part of the honest relays is gone for good; new ones with the same weights have come."""
        return replace(self, relays=tuple(self._or_successor(relay, share, dice) for relay in self.relays))

    def _or_successor(self, relay: Relay, share: float, dice: random.Random) -> Relay:
        # The adversary's relays stay: whoever waits for clients doesn't leave.
        if relay.relay_id in self.bad or dice.random() >= share:
            return relay
        relay_id = IdentityKey(dice.randbytes(32)).relay_id
        return Relay(replace(relay.descriptor, relay_id=relay_id, family=()), relay.weight)


def generate(relays: int, *, bad_share: float, seed: int) -> Network:
    """A network as they grow: few large relays and many small ones, some of one hand, many in the same places.

    Args:
        bad_share: of the weight; reached as nearly as the weights allow.
    """
    dice = random.Random(seed)
    weights = _weights(relays, dice)
    names = [IdentityKey(dice.randbytes(32)).relay_id for _ in range(relays)]
    families = _families(names, dice)
    places = max(8, relays // 3)
    made = tuple(
        Relay(_descriptor(name, _addresses(index, places, dice), families.get(name, ())), weight)
        for index, (name, weight) in enumerate(zip(names, weights, strict=True))
    )
    return Network(made, _bad(made, bad_share, dice))


def generate_uniform(relays: int, *, bad: int, seed: int) -> Network:
    """A network as formulas suppose it: equal weights, no families, and a network of addresses for each relay."""
    dice = random.Random(seed)
    names = [IdentityKey(dice.randbytes(32)).relay_id for _ in range(relays)]
    made = tuple(
        Relay(_descriptor(name, (Address(f"{11 + index // 200}.{index % 200}.0.1", 443),), ()), MEDIAN_WEIGHT)
        for index, name in enumerate(names)
    )
    return Network(made, frozenset(names[:bad]))


def _weights(relays: int, dice: random.Random) -> list[int]:
    drawn = [MEDIAN_WEIGHT * dice.lognormvariate(0.0, SPREAD) for _ in range(relays)]
    largest = max(MAX_SHARE, 2 / relays) * sum(drawn)
    return [max(1, int(min(weight, largest))) for weight in drawn]


def _families(names: list[RelayId], dice: random.Random) -> dict[RelayId, tuple[RelayId, ...]]:
    """Who names whom."""
    families: dict[RelayId, tuple[RelayId, ...]] = {}
    for start in range(0, len(names) - MAX_FAMILY, FAMILY_EVERY):
        members = names[start : start + dice.randint(2, MAX_FAMILY)]
        speakers = members if dice.random() < 0.5 else members[:1]
        families |= {name: tuple(sorted(each for each in members if each != name)) for name in speakers}
    return families


def _addresses(index: int, places: int, dice: random.Random) -> tuple[Address, ...]:
    """IPv4, IPv6 or both, in places of which some are much more crowded than others."""
    place = int(places * dice.random() ** 2)
    v4 = Address(f"{11 + place // 200}.{place % 200}.{index // 250}.{index % 250 + 1}", 443)
    v6 = Address(str(IPv6Address((0x2A00 << 112) + (place << 96) + index + 1)), 443)
    return dice.choice(((v4,), (v4,), (v4, v6), (v6,)))


def _descriptor(relay_id: RelayId, addresses: tuple[Address, ...], family: tuple[RelayId, ...]) -> Descriptor:
    return Descriptor(
        relay_id=relay_id,
        addresses=addresses,
        link_key_hash=sha256(relay_id).digest(),
        packet_keys=(_packet_key(START),),
        family=family,
        services=SERVICES,
        exit_policy=(),
        version="simulated",
        published_at=START,
        network_id=NETWORK_ID,
    )


def _bad(relays: tuple[Relay, ...], share: float, dice: random.Random) -> frozenset[RelayId]:
    """Relays of any size that nobody calls family, since an adversary declares none."""
    declared = {member for relay in relays for member in relay.descriptor.family}
    loners = [relay for relay in relays if not relay.descriptor.family and relay.relay_id not in declared]
    wanted = share * sum(relay.weight for relay in relays)
    # The nearest of many, since filling up what is missing with relays that fit would make the adversary's small.
    lots = [_lot(dice.sample(loners, len(loners)), wanted) for _ in range(LOTS)]
    nearest = min(lots, key=lambda lot: abs(sum(relay.weight for relay in lot) - wanted))
    return frozenset(relay.relay_id for relay in nearest)


def _lot(order: list[Relay], wanted: float) -> list[Relay]:
    """As many from the first on as reach the weight."""
    sums = list(accumulate(relay.weight for relay in order))
    return order[: bisect_left(sums, wanted) + 1]


def _document(relays: dict[RelayId, Relay], now: UnixTime) -> Document:
    number = int(now // PARAMETERS.period_s)
    start = UnixTime(float(number * PARAMETERS.period_s))
    return Document(
        network_id=NETWORK_ID,
        number=number,
        previous=NO_PREVIOUS,
        valid_from=start,
        fresh_until=UnixTime(start + PARAMETERS.period_s),
        valid_until=UnixTime(start + 3 * PARAMETERS.period_s),
        parameters=PARAMETERS,
        relays=tuple(Listing(name, sha256(name).digest(), relays[name].weight) for name in sorted(relays)),
    )


def _packet_key(now: UnixTime) -> PacketKey:
    epoch = int(now // PARAMETERS.epoch_s)
    start = epoch * PARAMETERS.epoch_s
    return PacketKey(epoch, UnixTime(start), UnixTime(start + PARAMETERS.epoch_s), _public_key())


@lru_cache(maxsize=1)
def _public_key() -> HybridPublicKey:
    return HybridPrivateKey(NETWORK_ID).public
