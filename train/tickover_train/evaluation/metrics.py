"""What is measured, as pure functions over arrays. One tick is one row; times are counted in ticks unless said.

Point-adjusted F1 is left out on purpose: random scores reach 0.96 with it (Kim et al. 2022, "Towards a rigorous
evaluation of time-series anomaly detection").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MERGE_S: Final = 60.0
"""Onsets closer than this are one (docs/evaluation.md)."""
VUS_WINDOW: Final = 60
"""Widest label buffer of VUS-PR, in ticks."""
VUS_LEVELS: Final = 250
"""Levels at which the precision-recall curve is read; the number in the authors' own implementation."""


def onsets(over: Bools, merge: int) -> Ints:
    """Where an alarm begins: ticks that are over while the tick before is not; onsets < ``merge`` ticks apart are one.

    The first of a run of close onsets stands for all of it. ``over`` bool ``[T]``; returns int ``[K]``.
    """
    edges = np.flatnonzero(over & ~np.concatenate(([False], over[:-1])))
    if len(edges) == 0:
        return edges
    far = np.concatenate(([True], np.diff(edges) >= merge))
    return edges[far]


def caught_at(over: Bools, first: int, last: int, merge: int) -> int | None:
    """The tick of the first onset within ``[first, last]``, or None: then the event is missed.

    An alarm that is already on at ``first`` tells nobody of the new event, so it does not count as caught, and an
    onset that belongs to an older one (closer than ``merge``) does not either. That way an alarm that is always on
    catches nothing.
    """
    begun = onsets(over, merge)
    inside = begun[(begun >= first) & (begun <= last)]
    return int(inside[0]) if len(inside) else None


@dataclass(frozen=True, slots=True)
class Points:
    """Point scores, pooled over all ticks: F1, false-alarm rate and missed-alarm rate as SKAB defines them."""

    f1: float
    far: float
    mar: float


def points(labels: Sequence[Bools], alarms: Sequence[Bools]) -> Points:
    """F1 = TP / (TP + (FP + FN) / 2), FAR = FP / (FP + TN), MAR = FN / (FN + TP) over all series together.

    The definitions of the SKAB benchmark (Katser and Kozitsin 2020); rates are shares, not percents.
    """
    truth, alarm = np.concatenate(labels), np.concatenate(alarms)
    tp = int((truth & alarm).sum())
    fp = int((~truth & alarm).sum())
    fn = int((truth & ~alarm).sum())
    tn = int((~truth & ~alarm).sum())
    return Points(_ratio(tp, tp + (fp + fn) / 2), _ratio(fp, fp + tn), _ratio(fn, fn + tp))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


NAB_TRUE: Final = 1.0
NAB_FALSE: Final = -0.11
NAB_MISSED: Final = -1.0
"""The standard profile (Lavin and Ahmad 2015)."""


def nab(changes: Sequence[Ints], detections: Sequence[Ints], window: int) -> float:
    """The NAB score, standard profile, 100 = perfect, 0 = a detector that never speaks.

    Lavin and Ahmad 2015, in the form of SKAB's table: a window of ``window`` ticks begins at each change point (a
    later window is cut where the earlier one ends), the first detection inside it earns ``_nab_reward``, each one
    outside costs 0.11 and each empty window 1. ``changes`` and ``detections`` hold tick numbers, an array per series.
    """
    total = 0.0
    count = 0
    for truth, found in zip(changes, detections, strict=True):
        outside = np.ones(len(found), dtype=bool)
        free = -1
        for change in truth:
            first, last = max(int(change), free), int(change) + window
            inside = (found >= first) & (found <= last)
            outside &= ~inside
            hit = found[inside]
            total += _nab_reward((int(hit[0]) - first) / max(last - first, 1)) if len(hit) else NAB_MISSED
            free = last
        total += NAB_FALSE * int(outside.sum())
        count += len(truth)
    worst = NAB_MISSED * count
    return 100.0 * (total - worst) / (NAB_TRUE * count - worst) if count else 0.0


def _nab_reward(position: float) -> float:
    """The reward of a detection at ``position`` (0 = window's start, 1 = its end), from NAB_TRUE to NAB_FALSE."""
    bend = np.tanh(np.pi * (position - 0.5)) / np.tanh(np.pi / 2)
    return float((NAB_TRUE - NAB_FALSE) / 2 * (1 - bend) + NAB_FALSE)


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
    level = falling[np.linspace(0, len(score) - 1, VUS_LEVELS).astype(int)]
    predicted = np.searchsorted(-falling, -level, side="right")
    buffers = _Buffers(ranges, _limits(labels), window)
    reached = np.searchsorted(-level, -score[buffers.near], side="left")
    areas = []
    for width in range(window + 1):
        weight = buffers.weight(width)
        hits = np.cumsum(np.bincount(reached, weights=weight, minlength=VUS_LEVELS + 1))[:VUS_LEVELS]
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


def _limits(labels: Sequence[Bools]) -> Ints:
    """Where each series begins in the pooled array, and where the last one ends."""
    return np.cumsum([0, *(len(label) for label in labels)])


def _ranges(labels: Sequence[Bools]) -> list[tuple[int, int]]:
    """First and last tick of each run of labels, in the pooled array."""
    found = []
    for offset, label in zip(_limits(labels), labels, strict=False):
        padded = np.concatenate(([0], np.asarray(label, dtype=np.int8), [0]))
        steps = np.diff(padded)
        starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1
        found += [(int(offset + a), int(offset + b)) for a, b in zip(starts, ends, strict=True)]
    return found


class _Buffers:
    """The label weights at and around anomalies, for any buffer up to ``window``; only the ticks ``near`` them."""

    def __init__(self, ranges: list[tuple[int, int]], limits: Ints, window: int) -> None:
        self._ranges = ranges
        series = np.searchsorted(limits, [first for first, _ in ranges], side="right") - 1
        self._bounds = [(int(limits[s]), int(limits[s + 1]) - 1) for s in series]
        core = np.concatenate([np.arange(first, last + 1) for first, last in ranges])
        self.labelled = len(core)
        ticks, distance = [], []
        for (first, last), (left, right) in zip(self.spans(window, join=False), ranges, strict=True):
            ticks += [np.arange(first, left), np.arange(right + 1, last + 1)]
            distance += [left - ticks[-2], ticks[-1] - right]
        buffer, self._distance = np.concatenate(ticks), np.concatenate(distance)
        inside, near = (np.zeros(limits[-1], dtype=bool) for _ in range(2))
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
