"""The limits that a model has for a budget, from its training. No torch."""

import numpy as np

from tickover.core.budget import is_same
from tickover.core.manifest import Budget, Manifest
from tickover.core.values import FloatArray
from tickover_export.run import limits_array


def limits_at(manifest: Manifest, budget: Budget) -> FloatArray | None:
    """Limits ``[C]`` (inf = off) for a budget: those of the ladder, between two of its rungs in the logarithm of rate
    and limit, beyond its ends those of the last; None where the model has no ladder and is set for another budget."""
    if is_same(manifest.false_alarms, budget):
        return limits_array(tuple(chart.limit for chart in manifest.charts))
    if not manifest.ladder:
        return None
    rungs = sorted(manifest.ladder, key=lambda rung: rung.budget.per_hour)
    bounds = np.array([chart.bound for chart in manifest.charts])
    rates = np.log([rung.budget.per_hour for rung in rungs])
    logs = np.log(np.minimum(np.stack([limits_array(rung.limits) for rung in rungs]), bounds))
    wanted = [np.interp(np.log(budget.per_hour), rates, column) for column in logs.T]
    limits: FloatArray = np.exp(wanted).astype(np.float32)
    limits[limits >= bounds * (1.0 - 1e-6)] = np.inf
    return limits
