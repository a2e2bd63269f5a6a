"""The picture of exposure over time: measured clients as dots, the closed form as a line through them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from simulations.adversary.entries import BAD_SHARE, HABITS, OURS, Habit, exposed_on, theory_of
from simulations.adversary.networks import generate
from simulations.adversary.plan import Plan, Progress

# One guard, ours, and few days for many guards, all at the same bad share.
DRAWN = (HABITS[1], OURS, HABITS[3])
DOTS = 25
COLOURS = ("tab:green", "tab:blue", "tab:red")
NEW_COLOUR = "tab:gray"
WIDTH_INCHES, HEIGHT_INCHES, DOTS_PER_INCH = 8.0, 4.5, 100


@dataclass(frozen=True, slots=True)
class Curve:
    """One habit over time.

    Args:
        days: of the dots.
        ours: the share of clients that were exposed until then.
        theory: the closed form's share; empty where it doesn't apply.
    """

    label: str
    colour: str
    days: tuple[float, ...]
    ours: tuple[float, ...]
    theory: tuple[float, ...]


def curves(plan: Plan, progress: Progress) -> list[Curve]:
    """Clients of any age for each habit, and new ones of ours."""
    drawn = [
        _curve(replace(habit, bad_share=BAD_SHARE), plan, progress, colour)
        for habit, colour in zip(DRAWN, COLOURS, strict=True)
    ]
    return [*drawn, _curve(OURS, plan, progress, NEW_COLOUR, is_new=True)]


def save(drawn: Sequence[Curve], file: Path) -> None:
    """Draw them into a file of the kind that its name ends with, e.g. ``.png`` or ``.svg``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    for curve in drawn:
        axes.plot(curve.days, curve.ours, ".", color=curve.colour, label=curve.label)
        if curve.theory:
            axes.plot(curve.days, curve.theory, "-", color=curve.colour, linewidth=1)
    axes.set(xlabel="days", ylabel="clients that ever used a bad first relay", ylim=(0, 1))
    axes.set_title(f"{BAD_SHARE:.0%} of the weight is bad; dots: measured, lines: closed form", fontsize=10)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2)
    figure.savefig(file)


def _curve(habit: Habit, plan: Plan, progress: Progress, colour: str, *, is_new: bool = False) -> Curve:
    label = f"{habit.name}, a new client" if is_new else habit.name
    progress(f"plot: {plan.clients} clients, {label}, for {plan.days} days")
    network = generate(plan.relays, bad_share=habit.bad_share, seed=plan.seed)
    found = exposed_on(network, habit, clients=plan.clients, days=plan.days, seed=plan.seed, is_new=is_new)
    exposed = sorted(day for day in found if day is not None)
    days = tuple(plan.days * dot / DOTS for dot in range(DOTS + 1))
    ours = tuple(bisect_right(exposed, day) / plan.clients for day in days)
    theory = () if is_new else tuple(theory_of(habit, day, bad_share=network.bad_share) for day in days)
    return Curve(label, colour, days, ours, theory)
