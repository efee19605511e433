"""The detector in torch and NumPy, tick by tick where the graph has recurrent operators: what parity is held against.

The network runs in torch's own fused cells; residuals, warm-up, baseline, charts and score are a plain float32 loop
that shares no code with the graph builder. Formulas: ``tickover_export.spec``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from tickover.core.values import FloatArray, Scores
from tickover_export.spec import ChartBank, GraphSpec, decay
from tickover_train.calibration.input_drift import moved_by
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
        moved = moved_by(bounded, self.spec.climate, self.spec.tick_period_s)
        normalised = [a - b for a, b in zip(bounded, moved, strict=True)]
        expected = [expect(self.network, trip) for trip in normalised]
        charts = self._charts([a - b for a, b in zip(normalised, expected, strict=True)]) / self.limits
        seen = np.isfinite(x).any(axis=1)
        score = np.where(seen, charts.max(axis=1), np.float32(np.nan)).astype(np.float32)
        return Scores(
            score, charts.astype(np.float32), (np.concatenate(expected) + np.concatenate(moved)) * scale + center
        )

    def _charts(self, residuals: list[FloatArray]) -> FloatArray:
        """Charts in their own units ``[T, C]``; the states of charts and baseline live through all trips."""
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
        return np.concatenate([run_bank(bank, clipped, self.spec.tick_period_s) for bank in self.spec.banks], axis=1)


def expect(network: Recurrent, normalised: FloatArray) -> FloatArray:
    """What the network expects of one trip ``[T, F]``, normalised."""
    device = next(network.parameters()).device
    with torch.no_grad():
        expected, _ = network(with_mask(torch.from_numpy(normalised[:, None]).to(device)))
    result: FloatArray = expected[:, 0].cpu().numpy()
    return result


def _smooth(mean: FloatArray, value: FloatArray, kept: np.float32) -> FloatArray:
    """An EWMA's next value. Over thousands of ticks the order of float32 operations matters: this is a GRU's."""
    return kept * mean + (np.float32(1.0) - kept) * value


def _level(residual: FloatArray, kept: np.float32, clip: float) -> FloatArray:
    """Residuals ``[T, F]`` less their own slow mean up to the tick before."""
    mean = np.zeros(residual.shape[1], np.float32)
    levelled = np.empty_like(residual)
    for tick, row in enumerate(residual):
        levelled[tick] = row - mean
        mean = np.where(np.isfinite(row), _smooth(mean, np.clip(row, -clip, clip), kept), mean)
    return levelled


def run_bank(bank: ChartBank, residual: FloatArray, period_s: float) -> FloatArray:
    """One bank's charts ``[T, F]`` over clipped residuals ``[T, F]``, NaN = missing: the chart holds."""
    high = np.zeros(residual.shape[1], np.float32)
    low = np.zeros(residual.shape[1], np.float32)
    charts = np.empty(residual.shape, np.float32)
    if bank.kind == "cusum":
        allowance, top = np.float32(bank.allowance or 0.0), np.float32(bank.saturation or 0.0)
        for tick, row in enumerate(residual):
            here = np.isfinite(row)
            high = np.where(here, np.clip(high + row - allowance, 0.0, top), high)
            low = np.where(here, np.clip(low - row - allowance, 0.0, top), low)
            charts[tick] = np.maximum(high, low)
        return charts
    kept = np.float32(decay(bank.span_s or 0.0, period_s))
    for tick, row in enumerate(residual):
        value = row * row if bank.kind == "energy" else row
        high = np.where(np.isfinite(row), _smooth(high, value, kept), high)
        charts[tick] = high
    return np.sqrt(charts) if bank.kind == "energy" else np.abs(charts)
