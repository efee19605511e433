"""The level of a score that leaves so many false onsets an hour on clean trips."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from tickover_train.evaluation.metrics import Bools, Floats, false_onsets

LEVELS: Final = 1000
"""Levels that the sweep tries: with 300, a step at rare rates can pass over the level that keeps them."""


class Sweep:
    """Clean scores, and how many false onsets each level would give; ``natural``: see ``false_onsets``."""

    def __init__(
        self, scores: Sequence[Floats], merge: int, hours: float, natural: Sequence[Bools] | None = None
    ) -> None:
        self._scores = scores
        self._natural: Sequence[Bools | None] = natural or [None] * len(scores)
        self._merge = merge
        self._hours = hours
        pooled = np.concatenate(scores)
        pooled = -np.sort(-pooled[np.isfinite(pooled)])
        # Levels even over the logarithm of ranks: what decides at rare false alarms is the tail.
        ranks = np.unique(np.geomspace(1, max(len(pooled), 1), LEVELS).astype(int)) - 1
        above = [np.nextafter(pooled[0], np.inf)] if len(pooled) else [1.0]
        self.levels = np.unique(np.concatenate((above, pooled[ranks[ranks < len(pooled)]])))[::-1]
        self._counts: dict[float, int] = {}

    def count(self, level: float) -> int:
        """False onsets at a level."""
        if level not in self._counts:
            pairs = zip(self._scores, self._natural, strict=True)
            self._counts[level] = sum(len(false_onsets(score >= level, self._merge, here)) for score, here in pairs)
        return self._counts[level]

    def level(self, per_hour: float) -> float:
        """The lowest level, coming down from above all scores, that keeps to ``per_hour``."""
        # Counts are not monotone: far below the scores a whole trip is one onset. The first level over the budget ends
        # the search.
        best = float(self.levels[0])
        for level in self.levels:
            if self.count(float(level)) > per_hour * self._hours:
                break
            best = float(level)
        return best
