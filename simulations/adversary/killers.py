"""Relays that kill the paths which end elsewhere than with the adversary, so that clients draw until one suits it.

| who kills | what the client does about it |
|---|---|
| its guard | retries go over the next one; the bias of its paths is counted, and judged at 150 attempts |
| its guard, and accuses the middle | the edge is avoided; the next path goes over another middle, then another guard |
| a middle | its edges are blamed and avoided; the guard is not touched |
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice

from onionpath.client.path_draw import PathDraw
from onionpath.path.bias import DISABLE_PERCENT
from onionpath.path.guard_numbers import GUARD_NUMBERS
from onionpath.path.roles import NO_CONSTRAINTS
from simulations.adversary.closed_forms import selected_share
from simulations.adversary.comparisons import Comparison, at_most
from simulations.adversary.networks import START, Network, generate
from simulations.adversary.plan import Plan, Progress
from simulations.adversary.victims import Killer, Victim

BAD_SHARE = 0.1
KILLS = 0.9
REQUESTS_BEFORE, REQUESTS = 10, 200
MOST_ATTEMPTS_OF_A_KILLER = 200
# A tenth above the share for which a guard is disabled, so that bad luck doesn't end it.
CAREFUL_CARRIES = (DISABLE_PERCENT + 10) / 100
# Of the clients one in ten is tried in each attack, since each makes hundreds of attempts.
PART = 10


@dataclass(frozen=True, slots=True)
class Attack:
    """Who kills, and which clients are attacked.

    Args:
        hop: of the killers: 0 for guards, 1 for middles.
        bad_guards: how many of the client's primaries are bad, from the first on.
        kills: the part of the paths with honest exits.
        lies: the killers accuse the next relay, where they could keep silent.
    """

    hop: int
    bad_guards: int
    kills: float = KILLS
    lies: bool = False

    def __str__(self) -> str:
        who = "middles kill" if self.hop else ("guard kills", "two guards kill")[self.bad_guards - 1]
        return f"{who} {self.kills:.0%} ({'lying' if self.lies else 'silent'})"


def killers(plan: Plan, progress: Progress) -> Iterator[Comparison]:
    """A killing guard beside an honest one; two of them; and killing middles behind honest guards."""
    network = generate(plan.relays, bad_share=BAD_SHARE, seed=plan.seed)

    def victims_of(attack: Attack) -> list[Victim]:
        # Two bad guards of one client are rare, and slow it down.
        clients = max(1, plan.clients // (PART if attack.bad_guards < 2 else 4 * PART))
        progress(f"killers: {clients} clients, {attack}")
        return attacked(attack, network, clients=clients, seed=plan.seed)

    for lies in (False, True):
        attack = Attack(0, 1, lies=lies)
        yield from _guard_comparisons(victims_of(attack), network, attack)
    careful = Attack(0, 1, kills=(1.0 - CAREFUL_CARRIES) / (1.0 - network.bad_share))
    yield from _careful_comparisons(victims_of(careful), network, careful)
    for lies in (False, True):
        attack = Attack(0, 2, lies=lies)
        yield _surrounded_comparison(victims_of(attack), network, attack)
    for lies in (False, True):
        attack = Attack(1, 0, lies=lies)
        yield from _middle_comparisons(victims_of(attack), network, attack)


def attacked(attack: Attack, network: Network, *, clients: int, seed: int) -> list[Victim]:
    """So many new clients with as many bad guards as the attack wants, after their requests."""
    draw = PathDraw(network.directory(START), NO_CONSTRAINTS, now=START)
    killer = Killer(attack.hop, network.bad, attack.kills, lies=attack.lies, spares=network.bad)
    wanted = [True] * attack.bad_guards + [False] * (GUARD_NUMBERS.primaries - attack.bad_guards)
    drawn = (Victim(draw, random.Random(f"{seed} {index}")) for index in count())
    fitting = (each for each in drawn if [guard in network.bad for guard in each.first_guards] == wanted)
    victims = list(islice(fitting, clients))
    for victim in victims:
        _trust_then_kill(victim, killer)
    return victims


def _trust_then_kill(victim: Victim, killer: Killer) -> None:
    """First all is well: a guard that killed at once would be confirmed after others, and hardly be used."""
    for _ in range(REQUESTS_BEFORE):
        victim.ask()
    victim.walks.clear()
    victim.killer = killer
    for _ in range(REQUESTS):
        victim.ask()


def _guard_comparisons(victims: list[Victim], network: Network, attack: Attack) -> Iterator[Comparison]:
    yield _linked_comparison(victims, network, attack, bound=2 * network.bad_share)
    # Whether it is disabled or avoided, or others come before it: what counts is how often it was trusted.
    attempts = [sum(walk.relays[0] == victim.first_guards[0] for walk in victim.walks) for victim in victims]
    what = f"attempts over it, at most; {attack}"
    yield at_most("killers", what, bound=MOST_ATTEMPTS_OF_A_KILLER, ours=max(attempts))


def _careful_comparisons(victims: list[Victim], network: Network, attack: Attack) -> Iterator[Comparison]:
    """What bias cannot see: a guard that carries a little more than what it would be disabled for."""
    yield _linked_comparison(victims, network, attack, bound=2 * network.bad_share)
    over_it = [
        walk.relays[-1] in network.bad
        for victim in victims
        for walk in victim.walks
        if walk.is_answered and walk.relays[0] == victim.first_guards[0]
    ]
    what = f"linked of what it carried; {attack}"
    theory = selected_share(network.bad_share, kills=attack.kills)
    # At most, since a retry leaves out the exit that was killed, so that honest ones come in turn.
    yield at_most("killers", what, bound=theory, ours=sum(over_it) / len(over_it), trials=len(over_it))


def _surrounded_comparison(victims: list[Victim], network: Network, attack: Attack) -> Comparison:
    """Of three primaries one is honest: whatever the two say, their edges or their bias move the paths to it."""
    return _linked_comparison(victims, network, attack, bound=2 * network.bad_share)


def _middle_comparisons(victims: list[Victim], network: Network, attack: Attack) -> Iterator[Comparison]:
    exits = [walk.relays[-1] for victim in victims for walk in victim.walks if walk.is_answered]
    owned = sum(relay in network.bad for relay in exits) / len(exits)
    yield at_most("killers", f"bad exits of the answered; {attack}", bound=2 * network.bad_share, ours=owned)
    disabled = sum(len(victim.disabled - network.bad) for victim in victims)
    yield at_most("killers", f"honest guards disabled; {attack}", bound=0, ours=disabled)


def _linked_comparison(
    victims: list[Victim], network: Network, attack: Attack, *, bound: float
) -> Comparison:
    """Both ends bad, of what was answered; without an attack that is the share of bad exits."""
    answered = [walk.relays for victim in victims for walk in victim.walks if walk.is_answered]
    linked = sum(relays[0] in network.bad and relays[-1] in network.bad for relays in answered)
    what = f"linked of the answered; {attack}"
    return at_most("killers", what, bound=bound, ours=linked / len(answered))
