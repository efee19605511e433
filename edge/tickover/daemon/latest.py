"""The newest tick of each vehicle, for the score topic and the snapshot command."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tickover.core.pipeline import Output
from tickover.core.values import FloatArray


@dataclass(frozen=True, slots=True)
class _Last:
    """One vehicle's newest scored tick under one detector."""

    time: int
    score: float
    open: bool
    values: FloatArray
    expected: FloatArray


class Live:
    """Keeps the newest scored tick by detector and vehicle; ``names`` are each detector's signals."""

    def __init__(self, names: dict[str, tuple[str, ...]]) -> None:
        self._names = names
        self._last: dict[tuple[str, str], _Last] = {}
        self.ticks = 0
        """Ticks scored since the start."""
        self._asleep = 0

    @property
    def newest(self) -> int:
        """Event time of the newest tick of the vehicles awake, or of the last to go to sleep; microseconds, 0: none.

        A vehicle's newest tick is the one scored last: its clock may have been put back.
        """
        return max((last.time for last in self._last.values()), default=self._asleep)

    def note(self, outputs: list[tuple[str, Output]]) -> None:
        """Take what a pump gave."""
        for detector, output in outputs:
            ticks, scores = output.scored.ticks, output.scored.scores
            if not len(ticks.time):
                continue
            self.ticks += len(ticks.time)
            time = int(ticks.time[-1])
            self._last[detector, ticks.vehicle] = _Last(
                time,
                float(scores.score[-1]),
                bool(output.scored.open[-1]),
                np.array(ticks.values[-1]),
                np.array(scores.expected[-1]),
            )

    def forget(self, vehicle: str) -> None:
        """Drop a vehicle that went to sleep."""
        for detector in self._names:
            last = self._last.pop((detector, vehicle), None)
            self._asleep = last.time if last else self._asleep

    def scores(self, vehicle: str) -> dict[str, float | None]:
        """Detector to newest score; None = every signal missing."""
        found = {detector: self._last.get((detector, vehicle)) for detector in self._names}
        return {detector: _plain(last.score) for detector, last in found.items() if last}

    def snapshot(self, vehicle: str) -> dict[str, Any]:
        """Detector to its newest tick: time, score, open, and per signal observed and expected."""
        shown = {}
        for detector, names in self._names.items():
            last = self._last.get((detector, vehicle))
            if last:
                signals = {
                    name: {"observed": _plain(float(observed)), "expected": _plain(float(expected))}
                    for name, observed, expected in zip(names, last.values, last.expected, strict=True)
                }
                shown[detector] = {
                    "time": last.time,
                    "score": _plain(last.score),
                    "open": last.open,
                    "signals": signals,
                }
        return shown


def _plain(value: float) -> float | None:
    """None for a number that JSON cannot hold."""
    return value if math.isfinite(value) else None
