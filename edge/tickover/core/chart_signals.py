"""Which signals each control chart looks at, and what follows from that when some of them are missing.

A chart may look at one signal or at several. It is *fresh* at a tick when all of its signals are present: with one of
them missing it cannot move, and the graph holds it. Its level counts for each of its signals. The sensitivity of a
chart is the smallest of its signals' factors, so that a muted signal mutes every chart that it has a part in.
"""

from itertools import chain

import numpy as np
import numpy.typing as npt

from tickover.core.manifest import Manifest
from tickover.core.values import FloatArray

BoolArray = npt.NDArray[np.bool_]


class ChartSignals:
    """Says for C charts and F signals who looks at whom: the matrix ``[C, F]`` as pairs, chart by chart.

    Pairs and no matrix, because most charts look at one signal and every vehicle has these: work and memory grow with
    the number of pairs. ``matrix`` bool ``[C, F]`` must have at least one in each row.
    """

    def __init__(self, matrix: BoolArray) -> None:
        chart, signal = np.nonzero(matrix)
        self._set(chart, signal, matrix.shape[1])

    @classmethod
    def of(cls, manifest: Manifest) -> "ChartSignals":
        """Those of a model's charts and signals, in the manifest's order."""
        column = {name: place for place, name in enumerate(manifest.names)}
        sizes = [len(chart.signals) for chart in manifest.charts]
        made = cls.__new__(cls)
        signal = [column[name] for name in chain.from_iterable(chart.signals for chart in manifest.charts)]
        made._set(np.repeat(np.arange(len(sizes)), sizes), np.array(signal, np.int64), len(column))
        return made

    def _set(self, chart: npt.NDArray[np.int64], signal: npt.NDArray[np.int64], signals: int) -> None:
        self._chart, self._signal, self._signals = chart, signal, signals
        self._first = np.flatnonzero(np.diff(chart, prepend=-1))
        looks = np.bincount(chart)
        self._alone = looks[chart] == 1
        self._several = [(place, signal[chart == place]) for place in np.flatnonzero(looks > 1).tolist()]

    @property
    def charts(self) -> int:
        """How many charts there are."""
        return len(self._first)

    @property
    def signals(self) -> int:
        """How many signals there are."""
        return self._signals

    @property
    def matrix(self) -> BoolArray:
        """Whether chart c looks at signal f, bool ``[C, F]``."""
        matrix = np.zeros((self.charts, self.signals), np.bool_)
        matrix[self._chart, self._signal] = True
        return matrix

    def fresh(self, present: BoolArray) -> BoolArray:
        """Which charts have all of their signals, ``[T, C]``; ``present`` bool ``[T, F]``."""
        # By the first signal, then chart by chart: few look at several, and numpy reduces along rows slowly.
        whole: BoolArray = present[:, self._signal[self._first]]
        for chart, signals in self._several:
            whole[:, chart] = present[:, signals].all(axis=1)
        return whole

    def all_at(self, ticks: BoolArray) -> BoolArray:
        """All charts at these ticks ``[T]``, none at others: ``[T, C]``, not to be written to."""
        return np.broadcast_to(ticks[:, None], (len(ticks), self.charts))

    def highest(self, charts: FloatArray) -> FloatArray:
        """Each signal's highest chart, ``[T, F]``, NaN left out, and where there is none; ``charts`` ``[T, C]``."""
        level = np.full((len(charts), self._signals), np.nan, np.float32)
        for chart, signal in zip(self._chart, self._signal, strict=True):
            np.fmax(level[:, signal], charts[:, chart], out=level[:, signal])
        return level

    def levels(self, chart: FloatArray, *, alone: bool = False) -> FloatArray:
        """Each signal's highest chart at one tick, ``[F]``, -inf where there is none; ``chart`` ``[C]``, no NaN.

        ``alone``: of the charts that look at no other signal.
        """
        level = np.full(self._signals, -np.inf, np.float32)
        pairs = self._alone if alone else slice(None)
        np.maximum.at(level, self._signal[pairs], chart[self._chart[pairs]])
        return level

    def looking_at(self, signal: int) -> npt.NDArray[np.int64]:
        """The charts that look at a signal, in order."""
        looking: npt.NDArray[np.int64] = self._chart[self._signal == signal]
        return looking

    def least(self, factors: FloatArray) -> FloatArray:
        """Each chart's smallest factor, ``[C]``; ``factors`` ``[F]`` has one for each signal."""
        smallest: FloatArray = np.minimum.reduceat(factors[self._signal], self._first)
        return smallest


def looks_of(manifest: Manifest) -> ChartSignals:
    """`ChartSignals.of`, a function of its own for `tickover.core.once`."""
    return ChartSignals.of(manifest)
