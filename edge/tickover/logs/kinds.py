"""Columns that are no signals for a detector: by their name, and by how their values go."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tickover.core.values import DoubleArray, FloatArray
from tickover.logs.mapping import Mapping
from tickover.logs.physics import Possible, kind_by_name, possible
from tickover.logs.profile import Series, SignalStatistics

LEAST_STEPS: Final = 20
"""A counter has risen so often, at least."""
COUNTER_SPAN: Final = 0.1
"""A column that only rises, by less than this part of its value, is a counter whatever its name."""
EVEN: Final = 0.02
"""One whose steps differ by less than this part of their mean counts rows or seconds."""
ROLLS: Final = (4, 0.5)
"""A counter that begins again has done so at least that often, and rises by one in at least that share of the steps."""
COARSE: Final = 32
"""A signal spans at least so many steps of a float32 at its level, which is what a model computes in."""
ENDS: Final = (7.0, 14.0, 15.0, 31.0, 63.0, 127.0, 250.0, 255.0, 65_535.0)
"""The last numbers of such counters in messages."""
TURN: Final = 300.0
"""An angle turns from near 360 to near 0: a step of this many degrees."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A column that is left out: what it is, and in words with the line that changes it. ``signal``: its name."""

    column: str
    kind: str
    text: str
    signal: str = ""


WHY: Final = {
    "label": "named like a label, left out: a detector must not learn it",
    "id": "an id, left out",
    "position": "a position, left out: a detector must not learn where a vehicle was",
    "angle": "an angle that turns over, left out: 359 and 1 are neighbours",
    "counter": "a counter that only rises, left out: it soon leaves whatever range it was trained on",
    "rolling": "a counter of messages that begins again at its end, left out",
    "fine": "changes by less than float32 tells apart at its level, left out: an offset brings it near 0",
    "time": "a time, left out",
    "fraction": "the milliseconds of the time, left out; rows of one second count as of its start (join the columns)",
}


def decision(column: str, kind: str, signal: str = "", more: str = "") -> Decision:
    """A column left out for what it is."""
    key = f'[signals.{signal or "NAME"}] column = "{column}"'
    return Decision(column, kind, f"column '{column}': {WHY[kind]}{more}; to keep it: {key} in a mapping", signal)


def decide(
    mapping: Mapping, seen: dict[str, SignalStatistics], series: Sequence[Series], names: Sequence[str]
) -> list[Decision]:
    """The signals that are counters or angles by their values."""
    found = []
    for index, name in enumerate(names):
        column = mapping.signals[name].column or name
        if seen[name].empty or seen[name].constant:
            continue
        if _too_fine(seen[name]):
            found.append(decision(column, "fine", name, f" (offset = {-seen[name].lasting_low:g})"))
            continue
        kind = _kind([one.values[:, index] for one in series], column, mapping.signals[name].unit, seen[name])
        if kind:
            found.append(decision(column, kind, name))
    return found


def _kind(columns: Sequence[FloatArray], name: str, unit: str, seen: SignalStatistics) -> str:
    named = kind_by_name(name, unit)
    steps = [np.diff(column[np.isfinite(column)].astype(np.float64)) for column in columns]
    all_steps = np.concatenate(steps) if steps else np.empty(0)
    if not len(all_steps):
        return ""
    if named == "angle":
        return named
    if seen.low >= -180 and seen.high <= 360 and float(np.abs(all_steps).max()) > TURN and unit in ("°", "deg", ""):
        turns = np.abs(all_steps) > TURN
        usual = float(np.quantile(np.abs(all_steps[~turns]), 0.99)) if (~turns).any() else TURN
        whole = (seen.high > 350 and seen.low < 10) or (seen.high > 170 and seen.low < -170)
        if usual < TURN / 5 and whole:
            return "angle"
    falls = (all_steps < 0).mean()
    rises = int((all_steps > 0).sum())
    if named == "counter" and falls < 0.001 and rises:
        return named
    if possible(name, unit) == Possible() and _rolls(all_steps, seen):
        return "rolling"
    if (all_steps < 0).any() or rises < LEAST_STEPS:
        return ""
    if possible(name, unit) != Possible():
        return ""
    even = all_steps.std() <= EVEN * all_steps.mean()
    far = seen.high - seen.low < COUNTER_SPAN * abs(seen.low)
    return "counter" if even or (far and rises > len(all_steps) / 2) else ""


def _too_fine(seen: SignalStatistics) -> bool:
    """Whether a float32 is too coarse for the changes of a signal far from 0."""
    level = max(abs(seen.lasting_low), abs(seen.lasting_high))
    return 0 < seen.lasting_high - seen.lasting_low < COARSE * float(np.spacing(np.float32(level)))


def _rolls(steps: DoubleArray, seen: SignalStatistics) -> bool:
    """Whether a column counts messages up to its end and begins again: 0 … 15, 0 …, as a frame's counter does."""
    span = seen.high - seen.low
    if seen.high not in ENDS or seen.low not in (0.0, 1.0):
        return False
    rests, rises, falls = (steps == 0).sum(), (steps == 1).sum(), (steps == -span).sum()
    least, share = ROLLS
    return bool(falls >= least and rests + rises + falls >= 0.99 * len(steps) and rises >= share * len(steps))
