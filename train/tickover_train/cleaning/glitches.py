"""Natural glitches in recordings: a value that jumps away from what was just before, and comes back within minutes.

They are found before anything is judged, because a detector that alarms at one is right, though no fault was injected.

A glitch is not an *outlier* of ``tickover inspect`` (``tickover.logs.profile``), and neither can stand for the other.
An outlier lies far beyond all values that last: it sets the plausible range, and no tick holds it any more. A glitch is
measured from the value before it, and is what remains in the ticks, within that range. On the 60 trips of ``kit-obd``
the intake air has 211 outliers, and 84 glitches once the range that they set is applied.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tickover.core.values import DoubleArray, FloatArray
from tickover_train.stored.arrays import each
from tickover_train.stored.columns import Blocks, quantile

LONGEST_S: Final = 180.0
"""A longer excursion is a level that lasts, not a glitch. The intake air of ``kit-obd`` has one of 136 s."""
BEFORE_S: Final = 30.0
"""Where a signal was is its median over this long: the first ticks of an excursion may still be small."""
BACK: Final = 0.25
"""It is back within this part of the jump: a sensor that swings to the other side of its level is not."""
JUMP_QUANTILE: Final = 0.99
JUMP_FACTOR: Final = 5.0
"""A jump is larger than this many times the ``JUMP_QUANTILE`` of the signal's usual tick-to-tick change..."""
JUMP_SPREADS: Final = 3.0
"""... and than this many spreads of the signal."""


@dataclass(frozen=True, slots=True)
class Glitch:
    """An excursion of ``ticks`` ticks from ``tick`` on; ``jump`` is how far it went, in the signal's unit."""

    trip: int
    signal: int
    tick: int
    ticks: int
    jump: float


@dataclass(frozen=True, slots=True)
class GlitchCount:
    """Natural glitches of one signal; ``trips`` is in how many trips, ``largest`` the largest jump, in its unit."""

    signal: str
    glitches: int
    trips: int
    largest: float


def find_glitches(trips: Sequence[FloatArray], spread: FloatArray, period_s: float) -> list[Glitch]:
    """All glitches of the trips, float32 ``[T, F]`` each; ``spread`` ``[F]`` in the signals' units."""
    longest, lead = (max(round(s / period_s), 1) for s in (LONGEST_S, BEFORE_S))
    if not len(trips):
        return []
    least = _least_jumps(trips, spread)
    found = []
    for number, trip in enumerate(trips):
        for signal in np.flatnonzero(least > 0).tolist():
            excursions = _excursions(trip[:, signal], float(least[signal]), longest, lead)
            found += [Glitch(number, signal, *where) for where in excursions]
    return sorted(found, key=lambda glitch: (glitch.trip, glitch.tick))


def count_glitches(glitches: Sequence[Glitch], names: Sequence[str]) -> list[GlitchCount]:
    """The glitches of each signal that has any; ``names`` are the signals' names, in the order of the columns."""
    found = []
    for place, name in enumerate(names):
        own = [glitch for glitch in glitches if glitch.signal == place]
        if own:
            largest = max((glitch.jump for glitch in own), key=abs)
            found.append(GlitchCount(name, len(own), len({glitch.trip for glitch in own}), largest))
    return found


def _least_jumps(trips: Sequence[FloatArray], spread: FloatArray) -> DoubleArray:
    """How far each signal must move from one tick to the next for a jump, ``[F]``."""
    steps = Blocks.of(each(lambda trip: np.abs(np.diff(trip, axis=0)), trips))
    usual = np.nan_to_num(quantile(steps, JUMP_QUANTILE), nan=0.0)
    return np.maximum(JUMP_FACTOR * usual.astype(np.float64), JUMP_SPREADS * spread.astype(np.float64))


def _excursions(column: FloatArray, least: float, longest: int, lead: int) -> list[tuple[int, int, float]]:
    """(tick, ticks, jump) of each excursion: out by ``least`` or more, and back to within ``BACK`` of it.

    ``lead``: over how many ticks the level before it is taken. Jumps within an excursion are part of it.
    """
    step = np.diff(column)
    found: list[tuple[int, int, float]] = []
    for start in np.flatnonzero(np.abs(step) >= least) + 1:
        if found and start <= sum(found[-1][:2]):
            continue
        before = float(np.nanmedian(column[max(start - lead, 0) : start]))
        jump = float(column[start]) - before
        back = np.abs(column[start + 1 : start + 1 + longest] - before) < abs(jump) * BACK
        if abs(jump) >= least and back.any():
            found.append((int(start), int(np.argmax(back)) + 1, jump))
    return found
