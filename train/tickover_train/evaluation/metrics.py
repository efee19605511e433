"""Figures over alarms and labels, as pure functions over arrays. One tick is one row; times are in ticks unless said.

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


def onsets(over: Bools, merge: int) -> Ints:
    """Where an alarm begins: ticks that are over while the tick before is not; onsets < ``merge`` ticks apart are one.

    The first of a run of close onsets stands for all of it. ``over`` bool ``[T]``; returns int ``[K]``.
    """
    edges = np.flatnonzero(over & ~np.concatenate(([False], over[:-1])))
    if len(edges) == 0:
        return edges
    # Compared with the edge just before, also when that one was merged: an alarm that flickers on stays one.
    far = np.concatenate(([True], np.diff(edges) >= merge))
    return edges[far]


def false_onsets(over: Bools, merge: int, natural: Bools | None = None) -> Ints:
    """The onsets on a clean trip that are false: those not where ``natural`` bool ``[T]`` says that something was."""
    begun = onsets(over, merge)
    return begun if natural is None else begun[~natural[begun]]


def false_time(over: Bools, natural: Bools) -> Bools:
    """The ticks ``[T]`` of alarms on a clean trip that are false: those that do not begin where ``natural`` is set."""
    place = np.arange(len(over))
    begins = over & ~np.concatenate(([False], over[:-1]))
    # At each tick the alarm's first one: the latest beginning so far.
    first = np.maximum.accumulate(np.where(begins, place, 0))
    false: Bools = over & ~natural[first]
    return false


def detected_at(over: Bools, first: int, last: int, merge: int) -> int | None:
    """The tick of the first onset within ``[first, last]``, or None: then the event is missed.

    An alarm that is already on at ``first`` does not detect the event, and an onset that belongs to an older one
    (closer than ``merge``) does not either: an alarm that is always on detects nothing.
    """
    begun = onsets(over, merge)
    inside = begun[(begun >= first) & (begun <= last)]
    return int(inside[0]) if len(inside) else None


def label_ranges(labels: Bools) -> Ints:
    """First and one-past-last tick of each labelled range, ``[K, 2]``."""
    steps = np.diff(np.concatenate(([0], labels.astype(np.int8), [0])))
    return np.stack((np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)), axis=1)


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
    # Pooled and not averaged over series: a series without an anomaly has no recall of its own.
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
    """The NAB score, standard profile: 100 = perfect, 0 = a detector that detects nothing.

    Lavin and Ahmad 2015, in the form of SKAB's table: a window of ``window`` ticks begins at each change point (a
    later window is cut where the earlier one ends), the first detection inside it earns ``_nab_reward``, each one
    outside costs 0.11 and each empty window 1. ``changes`` and ``detections`` hold tick numbers, an array per series.
    """
    total = 0.0
    count = 0
    for truth, found in zip(changes, detections, strict=True):
        outside = np.ones(len(found), dtype=bool)
        # Where the window before this one ends: overlapping windows are cut there.
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
    # Scaled so that a detector without any detection scores 0: it earns NAB_MISSED at every change.
    worst = NAB_MISSED * count
    return 100.0 * (total - worst) / (NAB_TRUE * count - worst) if count else 0.0


def _nab_reward(position: float) -> float:
    """The reward of a detection at ``position`` (0 = window's start, 1 = its end), from NAB_TRUE to NAB_FALSE."""
    bend = np.tanh(np.pi * (position - 0.5)) / np.tanh(np.pi / 2)
    return float((NAB_TRUE - NAB_FALSE) / 2 * (1 - bend) + NAB_FALSE)
