"""Figures as the workshop's commands and pages show them."""

import math
from collections.abc import Sequence

from tickover.core.budget import budget_words, is_same
from tickover.core.ladder import rung_words
from tickover.core.manifest import Budget, Rung
from tickover_train.calibration.limits import Influence


def percent(share: float | None) -> str:
    """A share as a percentage; a dash when there is none."""
    return "–" if share is None or not math.isfinite(share) else f"{100 * share:.0f} %"


def seconds(value: float | None) -> str:
    """Seconds, or a dash."""
    return "–" if value is None else f"{value:.0f} s"


def number(value: float) -> str:
    """A plain number of three figures, or a dash."""
    return f"{value:.3g}" if math.isfinite(value) else "–"


def realised_words(budget: Budget) -> str:
    """The rates that a budget realised on unseen trips and in legs, with their intervals."""
    words = f"{budget.realised:.2f} an hour on unseen trips ({budget.low:.2f} to {budget.high:.2f}, 95 %, "
    words += f"{budget.hours:.1f} h)"
    if legs := budget.legs:
        words += f", {legs.realised:.2f} ({legs.low:.2f} to {legs.high:.2f}) in legs of "
        words += f"{legs.shortest_s / 60:g} to {legs.longest_s / 60:g} minutes"
    return words


def influence_words(influence: Influence | None) -> list[str]:
    """What the worst trip would have done to the limits; no line where it was not looked for."""
    if influence is None:
        return []
    return [
        f"worst trip: {influence.trip} alone would raise the charts' limits by {100 * (influence.usual - 1):.0f} % "
        f"(the usual chart) to {100 * (influence.most - 1):.0f} %; it is kept from deciding them"
    ]


def ladder_words(why: str, ladder: Sequence[Rung], used: Budget) -> list[str]:
    """Which budget is in use and why, and what every rung gave."""
    lines = [f"budget: {why}"]
    for rung in ladder:
        mark = "*" if is_same(rung.budget, used) else " "
        lines.append(f"{mark} {budget_words(rung.budget):<9} {rung_words(rung)}")
    return lines
