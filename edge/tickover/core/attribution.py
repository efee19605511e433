"""Which signals an alert names, and how it says so.

A signal's level is that of the highest chart that looks at it. A chart over several signals so raises all of them to
the same level; among these, the one that its own charts say most about comes first.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.chart_signals import looks_of
from tickover.core.decimals import number
from tickover.core.freeze_frame import Ring
from tickover.core.manifest import Manifest
from tickover.core.once import once
from tickover.core.values import (
    Contribution,
    FloatArray,
    Scores,
    TickBlock,
)

SHARE_DIGITS: Final = 4
ONE_SIDED: Final = 0.5
"""A signal whose mean deviation is at least this part of its mean absolute deviation is high or low, else unsteady."""


class Attribution:
    """Names the signals with the largest charts at one tick."""

    def __init__(self, manifest: Manifest, top: int) -> None:
        self._manifest, self._top = manifest, top
        self._looks = once(looks_of, manifest)

    def at(
        self, tick: int, ticks: TickBlock, scores: Scores, seen: npt.NDArray[np.bool_], ring: Ring
    ) -> tuple[Contribution, ...]:
        """The top signals at one tick of a block; ``seen`` bool [C] says which charts are fresh.

        The others count only when none is. ``ring`` shows the same block.
        """
        chart = np.where(seen, scores.chart[tick], -np.inf) if seen.any() else scores.chart[tick]
        level, own = self._looks.levels(chart), self._looks.levels(chart, alone=True)
        # lexsort is stable: signals that are equal in both keep the manifest's order.
        listed = [column for column in np.lexsort((-own, -level))[: self._top].tolist() if level[column] > 0]
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
        charts = self._looks.looking_at(column)
        largest = int(charts[np.argmax(chart[charts])])
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
