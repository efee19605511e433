"""What belongs to the vehicle and moves slowly: the input drift correction and the baseline of the residuals."""

from typing import Final

import numpy as np

from tickover_export.charts.base import decay
from tickover_export.charts.operators import held_mean
from tickover_export.nodes import Nodes
from tickover_export.spec import GraphSpec, InputDrift
from tickover_export.ticks_before import delay

BASELINE: Final = "baseline"
INPUT_DRIFT: Final = "climate"
"""The state's first name; saved states and existing model files have it."""


def input_drift(nodes: Nodes, spec: GraphSpec, drift: InputDrift, normalised: str, mask: str) -> str:
    """The slow mean of how far each signal was outside its usual range, up to the tick before, ``[T, B, F]``."""
    zero = nodes.floats("nil", 0.0)
    over = nodes.add("Sub", normalised, nodes.floats("climate.high", drift.high), name="climate/over")
    under = nodes.add("Sub", nodes.floats("climate.low", drift.low), normalised, name="climate/under")
    above, below = (nodes.add("Max", x, zero, name=f"{x}_part") for x in (over, under))
    outside = nodes.add("Mul", nodes.add("Sub", above, below, name="climate/outside"), mask, name="climate/valid")
    return _mean_before(nodes, INPUT_DRIFT, outside, mask, decay(drift.span_s, spec.tick_period_s), len(spec.signals))


def baseline(nodes: Nodes, spec: GraphSpec, clipped: str, valid: str) -> str:
    """Each signal's slow mean residual up to the tick before, ``[T, B, F]``; ``clipped`` are this tick's residuals."""
    bounded = nodes.add("Mul", clipped, valid, name="baseline/valid")
    kept = decay(spec.baseline_span_s or 0.0, spec.tick_period_s)
    return _mean_before(nodes, BASELINE, bounded, valid, kept, len(spec.signals))


def _mean_before(nodes: Nodes, name: str, values: str, valid: str, kept: float, signals: int) -> str:
    """The running mean of ``values`` ``[T, B, F]``, 0 where not ``valid``, up to the tick before.

    Up to the tick before, so that a tick is not compared with a mean that it is itself part of.
    """
    x = nodes.add("Concat", values, valid, name=f"{name}/input", axis=-1)
    one, nought = np.eye(signals, dtype=np.float32), np.zeros((signals, signals), np.float32)
    share = np.float32(1.0 - kept)
    means = held_mean(nodes, name, x, np.hstack([nought, share * one]), np.hstack([one, nought]))
    return delay(nodes, name, means, name=f"{name}/before")
