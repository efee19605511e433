"""VUS-PR: the volume under the precision-recall surface, over widening buffers around the labels."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover_train.evaluation.metrics import Bools, Floats, Ints, label_ranges

VUS_WINDOW: Final = 60
"""Widest label buffer, in ticks."""
VUS_LEVELS: Final = 250
"""Levels at which the precision-recall curve is read; the number in the authors' own implementation."""


def vus_pr(labels: Sequence[Bools], scores: Sequence[npt.ArrayLike], window: int = VUS_WINDOW) -> float:
    """Volume under the precision-recall surface over label buffers of 0 to ``window`` ticks (Paparrizos et al. 2022).

    Series are pooled: one level for all, and a buffer does not reach into the next series. NaN scores rank last.
    For buffer w each anomaly is widened by w // 2 ticks on both sides with weights ``sqrt(1 - distance / w)``;
    recall is ``TP / ((P + sum of weights) / 2)``, at most 1, times the share of widened anomalies that are hit;
    precision is ``TP / predicted``. The area is taken by trapezoids over ``VUS_LEVELS`` levels, even over ranks.
    """
    score = _no_nan(np.concatenate([np.asarray(s, dtype=np.float64) for s in scores]))
    ranges = _ranges(labels)
    if not ranges:
        return float("nan")
    falling = -np.sort(-score)
    # Levels even over ranks, not over values: a few huge scores would leave no level for all the others.
    level = falling[np.linspace(0, len(score) - 1, VUS_LEVELS).astype(int)]
    predicted = np.searchsorted(-falling, -level, side="right")
    # Label weights are 0 away from anomalies: only the ticks near them are summed for each width.
    buffers = _Buffers(ranges, _edges(labels), window)
    reached = np.searchsorted(-level, -score[buffers.near], side="left")
    areas = []
    for width in range(window + 1):
        weight = buffers.weight(width)
        hits = np.cumsum(np.bincount(reached, weights=weight, minlength=VUS_LEVELS + 1))[:VUS_LEVELS]
        # A widened anomaly is hit at a level when its highest score reaches that level.
        peaks = np.sort([score[first : last + 1].max() for first, last in buffers.spans(width)])
        existence = (len(peaks) - np.searchsorted(peaks, level, side="left")) / len(peaks)
        recall = np.minimum(hits / ((buffers.labelled + weight.sum()) / 2.0), 1.0) * existence
        areas.append(_area(recall, hits / predicted))
    return float(np.mean(areas))


def _area(recall: Floats, precision: Floats) -> float:
    """Trapezoids under precision over recall, from (0, 1) on."""
    recall, precision = np.concatenate(([0.0], recall)), np.concatenate(([1.0], precision))
    return float(np.sum(np.diff(recall) * (precision[1:] + precision[:-1]) / 2.0))


def _no_nan(score: Floats) -> Floats:
    """NaN to just under the smallest number, so that ranks are defined."""
    finite = score[np.isfinite(score)]
    return np.nan_to_num(score, nan=(float(finite.min()) - 1.0 if len(finite) else 0.0))


def _edges(labels: Sequence[Bools]) -> Ints:
    """Where each series begins in the pooled array, and where the last one ends."""
    return np.cumsum([0, *(len(label) for label in labels)])


def _ranges(labels: Sequence[Bools]) -> list[tuple[int, int]]:
    """First and last tick of each run of labels, in the pooled array."""
    # Series by series: a range at the end of one and a range at the start of the next are two.
    return [
        (int(offset + first), int(offset + end) - 1)
        for offset, label in zip(_edges(labels), labels, strict=False)
        for first, end in label_ranges(label)
    ]


class _Buffers:
    """The label weights at and around anomalies, for any buffer up to ``window``; only the ticks ``near`` them."""

    def __init__(self, ranges: list[tuple[int, int]], edges: Ints, window: int) -> None:
        self._ranges = ranges
        series = np.searchsorted(edges, [first for first, _ in ranges], side="right") - 1
        self._bounds = [(int(edges[s]), int(edges[s + 1]) - 1) for s in series]
        core = np.concatenate([np.arange(first, last + 1) for first, last in ranges])
        self.labelled = len(core)
        ticks, distance = [], []
        for (first, last), (left, right) in zip(self.spans(window, join=False), ranges, strict=True):
            ticks += [np.arange(first, left), np.arange(right + 1, last + 1)]
            distance += [left - ticks[-2], ticks[-1] - right]
        buffer, self._distance = np.concatenate(ticks), np.concatenate(distance)
        inside, near = (np.zeros(edges[-1], dtype=bool) for _ in range(2))
        inside[core] = True
        near[core] = near[buffer] = True
        self.near = np.flatnonzero(near)
        self._core = inside[self.near].astype(np.float64)
        self._place = np.searchsorted(self.near, buffer)

    def weight(self, width: int) -> Floats:
        """The weights of the ``near`` ticks for one buffer; where buffers overlap they add up, to 1 at most."""
        inside = self._distance <= width // 2
        extra = np.sqrt(1.0 - self._distance[inside] / max(width, 1))
        added = np.bincount(self._place[inside], weights=extra, minlength=len(self.near))
        return np.minimum(self._core + added, 1.0)

    def spans(self, width: int, join: bool = True) -> list[tuple[int, int]]:
        """Widened anomalies, cut at their series' ends; those that meet are one when ``join``."""
        spans: list[tuple[int, int]] = []
        for (first, last), (low, high) in zip(self._ranges, self._bounds, strict=True):
            span = (max(first - width // 2, low), min(last + width // 2, high))
            if join and spans and span[0] <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(span[1], spans[-1][1]))
            else:
                spans.append(span)
        return spans
