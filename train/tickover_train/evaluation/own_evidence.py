"""Scores without the charts that a trip begins with over their limit: what the trip before left is no evidence of this
one, and opens no episode on the device (``core.carried``). No torch.
"""

import numpy as np

from tickover.core.carried import Carried
from tickover.core.chart_signals import ChartSignals
from tickover.core.evidence import ALARM_LEVEL
from tickover.core.manifest import Manifest
from tickover.core.values import FloatArray, Scores
from tickover_train.evaluation.metrics import Floats

Left = tuple[list[float], list[int]]
"""What is carried: ``Carried``'s whole state."""


class OwnEvidence:
    """One vehicle's, tick by tick in order."""

    def __init__(self, manifest: Manifest) -> None:
        self._carried = Carried(manifest, ALARM_LEVEL)
        self._looks = ChartSignals.of(manifest)
        self._warm_up = manifest.warm_up_ticks

    def state(self) -> Left:
        """All that the next tick's score depends on."""
        return self._carried.state()

    def restore(self, left: Left) -> None:
        """Continue from :meth:`state`."""
        self._carried.restore(*left)

    def score(self, values: FloatArray, scores: Scores, age: int, *, after_another: bool) -> Floats:
        """The scores ``[T]`` of consecutive ticks ``values`` ``[T, F]`` of one trip, of which ``age`` came before.

        ``after_another``: the first of them begins a trip that is not the vehicle's first. A score that sensors have
        raised over the charts stays.
        """
        starts = np.zeros(len(values), np.bool_)
        starts[:1] = after_another
        warm = age + np.arange(len(values)) >= self._warm_up
        carried = self._carried.mask(starts, scores.chart, self._looks.fresh(~np.isnan(values) & warm[:, None]))
        own = scores.score.astype(np.float64)
        if carried is None:
            return own
        of_charts = carried.any(axis=1) & (scores.score <= scores.chart.max(axis=1))
        own[of_charts] = np.where(carried, 0.0, scores.chart).max(axis=1)[of_charts]
        return own
