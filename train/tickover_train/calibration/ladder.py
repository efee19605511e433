"""Limits for a ladder of budgets from the same clean trips, and the budget that those trips support. No torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tickover.core.budget import LADDER, budget_words, is_same, ladder_with
from tickover.core.ladder import why_unsupported
from tickover.core.manifest import Budget, EpisodePolicy
from tickover.core.values import FloatArray
from tickover_train.calibration.limits import Limits, calibrate
from tickover_train.calibration.scored import ScoredTrip
from tickover_train.stored.room import Room


@dataclass(frozen=True, slots=True)
class Climb:
    """Limits of each budget from the most frequent to the rarest, and which of them is to be used, with the reason."""

    rungs: tuple[Limits, ...]
    used: int
    why: str

    @property
    def limits(self) -> Limits:
        """Those to be used."""
        return self.rungs[self.used]


def climb(
    trips: Sequence[ScoredTrip],
    asked: Budget | None,
    policy: EpisodePolicy,
    bounds: FloatArray,
    period_s: float,
    floor: float = 0.0,
    parts: FloatArray | None = None,
    trained: Callable[[Budget], FloatArray | None] = lambda _: None,
    room: Room | None = None,
) -> Climb:
    """Limits for every budget of the ladder and for the one ``asked`` for; the other arguments as in ``calibrate``,
    ``trained`` by budget.

    Without ``asked``, the rarest budget is used that the trips support, and so do all before it; the most frequent one
    when they support none.
    """
    rungs: list[Limits] = []
    for budget in ladder_with(asked):
        found = calibrate(trips, budget, policy, bounds, period_s, floor, parts, trained(budget), room)
        # A rarer budget never has a lower limit: tails that are fitted anew to few peaks may cross.
        higher = np.maximum(found.limits, rungs[-1].limits) if rungs else found.limits
        rungs.append(replace(found, limits=higher))
    budgets = [rung.budget for rung in rungs]
    if asked is not None:
        used = next(place for place, one in enumerate(budgets) if is_same(one, asked))
        return Climb(tuple(rungs), used, why_asked(budgets[used]))
    supported = 0
    while supported < len(budgets) and budgets[supported].is_supported:
        supported += 1
    used = max(supported - 1, 0)
    return Climb(tuple(rungs), used, why_chosen(budgets, supported))


def why_asked(budget: Budget) -> str:
    """One sentence on a budget that was asked for."""
    why = why_unsupported(budget)
    return f"{budget_words(budget)} as asked for, " + (f"not supported: {why}" if why else "supported by the trips")


def why_chosen(budgets: Sequence[Budget], supported: int) -> str:
    """One sentence on why the last of the first ``supported`` budgets is used (the first one when there are none)."""
    if not supported:
        return f"{budget_words(budgets[0])}, though not supported: {why_unsupported(budgets[0])}"
    words = f"{budget_words(budgets[supported - 1])}, the rarest that the trips support"
    if supported < len(budgets):
        words += f"; {budget_words(budgets[supported])}: {why_unsupported(budgets[supported])}"
    return words


FIRST = LADDER[0]
"""What commands that judge at one rate take when no budget is asked for."""
