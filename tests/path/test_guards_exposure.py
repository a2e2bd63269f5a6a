"""Clients over months of virtual days, held against the closed forms and the promises of the specification."""

import random
from statistics import fmean

import pytest

from onionpath.path.candidates import Candidates
from onionpath.path.exposure import guard_exposure, middle_exposure
from onionpath.path.guard_numbers import DAY_S, MIDDLE_NUMBERS
from onionpath.path.middles import Middles, renew_middles
from tests.path.virtual_relays import Client, all_of, candidates, days, plain_relay

BAD_SHARE = 0.1
RELAYS = 200
BAD = frozenset(plain_relay(name).relay_id for name in range(int(RELAYS * BAD_SHARE)))


def four_sigma(share: float, trials: int) -> float:
    return 4.0 * float((share * (1 - share) / trials) ** 0.5)


def is_exposed(seed: int, *, watched_days: int, step_days: int) -> bool:
    """Whether a client uses a bad guard in so many days, which begin at any age of its guards."""
    listed, client = all_of(RELAYS), Client(seed)
    start = 130 + random.Random(seed).randrange(120)
    # Its first guards last for some 110 days; then it has others, confirmed at different times.
    for day in [*range(0, start, 30), start]:
        client.spend_day(listed, days(day))
    client.entries.clear()
    for day in range(start, start + watched_days + 1, step_days):
        client.spend_day(listed, days(day))
    return not BAD.isdisjoint(client.entries)


@pytest.mark.parametrize(
    ("clients", "watched_days", "step_days"),
    [
        (40, 60, 30),
        pytest.param(2_000, 30, 5, marks=pytest.mark.slow),
        pytest.param(2_000, 180, 5, marks=pytest.mark.slow),
        pytest.param(1_000, 365, 5, marks=pytest.mark.slow),
    ],
)
def test_exposure_to_bad_guards_is_the_closed_form(clients: int, watched_days: int, step_days: int) -> None:
    theory = guard_exposure(BAD_SHARE, guards=2, days=watched_days, lifetime_days=120)

    exposed = fmean(
        is_exposed(seed, watched_days=watched_days, step_days=step_days) for seed in range(clients)
    )

    assert abs(theory - exposed) <= four_sigma(theory, clients)


@pytest.mark.slow
def test_a_year_brings_eight_guards_as_the_closed_form_supposes() -> None:
    """With Tor's 60 days from the first use it would be eleven and a half."""
    listed = all_of(RELAYS)
    clients = [Client(seed) for seed in range(30)]
    for client in clients:
        for day in range(0, 365 * 3):
            client.spend_day(listed, days(day))
    a_year = fmean(sum(at >= days(365) for at in client.entries.values()) / 2 for client in clients)

    assert 2 * 365 / 120 == pytest.approx(a_year, rel=0.1)


def middles_seen(seed: int, listed: Candidates, *, watched_days: int) -> set[bytes]:
    choice = random.Random(seed)
    middles: Middles = ()
    seen: set[bytes] = set()
    start = 30
    for hour in range(0, (start + watched_days) * 24, 6):
        middles = renew_middles(middles, listed, guards=(), now=days(hour / 24), choice=choice)
        if hour >= start * 24:
            seen |= {middle.relay_id for middle in middles}
    return seen


@pytest.mark.parametrize(
    ("clients", "watched_days"), [(30, 5), pytest.param(2_000, 14, marks=pytest.mark.slow)]
)
def test_exposure_to_bad_middles_is_the_closed_form(clients: int, watched_days: int) -> None:
    mean_days = MIDDLE_NUMBERS.mean_s / DAY_S
    theory = middle_exposure(BAD_SHARE, middles=4, days=watched_days, mean_lifetime_days=mean_days)
    listed = all_of(RELAYS)

    exposed = fmean(
        not BAD.isdisjoint(middles_seen(seed, listed, watched_days=watched_days)) for seed in range(clients)
    )

    assert abs(theory - exposed) <= four_sigma(theory, clients)


def with_some_away(chance: random.Random, *, share: float) -> Candidates:
    """A directory of a day on which that part of the relays is not there."""
    return candidates(plain_relay(name) for name in range(RELAYS) if chance.random() >= share)


def exposed_clients(clients: int, *, away: float) -> float:
    """The part of the clients that meet a bad guard in 30 days, on each of which other relays are away."""
    chance = random.Random(1)
    month = [with_some_away(chance, share=away) for _ in range(30)]
    exposed = 0
    for seed in range(clients):
        client = Client(seed)
        for day, listed in enumerate(month):
            client.spend_day(listed, days(day))
        exposed += not BAD.isdisjoint(client.entries)
    return exposed / clients


@pytest.mark.parametrize("clients", [30, pytest.param(1_500, marks=pytest.mark.slow)])
def test_with_five_percent_of_relays_away_each_day_a_month_exposes_little_more_than_two_draws(
    clients: int,
) -> None:
    bound = 1.5 * 2 * BAD_SHARE

    assert exposed_clients(clients, away=0.05) <= bound + four_sigma(bound, clients)


@pytest.mark.slow
def test_with_nobody_away_a_month_exposes_as_two_draws() -> None:
    theory = guard_exposure(BAD_SHARE, guards=2, days=0, lifetime_days=120)

    assert abs(theory - exposed_clients(1_000, away=0.0)) <= four_sigma(theory, 1_000)
