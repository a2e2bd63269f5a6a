"""How many clients have ever begun a path with a bad relay: over months, and in a month of comings and goings.

A client of any age has guards that were confirmed at different times; a new one has two that last for four months, and
then has others. The closed form speaks of the former.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.path.exposure import exposure, guard_exposure
from onionpath.path.guard_numbers import DAY_S, GUARD_NUMBERS, GuardNumbers
from onionpath.path.guards import Guards
from simulations.adversary.clients import Client, Offer
from simulations.adversary.closed_forms import exposure_of_survivors
from simulations.adversary.comparisons import Comparison, at_most, equal
from simulations.adversary.networks import START, Network, generate
from simulations.adversary.plan import Plan, Progress

BAD_SHARE = 0.1
MONTH_DAYS, CHURN_PER_DAY = 30, 0.05
# Guards and middles are renewed by each directory; between two looks of ours nothing else ends a lifetime.
LOOKS_IN_LIFETIME = 24


@dataclass(frozen=True, slots=True)
class Habit:
    """Guards as one network or another keeps them.

    Args:
        published: exposure after 30, 180 and 365 days at the bad share.
    """

    name: str
    guards: int
    lifetime_days: int
    bad_share: float
    published: tuple[float, ...] = ()

    @property
    def numbers(self) -> GuardNumbers:
        """Our own numbers where the habit is ours, otherwise the published ones without back-dating."""
        if self == OURS:
            return GUARD_NUMBERS
        lifetime_s = self.lifetime_days * DAY_S
        return GuardNumbers(
            primaries=self.guards,
            in_use=self.guards,
            enough_usable=2 * self.guards + 2,
            lifetime_s=lifetime_s,
            confirmed_lifetime_s=lifetime_s,
            back_dating=0.0,
        )


OURS = Habit("2 guards for 120 days (ours)", 2, 120, BAD_SHARE)
HABITS = (
    OURS,
    Habit("1 guard for 120 days", 1, 120, 0.05, (0.062, 0.120, 0.187)),
    Habit("1 guard for 120 days", 1, 120, 0.10, (0.123, 0.232, 0.347)),
    Habit("2 guards for 10 days", 2, 10, 0.05, (0.337, 0.858, 0.979)),
    Habit("4 guards for 10 days", 4, 10, 0.05, (0.560, 0.980, 1.000)),
)
MARKS_DAYS = (30, 180, 365)


def guards(plan: Plan, progress: Progress) -> Iterator[Comparison]:
    """Exposure after a month, half a year and a year, as far as the days go."""
    for habit in HABITS:
        # Guards that change every ten days have told all there is to tell after a month.
        watched = min(plan.days, MONTH_DAYS) if habit.lifetime_days < MONTH_DAYS else plan.days
        progress(f"guards: {plan.clients} clients keep {habit.name} for {watched} days")
        network = generate(plan.relays, bad_share=habit.bad_share, seed=plan.seed)
        exposed = exposed_on(network, habit, clients=plan.clients, days=watched, seed=plan.seed)
        for index, mark in enumerate(MARKS_DAYS):
            if mark <= watched:
                theory = theory_of(habit, mark, bad_share=network.bad_share)
                hits = sum(day is not None and day <= mark for day in exposed)
                what = f"{habit.name}, {habit.bad_share:.0%} bad, {mark} days"
                published = habit.published[index] if habit.published else None
                yield equal(
                    "guards", what, theory=theory, hits=hits, trials=plan.clients, published=published
                )


def churn(plan: Plan, progress: Progress) -> Iterator[Comparison]:
    """A month in which 5 % of the honest relays are away each day, and one in which 5 % leave for good each day."""
    clients, seed = plan.clients, plan.seed
    network = generate(plan.relays, bad_share=BAD_SHARE, seed=seed)
    share = network.bad_share
    dice = random.Random(seed)
    progress(f"churn: {clients} new clients, {CHURN_PER_DAY:.0%} of the relays away each day")
    offers = [offer_with_some_away(network, day, dice) for day in range(MONTH_DAYS)]
    hits = sum(has_entered(network, offers, seed, index) for index in range(clients))
    what = f"ever a bad entry in {MONTH_DAYS} days, relays away for a day"
    yield at_most(
        "churn", what, bound=1.5 * GUARD_NUMBERS.in_use * share, ours=hits / clients, trials=clients
    )
    progress(f"churn: {clients} new clients, {CHURN_PER_DAY:.0%} of the relays replaced each day")
    offers = list(offers_with_losses(network, MONTH_DAYS, dice))
    hits = sum(has_entered(network, offers, seed, index) for index in range(clients))
    what = f"ever a bad entry in {MONTH_DAYS} days, relays gone for good"
    theory = theory_of_losses(network, offers)
    # The closed form of the literature; no guard is old enough to be let go, so that only losses bring new ones.
    published = exposure(share, GUARD_NUMBERS.in_use * (1 + (MONTH_DAYS - 1) * CHURN_PER_DAY))
    yield equal("churn", what, theory=theory, hits=hits, trials=clients, published=published)


def theory_of(habit: Habit, days: float, *, bad_share: float) -> float:
    """The closed form for a client of any age."""
    return guard_exposure(bad_share, guards=habit.guards, days=days, lifetime_days=habit.lifetime_days)


def theory_of_losses(network: Network, offers: Sequence[Offer]) -> float:
    """For a new client that uses the first two of its sample that are left on the last day."""
    left = offers[-1].entries.listed.keys() & offers[0].entries.listed.keys()
    relays = [relay for relay in network.relays if relay.relay_id in left]
    is_bad = [relay.relay_id in network.bad for relay in relays]
    return exposure_of_survivors([relay.weight for relay in relays], is_bad)


def exposed_on(
    network: Network, habit: Habit, *, clients: int, days: int, seed: int, is_new: bool = False
) -> list[float | None]:
    """For each client, the day of the watch on which it first used a bad guard.

    Args:
        is_new: clients that start on the first day; otherwise of any age.
    """
    step = max(1, habit.lifetime_days // LOOKS_IN_LIFETIME)
    calendar = Calendar(network)
    exposed: list[float | None] = []
    for index in range(clients):
        dice = random.Random(f"{seed} {index}")
        client = Client(dice, Guards(numbers=habit.numbers))
        if not is_new:
            _grow_old(client, calendar, habit.lifetime_days, step)
        exposed.append(_first_exposed(client, calendar, range(0, days + 1, step), network))
    return exposed


class Calendar:
    """The offers of a network that never changes, by day; made once for all clients."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._offers: dict[int, Offer] = {}

    def offer(self, day: int) -> Offer:
        """What the directory of this day offers; days before the watch are negative."""
        if day not in self._offers:
            now = UnixTime(START + day * DAY_S)
            self._offers[day] = Offer.of(self._network.directory(now), now)
        return self._offers[day]


def _grow_old(client: Client, calendar: Calendar, lifetime_days: int, step: int) -> None:
    """Live until the watch begins, for so long that the first guards are gone and others are of any age."""
    age = lifetime_days * 11 // 10 + client.choice.randrange(0, lifetime_days, step)
    stride = 6 * step
    for day in (-(age // step) * step, *range(-(age // stride) * stride, 0, stride)):
        _live(client, calendar.offer(day))


def _live(client: Client, offer: Offer) -> frozenset[RelayId]:
    """Take the day's directory and send over all guards in use."""
    client.take(offer)
    return client.enter_all(offer)


def _first_exposed(client: Client, calendar: Calendar, days: Sequence[int], network: Network) -> float | None:
    for day in days:
        if not network.bad.isdisjoint(_live(client, calendar.offer(day))):
            return day
    return None


def offer_with_some_away(network: Network, day: int, dice: random.Random) -> Offer:
    """A day's offer without some of the honest relays; the adversary's are always there."""
    now = UnixTime(START + day * DAY_S)
    honest = (relay.relay_id for relay in network.relays if relay.relay_id not in network.bad)
    away = [relay_id for relay_id in honest if dice.random() < CHURN_PER_DAY]
    return Offer.of(network.directory(now, away=away), now)


def offers_with_losses(network: Network, days: int, dice: random.Random) -> Iterator[Offer]:
    """Each day's offer, when some honest relays are replaced from day to day."""
    for day in range(days):
        now = UnixTime(START + day * DAY_S)
        yield Offer.of(network.directory(now), now)
        network = network.after_losses(CHURN_PER_DAY, dice)


def has_entered(network: Network, offers: Sequence[Offer], seed: int, index: int) -> bool:
    """Whether a client that starts with the first offer ever uses a bad guard."""
    client = Client(random.Random(f"{seed} {index}"))
    return any(not network.bad.isdisjoint(_live(client, offer)) for offer in offers)
