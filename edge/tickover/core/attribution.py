"""Which signals an alert names, and how it says so."""

from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.freeze_frame import Ring, number
from tickover.core.manifest import Manifest
from tickover.core.values import (
    Contribution,
    FloatArray,
    Scores,
    TickBlock,
)

SHARE_DIGITS: Final = 4
ONE_SIDED: Final = 0.5
"""A signal whose mean deviation is at least this part of its mean absolute deviation is high or low, else unsteady."""


class Blame:
    """Names the signals with the largest charts at one tick."""

    def __init__(self, manifest: Manifest, top: int) -> None:
        self._manifest, self._top = manifest, top
        column = {name: place for place, name in enumerate(manifest.names)}
        self.signal_of: npt.NDArray[np.int64] = np.array([column[chart.signal] for chart in manifest.charts])
        """For each chart the column of its signal, [C]."""

    def at(
        self, tick: int, ticks: TickBlock, scores: Scores, seen: npt.NDArray[np.bool_], ring: Ring
    ) -> tuple[Contribution, ...]:
        """The top signals at one tick of a block; ``seen`` bool [C] says which charts are of present signals.

        Charts of missing signals count only when no signal is present. ``ring`` shows the same block.
        """
        chart = np.where(seen, scores.chart[tick], -np.inf) if seen.any() else scores.chart[tick]
        level = np.full(len(self._manifest.signals), -np.inf, np.float32)
        np.maximum.at(level, self.signal_of, chart)
        listed = [column for column in np.argsort(-level, kind="stable")[: self._top].tolist() if level[column] > 0]
        total = float(level[listed].sum())
        mean, size = ring.deviation(tick + 1)
        sided = np.where(np.abs(mean) >= ONE_SIDED * size, np.sign(mean), 0.0)
        return tuple(
            self._one(column, chart, float(sided[column]), total, ticks.values[tick], scores.expected[tick])
            for column in listed
        )

    def _one(
        self, column: int, chart: FloatArray, side: float, total: float, observed: FloatArray, expected: FloatArray
    ) -> Contribution:
        largest = int(np.argmax(np.where(self.signal_of == column, chart, -np.inf)))
        named, signal = self._manifest.charts[largest], self._manifest.signals[column]
        return Contribution(
            signal=signal.name,
            unit=signal.unit,
            chart=named.name,
            level=number(chart[largest]) or 0.0,
            share=round(float(chart[largest]) / total, SHARE_DIGITS),
            direction="high" if side > 0 else "low" if side < 0 else "unsteady",
            observed=number(observed[column]),
            expected=number(expected[column]),
            spn=signal.spn,
        )
