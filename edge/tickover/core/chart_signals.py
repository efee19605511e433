"""Which signals each control chart looks at, and what follows from that when some of them are missing.

A chart may look at one signal or at several. It is *fresh* at a tick when all of its signals are present: with one of
them missing it cannot move, and the graph holds it. Its level counts for each of its signals. The sensitivity of a
chart is the smallest of its signals' factors, so that a muted signal mutes every chart that it has a part in.
"""

import numpy as np
import numpy.typing as npt

from tickover.core.manifest import Manifest
from tickover.core.values import FloatArray

BoolArray = npt.NDArray[np.bool_]


class ChartSignals:
    """``matrix`` bool ``[C, F]``: whether chart c looks at signal f; every row has at least one."""

    def __init__(self, matrix: BoolArray) -> None:
        self.matrix = matrix
        # The matrix as pairs (chart, signal), chart by chart: most charts look at one signal, and a walk over the pairs
        # costs as much as there are, not charts times signals.
        self._chart, self._signal = np.nonzero(matrix)
        self._first = np.flatnonzero(np.diff(self._chart, prepend=-1))

    @classmethod
    def of(cls, manifest: Manifest) -> "ChartSignals":
        """Those of a model's charts and signals, in the manifest's order."""
        column = {name: place for place, name in enumerate(manifest.names)}
        matrix = np.zeros((len(manifest.charts), len(column)), np.bool_)
        for row, chart in enumerate(manifest.charts):
            matrix[row, [column[name] for name in chart.signals]] = True
        return cls(matrix)

    def fresh(self, present: BoolArray) -> BoolArray:
        """Which charts have all of their signals, ``[T, C]``; ``present`` bool ``[T, F]``."""
        whole: BoolArray = np.logical_and.reduceat(present[:, self._signal], self._first, axis=1)
        return whole

    def highest(self, charts: FloatArray) -> FloatArray:
        """Each signal's highest chart, ``[T, F]``, NaN and absent ones left out; ``charts`` ``[T, C]``."""
        level = np.full((len(charts), self.matrix.shape[1]), np.nan, np.float32)
        for chart, signal in zip(self._chart, self._signal, strict=True):
            np.fmax(level[:, signal], charts[:, chart], out=level[:, signal])
        return level

    def least(self, factors: FloatArray) -> FloatArray:
        """Each chart's smallest factor, ``[C]``; ``factors`` ``[F]`` has one for each signal."""
        smallest: FloatArray = np.minimum.reduceat(factors[self._signal], self._first)
        return smallest
