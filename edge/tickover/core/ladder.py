"""A model's ladder of budgets: limits for another budget of false alarms without new data."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from tickover.core.budget import budget_words, is_same
from tickover.core.manifest import MOST_OVER, Budget, Manifest, Rung
from tickover.errors import ModelError

Z_95: Final = 1.959964
"""The normal quantile of a two-sided 95 % interval."""
MOST_EVENTS: Final = 1000
"""Intervals of more events are not looked at."""


def rung_for(ladder: Sequence[Rung], budget: Budget) -> Rung:
    """The limits of a model for another budget: its own rung, or one between two; ModelError when it is beyond them.

    Between two rungs limits lie on a straight line over the logarithm of the rate, as those of an exponential tail do;
    a chart that is off on the rarer one is off. Nothing was measured there: the budget then has no realised rate.
    """
    if not ladder:
        raise ModelError(
            "the model holds limits for one budget only, as models did before they held a ladder of budgets; give "
            "clean trips (--clean) to set limits for another"
        )
    for rung in ladder:
        if is_same(rung.budget, budget):
            return rung
    for often, rare in pairwise(ladder):
        if often.budget.per_hour > budget.per_hour > rare.budget.per_hour:
            return _between(often, rare, budget)
    raise ModelError(
        f"expected a budget between {budget_words(ladder[0].budget)} and {budget_words(ladder[-1].budget)}, which the "
        f"model holds limits for, got {budget_words(budget)}; give clean trips (--clean) to set limits for it"
    )


def _between(often: Rung, rare: Rung, budget: Budget) -> Rung:
    """A rung between two."""
    whole = math.log(often.budget.per_hour / rare.budget.per_hour)
    part = math.log(often.budget.per_hour / budget.per_hour) / whole
    limits = tuple(
        None if low is None or high is None else low + part * (high - low)
        for low, high in zip(often.limits, rare.limits, strict=True)
    )
    return Rung(budget=Budget(episodes=budget.episodes, per_s=budget.per_s), limits=limits)


def why_unsupported(budget: Budget) -> str:
    """Why held-out driving does not show that the limits keep the budget; empty when it does."""
    if budget.is_supported:
        return ""
    if not budget.is_measured:
        return "not measured on held-out driving"
    if budget.low is not None and budget.low > budget.per_hour:
        return "held-out driving gave more than that"
    if (legs := budget.legs) and legs.low > budget.per_hour:
        shortest, longest = (round(seconds / 60) for seconds in (legs.shortest_s, legs.longest_s))
        rate = f"{legs.realised:.2g} an hour ({legs.low:.2g} to {legs.high:.2g})"
        return f"legs of {shortest} to {longest} minutes gave more than that: {rate}"
    needed, words = hours_needed(budget.per_hour, budget.per_hour), ""
    if needed <= budget.hours:
        needed, words = hours_needed(budget.per_hour, _rate(budget)), " at the rate that they gave"
    return f"{budget.hours:.3g} h of held-out driving cannot show it: it takes about {needed:.3g} h{words}"


def hours_needed(allowed: float, rate: float) -> float:
    """Driving after which the interval of the rate would end at ``MOST_OVER`` times what is ``allowed`` an hour, when
    driving goes on to give ``rate``; infinite beyond ``MOST_EVENTS`` events.
    """
    for events in range(1, MOST_EVENTS):
        if _upper(events) * rate <= MOST_OVER * allowed * events:
            return events / rate
    return math.inf


def _rate(budget: Budget) -> float:
    """The highest of the budget and what held-out driving gave, an hour."""
    legs = (budget.legs.realised or 0.0) if budget.legs else 0.0
    return max(budget.per_hour, budget.realised or 0.0, legs)


def _upper(events: int) -> float:
    """Where the 95 % interval of a number of events ends (Byar's approximation of Garwood's, within 0.1 %)."""
    more = events + 1.0
    return more * (1.0 - 1.0 / (9.0 * more) + Z_95 / (3.0 * math.sqrt(more))) ** 3


def rung_lines(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """For people: each rung's budget, and what it gave; the one in use is marked."""
    for rung in manifest.ladder:
        used = " (in use)" if is_same(rung.budget, manifest.false_alarms) else ""
        yield budget_words(rung.budget) + used, rung_words(rung)


def rung_words(rung: Rung) -> str:
    """What a rung gave on held-out driving, whether that supports it, and how much it detects."""
    budget = rung.budget
    words = [f"not supported: {why}" if (why := why_unsupported(budget)) else "supported"]
    if budget.is_measured:
        words.append(
            f"gave {budget.realised:.2g} an hour ({budget.low:.2g} to {budget.high:.2g}) over {budget.hours:.3g} h"
        )
    if rung.mean_recall is not None:
        words.append(f"detects {rung.mean_recall:.0%} of injected faults")
    if off := sum(limit is None for limit in rung.limits):
        words.append(f"{off} of {len(rung.limits)} charts off")
    return "; ".join(words)
