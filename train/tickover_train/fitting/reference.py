"""The detector in torch and NumPy, tick by tick where the graph has recurrent operators: what parity is held against.

The network runs in torch's own fused cells; residuals, warm-up, baseline, charts and score are a plain float32 loop
that shares no code with the graph builder. Formulas: ``tickover_export.spec`` and each kind in ``charts``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from tickover.core.values import FloatArray, Scores
from tickover_export.charts.base import ReferenceTicks, decay, smooth
from tickover_export.spec import GraphSpec
from tickover_train.calibration.input_drift import drift_taken
from tickover_train.calibration.residuals import spread_of
from tickover_train.fitting.network import Recurrent, prepare, with_mask


@dataclass(frozen=True, slots=True)
class Reference:
    """A trained detector: ``weights`` holds the scaler, the residual's centre and scale, and the network's weights."""

    network: Recurrent
    spec: GraphSpec
    weights: Mapping[str, FloatArray]
    limits: FloatArray

    def run(self, x: FloatArray, trip_start: npt.NDArray[np.bool_]) -> Scores:
        """Scores of one vehicle's ticks ``x`` ``[T, F]`` in engineering units; a trip starts where the flag is set."""
        starts = np.flatnonzero(trip_start)
        trips = np.split(x, starts[starts > 0])
        center, scale = self.weights["scaler.center"], self.weights["scaler.scale"]
        bounded = [prepare(trip, center, scale, self.spec.input_clip) for trip in trips]
        moved = drift_taken(bounded, self.spec.input_drift, self.spec.tick_period_s)
        normalised = [a - b for a, b in zip(bounded, moved, strict=True)]
        expected = [expect(self.network, trip) for trip in normalised]
        residuals = [a - b for a, b in zip(normalised, expected, strict=True)]
        charts = self._charts(residuals, np.concatenate(bounded)) / self.limits
        seen = np.isfinite(x).any(axis=1)
        score = np.where(seen, charts.max(axis=1), np.float32(np.nan)).astype(np.float32)
        return Scores(
            score, charts.astype(np.float32), (np.concatenate(expected) + np.concatenate(moved)) * scale + center
        )

    def _charts(self, residuals: list[FloatArray], values: FloatArray) -> FloatArray:
        """Charts in their own units ``[T, C]``; the states of charts and baseline live through all trips."""
        starts = np.concatenate([np.arange(len(trip)) == 0 for trip in residuals])
        center, scale = self.weights["residual.center"], self.weights["residual.scale"]
        standard = np.concatenate(
            [
                (trip - center) / scale / spread_of(self.spec.cold, len(trip), self.spec.tick_period_s)
                for trip in residuals
            ]
        ).astype(np.float32)
        cold = np.concatenate([np.arange(len(trip)) < self.spec.warm_up_ticks for trip in residuals])
        standard[cold] = np.nan
        if self.spec.baseline_span_s is not None:
            standard = _level(
                standard, np.float32(decay(self.spec.baseline_span_s, self.spec.tick_period_s)), self.spec.clip
            )
        clipped = np.clip(standard, -self.spec.clip, self.spec.clip)
        names = tuple(signal.name for signal in self.spec.signals)
        return run_banks(self.spec, ReferenceTicks(clipped, values, starts, names))


def expect(network: Recurrent, normalised: FloatArray) -> FloatArray:
    """What the network expects of one trip ``[T, F]``, normalised."""
    device = next(network.parameters()).device
    with torch.no_grad():
        expected, _ = network(with_mask(torch.from_numpy(normalised[:, None]).to(device)))
    result: FloatArray = expected[:, 0].cpu().numpy()
    return result


def _level(residual: FloatArray, kept: np.float32, clip: float) -> FloatArray:
    """Residuals ``[T, F]`` less their own slow mean up to the tick before."""
    mean = np.zeros(residual.shape[1], np.float32)
    levelled = np.empty_like(residual)
    for tick, row in enumerate(residual):
        levelled[tick] = row - mean
        mean = np.where(np.isfinite(row), smooth(mean, np.clip(row, -clip, clip), kept), mean)
    return levelled


def run_banks(spec: GraphSpec, ticks: ReferenceTicks) -> FloatArray:
    """Every bank's charts ``[T, C]``; where its ticks are not valid a chart holds."""
    return np.concatenate([bank.reference(ticks, spec.tick_period_s) for bank in spec.banks], axis=1)
