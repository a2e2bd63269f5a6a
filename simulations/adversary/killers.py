"""Relays that kill the paths which end elsewhere than with the adversary, so that clients draw until one suits it.

| who kills | what the client does about it |
|---|---|
| its guard | the guard's bias is counted, and judged at 150 attempts |
| a middle | its edges are blamed and avoided; the guard is not touched |
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from onionpath.crypto.identity import RelayId
from onionpath.errors import Edge
from onionpath.injected import UnixTime
from onionpath.path.bias import DISABLE_PERCENT, outcome_for_guard
from onionpath.path.blame import Blame, RelayEdge, relay_edge
from onionpath.path.guards import after_attempt
from simulations.adversary.clients import Client, Offer
from simulations.adversary.closed_forms import selected_share
from simulations.adversary.findings import Finding, at_most, equal
from simulations.adversary.networks import PARAMETERS, START, Network, generate
from simulations.adversary.plan import Plan, Progress

BAD_SHARE = 0.1
KILLS = 0.9
REQUESTS, ATTEMPTS = 200, 3
# A tenth above the share for which a guard is disabled, so that bad luck doesn't end it.
CAREFUL_CARRIES = (DISABLE_PERCENT + 10) / 100
# A client that asks twice a minute.
PAUSE_S = 30.0
MOST_ATTEMPTS_OF_A_KILLER = 200
# Of the tested clients one in ten is tried against each killer, since each makes hundreds of attempts.
PART = 10


@dataclass(frozen=True, slots=True)
class Killer:
    """How bad relays at one position kill.

    Args:
        hop: 0 for guards, 1 for middles.
        kills: the part of the paths with honest exits.
        lies: accuses the next relay, where it could keep silent.
    """

    hop: int
    kills: float = KILLS
    lies: bool = False

    def speaker(self, path: list[RelayId], bad: frozenset[RelayId], dice: random.Random) -> int | None:
        """The last hop that the client hears."""
        is_killed = path[self.hop] in bad and path[-1] not in bad and dice.random() < self.kills
        if not is_killed:
            return len(path) - 1
        speaker = self.hop if self.lies else self.hop - 1
        return speaker if speaker >= 0 else None


@dataclass(slots=True)
class Tally:
    """What became of one client's requests.

    Args:
        owned: answered by the adversary's exits; linked: over its guard as well.
        attempts_until_disabled: over its first guard; None while that one is in use.
    """

    answered: int = 0
    owned: int = 0
    linked: int = 0
    attempts: int = 0
    attempts_until_disabled: int | None = None


@dataclass(slots=True)
class Victim:
    """A client that asks over and over, and learns from what it hears."""

    client: Client
    killer: Killer
    bad: frozenset[RelayId]
    blame: Blame = field(default_factory=Blame)
    now: UnixTime = START
    tally: Tally = field(default_factory=Tally)

    def ask(self, offer: Offer) -> None:
        """One request, with as many attempts as a call has."""
        excluded: frozenset[RelayId] = frozenset()
        for _ in range(ATTEMPTS):
            self.now = UnixTime(self.now + PAUSE_S)
            avoided = self.blame.avoided(self.now)
            drawn = self.client.draw(offer, excluded=excluded, avoided=avoided)
            path = [relay.relay_id for relay in drawn.relays]
            edge, is_answered = self._attempt(path)
            if is_answered:
                break
            excluded |= frozenset(edge or ()) - {path[0]}

    def _attempt(self, path: list[RelayId]) -> tuple[RelayEdge | None, bool]:
        speaker = self.killer.speaker(path, self.bad, self.client.choice)
        edge = self._learn(path, speaker)
        is_answered = speaker == len(path) - 1
        self._count(path, is_answered)
        return edge, is_answered

    def _learn(self, path: list[RelayId], speaker: int | None) -> RelayEdge | None:
        edge = None
        if speaker is not None:
            self.blame = self.blame.after_answer(path[: speaker + 1], now=self.now)
            edge = relay_edge(Edge(speaker, speaker + 1), path)
        if edge is not None:
            self.blame = self.blame.after_failure(edge, now=self.now)
        blamed = self.blame.is_blamed(path[1], self.now)
        outcome = outcome_for_guard(speaker, hops=PARAMETERS.hops, second_is_blamed=blamed)
        self.client.guards = after_attempt(self.client.guards, path[0], outcome)
        return edge

    def _count(self, path: list[RelayId], is_answered: bool) -> None:
        tally = self.tally
        tally.attempts += 1
        tally.answered += is_answered
        tally.owned += is_answered and path[-1] in self.bad
        tally.linked += is_answered and path[-1] in self.bad and path[0] in self.bad
        if tally.attempts_until_disabled is None and self.disabled:
            tally.attempts_until_disabled = tally.attempts

    @property
    def disabled(self) -> frozenset[RelayId]:
        """The guards that bias has ended."""
        return frozenset(guard.relay_id for guard in self.client.guards.sample if guard.is_disabled)


def killers(plan: Plan, progress: Progress) -> Iterator[Finding]:
    """Killing guards, and killing middles before an honest guard."""
    seed = plan.seed
    network = generate(plan.relays, bad_share=BAD_SHARE, seed=seed)
    offer = Offer.of(network.directory(START), START)
    tried = max(1, plan.clients // PART)
    for lies in (False, True):
        progress(f"killers: {tried} clients with a guard that {'lies' if lies else 'keeps silent'}")
        victims = victims_of(Killer(0, lies=lies), network, offer, clients=tried, seed=seed)
        yield from _guard_findings(victims, network.bad_share, _manner(lies))
    progress(f"killers: {tried} clients with a guard that kills as much as it may")
    yield _careful_finding(network, offer, clients=tried, seed=seed)
    for lies in (False, True):
        progress(f"killers: {tried} clients whose bad middles {'lie' if lies else 'keep silent'}")
        victims = victims_of(Killer(1, lies=lies), network, offer, clients=tried, seed=seed)
        yield from _middle_findings(victims, network.bad_share, _manner(lies))


def victims_of(killer: Killer, network: Network, offer: Offer, *, clients: int, seed: int) -> list[Victim]:
    """New clients after their requests: with a bad first guard if guards kill, with an honest one otherwise."""
    victims: list[Victim] = []
    index = 0
    while len(victims) < clients:
        client = Client(random.Random(f"{seed} {index}"))
        index += 1
        client.take(offer)
        if (client.enter(offer) in network.bad) == (killer.hop == 0):
            victim = Victim(client, killer, network.bad)
            for _ in range(REQUESTS):
                victim.ask(offer)
            victims.append(victim)
    return victims


def _guard_findings(victims: list[Victim], share: float, manner: str) -> Iterator[Finding]:
    answered = sum(victim.tally.answered for victim in victims)
    linked = sum(victim.tally.linked for victim in victims)
    what = f"linked of the answered, bad guard kills {KILLS:.0%} ({manner})"
    yield at_most("killers", what, bound=2 * share, ours=linked / answered)
    attempts = [victim.tally.attempts_until_disabled for victim in victims]
    worst = max(MOST_ATTEMPTS_OF_A_KILLER + 1 if each is None else each for each in attempts)
    what = f"attempts until that guard is disabled ({manner}), at most"
    yield at_most("killers", what, bound=MOST_ATTEMPTS_OF_A_KILLER, ours=worst)


def _middle_findings(victims: list[Victim], share: float, manner: str) -> Iterator[Finding]:
    answered = sum(victim.tally.answered for victim in victims)
    owned = sum(victim.tally.owned for victim in victims)
    what = f"bad exits of the answered, bad middles kill {KILLS:.0%} ({manner})"
    yield at_most("killers", what, bound=2 * share, ours=owned / answered)
    what = f"honest guards disabled by bad middles ({manner})"
    yield at_most("killers", what, bound=0, ours=sum(len(victim.disabled) for victim in victims))


def _manner(lies: bool) -> str:
    return "lying" if lies else "silent"


def _careful_finding(network: Network, offer: Offer, *, clients: int, seed: int) -> Finding:
    """What bias cannot see: a guard that carries a little more than what it would be disabled for."""
    share = network.bad_share
    kills = (1.0 - CAREFUL_CARRIES) / (1.0 - share)
    victims = victims_of(Killer(0, kills=kills), network, offer, clients=clients, seed=seed)
    answered = sum(victim.tally.answered for victim in victims)
    linked = sum(victim.tally.linked for victim in victims)
    what = f"linked of the answered, bad guard carries {CAREFUL_CARRIES:.0%} and stays"
    theory = selected_share(share, kills=kills)
    return equal("killers", what, theory=theory, hits=linked, trials=answered)
