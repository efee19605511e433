"""VUS-PR against a slow, obvious one."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tickover_train.evaluation.vus_pr import VUS_LEVELS, vus_pr


def slow_vus_pr(labels, scores, window):
    """Paparrizos et al. 2022, one tick at a time, for series that are pooled."""
    pooled = np.concatenate(scores)
    levels = sorted(pooled, reverse=True)
    levels = [levels[int(i)] for i in np.linspace(0, len(levels) - 1, VUS_LEVELS)]
    areas = []
    for width in range(window + 1):
        weights, spans = [], []
        for label, score in zip(labels, scores, strict=True):
            weight = [1.0 if flag else 0.0 for flag in label]
            runs, inside = [], False
            for tick, flag in enumerate(label):
                if flag and not inside:
                    runs.append([tick, tick])
                if flag:
                    runs[-1][1] = tick
                inside = flag
            for tick in range(len(label)):
                for first, last in runs:
                    away = first - tick if tick < first else tick - last
                    if 0 < away <= width // 2:
                        weight[tick] += math.sqrt(1 - away / width)
                weight[tick] = min(weight[tick], 1.0)
            last_of_joined = -1
            for first, last in runs:
                ticks = range(max(first - width // 2, 0), min(last + width // 2, len(label) - 1) + 1)
                if ticks[0] <= last_of_joined:
                    spans[-1] += [float(score[tick]) for tick in ticks]
                else:
                    spans.append([float(score[tick]) for tick in ticks])
                last_of_joined = ticks[-1]
            weights += weight
        positive = sum(int(label.sum()) for label in labels)
        curve = [(0.0, 1.0)]
        for level in levels:
            alarms = [value >= level for value in pooled]
            hits = sum(w for w, alarm in zip(weights, alarms, strict=True) if alarm)
            found = sum(any(value >= level for value in span) for span in spans) / len(spans)
            curve.append((min(hits / ((positive + sum(weights)) / 2), 1.0) * found, hits / sum(alarms)))
        areas.append(sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(curve)))
    return sum(areas) / len(areas)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(0, 9))
@example(0, 3, 4)  # widened anomalies that touch but do not overlap stay two, as in the authors' code
def test_vus_pr_equals_the_slow_oracle(seed, series, window):
    rng = np.random.default_rng(seed)
    labels = [np.repeat(rng.random(6) < 0.4, 7) for _ in range(series)]
    labels[0][:3] = True
    scores = [np.round(rng.random(len(label)) + 0.5 * label, 2) for label in labels]
    assert vus_pr(labels, scores, window) == pytest.approx(slow_vus_pr(labels, scores, window), abs=1e-9)


def test_vus_pr_ranks_perfect_random_and_nan():
    rng = np.random.default_rng(0)
    label = np.zeros(4000, dtype=bool)
    label[1000:1400] = True
    assert vus_pr([label], [label * 1.0], 0) > 0.99
    assert 0.05 < vus_pr([label], [rng.random(4000)], 60) < 0.2
    score = label * 1.0
    score[~label] = np.nan
    assert vus_pr([label], [score], 0) > 0.99
    assert math.isnan(vus_pr([np.zeros(9, dtype=bool)], [np.ones(9)]))
