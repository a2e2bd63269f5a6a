"""From counted votes to a draft: the same votes give the same bytes on every machine.

Spec: docs/specs/authorities.md §4.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from onionpath.crypto.identity import RelayId
from onionpath.crypto.tags import digest
from onionpath.directory.descriptor import Descriptor
from onionpath.directory.document import VALID_PERIODS, Document, Listing
from onionpath.directory.swarms import assign, assigned
from onionpath.directory.trust import TrustRoot
from onionpath.directory.vote import Vote
from onionpath.injected import UnixTime
from onionpath.service.calls import ServiceId
from relay.authority.ballots import Ballot
from relay.authority.capacities import agreed_capacity, weigh_capacities

SWARMS_LABEL = b"onionpath/1 swarms"


@dataclass(frozen=True, slots=True)
class Counted:
    """A vote that counts, and its ballot."""

    vote: Vote
    ballot: Ballot


@dataclass(frozen=True, slots=True)
class Listed:
    """A relay that the draft will list.

    Args:
        ballots: how many hold it.
        capacity: bytes per second.
    """

    digest: bytes
    descriptor: Descriptor
    ballots: int
    capacity: int


def candidates(ballots: Sequence[Ballot], *, needed: int) -> dict[RelayId, Counter[bytes]]:
    """For each relay the descriptors that at least ``needed`` ballots name, with how many do."""
    named: defaultdict[RelayId, Counter[bytes]] = defaultdict(Counter)
    for ballot in ballots:
        for relay, choice in ballot.choices.items():
            named[relay][choice.descriptor] += 1
    enough = {relay: _at_least(digests, needed) for relay, digests in named.items()}
    return {relay: digests for relay, digests in enough.items() if digests}


def tabulate(
    counted: Sequence[Counted],
    descriptors: Mapping[bytes, Descriptor],
    root: TrustRoot,
    *,
    documents: Callable[[bytes], Document | None],
) -> Document | None:
    """The draft, or None where the votes are too few or list nobody.

    Args:
        counted: votes of one number, at most one of each author, in any order.
        descriptors: by digest; must hold all ``candidates``.
        documents: finds the document of a digest; must know those that the votes name as the last.
    """
    if len(counted) < root.threshold:
        return None
    needed = len(root.authorities) - root.threshold + 1
    listed = _without_rivals(_elected([one.ballot for one in counted], descriptors, root.network_id, needed))
    return _draft(listed, [one.vote for one in counted], root, documents) if listed else None


def _at_least(digests: Counter[bytes], needed: int) -> Counter[bytes]:
    return Counter({digest: count for digest, count in digests.items() if count >= needed})


def _elected(
    ballots: Sequence[Ballot], descriptors: Mapping[bytes, Descriptor], network_id: bytes, needed: int
) -> list[Listed]:
    listed = []
    for relay, digests in candidates(ballots, needed=needed).items():
        choices = [ballot.choices[relay] for ballot in ballots if relay in ballot.choices]
        own = [digest for digest in digests if _is_of(descriptors[digest], relay, network_id)]
        if not own or 2 * len(choices) <= len(ballots):
            continue
        digest = min(own, key=lambda one: (-digests[one], -descriptors[one].published_at, one))
        measures = [choice.capacity for choice in choices if choice.capacity]
        capacity = agreed_capacity(measures, votes=len(ballots))
        listed.append(Listed(digest, descriptors[digest], len(choices), capacity))
    return listed


def _is_of(descriptor: Descriptor, relay: RelayId, network_id: bytes) -> bool:
    return (descriptor.relay_id, descriptor.network_id) == (relay, network_id)


def _without_rivals(listed: Sequence[Listed]) -> list[Listed]:
    """Each address and key once: two majorities can share an authority that lies, and readers would refuse both."""
    taken: set[Hashable] = set()
    kept = []
    for one in sorted(listed, key=lambda one: (-one.ballots, one.descriptor.relay_id)):
        claims = _claims(one.descriptor)
        if taken.isdisjoint(claims):
            taken |= claims
            kept.append(one)
    return kept


def _claims(descriptor: Descriptor) -> set[Hashable]:
    return {*descriptor.all_addresses, *descriptor.all_keys}


def _draft(
    listed: Sequence[Listed],
    votes: Sequence[Vote],
    root: TrustRoot,
    documents: Callable[[bytes], Document | None],
) -> Document:
    relays = {one.descriptor.relay_id: one for one in listed}
    weights = weigh_capacities(
        {name: one.capacity for name, one in relays.items()}, [one.descriptor for one in listed]
    )
    period_s, number = root.parameters.period_s, votes[0].number
    start = number * period_s
    last = min(votes, key=lambda vote: (-vote.last_number, vote.last_digest))
    swarms = _swarms(listed, votes, documents(last.last_digest))
    return Document(
        network_id=root.network_id,
        root_version=root.version,
        number=number,
        previous=last.last_digest,
        valid_from=UnixTime(start),
        fresh_until=UnixTime(start + period_s),
        valid_until=UnixTime(start + VALID_PERIODS * period_s),
        parameters=root.parameters,
        relays=tuple(
            Listing(name, relays[name].digest, weights[name], swarms.get(name)) for name in sorted(relays)
        ),
    )


def _swarms(listed: Sequence[Listed], votes: Sequence[Vote], last: Document | None) -> dict[RelayId, int]:
    storing = [one.descriptor.relay_id for one in listed if ServiceId.STORAGE in one.descriptor.services]
    salts = sorted(vote.salt for vote in votes)
    vote = votes[0]
    seed = digest(b"".join([SWARMS_LABEL, vote.network_id, vote.number.to_bytes(8, "big"), *salts]))
    return assign({} if last is None else assigned(last), storing, seed=seed)
