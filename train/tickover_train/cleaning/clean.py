"""Trips without what their recorder did wrong: freezes are cut out, values that jump and come back are missing.

Slow reads are found and told, too, and an alarm on one is right; they stay in what is learnt
(docs/training.md says why).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.time_format import RELATIVE_BEFORE, iso_seconds
from tickover.errors import LogError
from tickover_train.cleaning.freezes import Freeze, find_freezes
from tickover_train.cleaning.glitches import Glitch, find_glitches
from tickover_train.cleaning.slow_reads import SlowRead, find_slow_reads
from tickover_train.cleaning.spread import robust_spread
from tickover_train.data import SHORTEST_TRIP
from tickover_train.stored.arrays import lengths
from tickover_train.trips import Trip, Trips, sources_of, starts_of, values_of

Defect = Freeze | SlowRead | Glitch
BoolArray = npt.NDArray[np.bool_]
RARE_PER_H: Final = 8.0
"""Jumps an hour; a signal with more of them is one that jumps."""
FEW: Final = 3
"""So many jumps of a signal are rare in trips of any length."""
AFTER_S: Final = 60.0
"""Charts see a defect for so long after its end."""
SHOWN: Final = 10
"""Jumps that are listed on a terminal."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect, for people: its log, where in it (seconds from the trip's start, microseconds of event time), how
    long it lasts, its signal (empty: all of them), and whether the recorder was slow rather than frozen.
    """

    trip: str
    at_s: float
    time: int
    lasts_s: float
    signal: str = ""
    slow: bool = False

    @property
    def words(self) -> str:
        """One line."""
        what = f"{self.signal} jumps and comes back after" if self.signal else "no signal moves for"
        what = "signals are read only every several seconds for" if self.slow else what
        when = "" if self.time < RELATIVE_BEFORE else f" ({iso_seconds(self.time)})"
        return f"{self.trip}: {self.at_s:g} s from its start{when}: {what} {self.lasts_s:g} s"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The trips without their defects, in order, and what was found."""

    trips: Trips
    findings: list[Finding]


def find_defects(trips: Sequence[Trip], period_s: float) -> list[Defect]:
    """All freezes and slow reads, and the glitches of signals that have no more than ``RARE_PER_H`` of them, trip by
    trip.
    """
    values = values_of(trips)
    spread = robust_spread(values)
    glitches = find_glitches(values, spread.astype(np.float32), period_s)
    # A signal that jumps all the time and comes back is a pedal, not a loose contact: that is to be learnt.
    most = max(RARE_PER_H * sum(lengths(values)) * period_s / 3600.0, FEW)
    often = {signal for signal, number in Counter(one.signal for one in glitches).items() if number > most}
    found: list[Defect] = [
        *find_freezes(values, spread, period_s),
        *find_slow_reads(values, spread, period_s),
        *(glitch for glitch in glitches if glitch.signal not in often),
    ]
    return sorted(found, key=lambda defect: (defect.trip, defect.tick))


def clean(trips: Sequence[Trip], names: Sequence[str], period_s: float, into: Trips | None = None) -> Cleaned:
    """Leave freezes and glitches out. What is left of a trip at either side of a freeze is a trip of its own when it
    has ``SHORTEST_TRIP`` ticks; the first tick of a freeze stays, as it is the only one that was read. ``into``: where
    what is left is kept (default: in memory). LogError when nothing is left.
    """
    defects = find_defects(trips, period_s)
    kept: Trips = [] if into is None else into
    of_trip: dict[int, list[Defect]] = {}
    for defect in defects:
        of_trip.setdefault(defect.trip, []).append(defect)
    for number, trip in enumerate(trips):
        for part in _without(trip, of_trip.get(number, []), period_s):
            kept.append(part)
    if not kept:
        raise LogError(
            f"expected trips of at least {SHORTEST_TRIP} ticks of {period_s:g} s between recording freezes, got none "
            f"in {len(trips)} trips, where all signals stand still for long; give logs of driving, or a mapping "
            "(--map) with a shorter ticks.period_s"
        )
    return Cleaned(kept, findings_of(defects, trips, names, period_s))


def findings_of(
    defects: Sequence[Defect], trips: Sequence[Trip], names: Sequence[str], period_s: float
) -> list[Finding]:
    """The defects for people."""
    sources, starts = sources_of(trips), starts_of(trips)
    return [
        Finding(
            sources[defect.trip],
            defect.tick * period_s,
            starts[defect.trip] + _micros(defect.tick, period_s),
            defect.ticks * period_s,
            names[defect.signal] if isinstance(defect, Glitch) else "",
            isinstance(defect, SlowRead),
        )
        for defect in defects
    ]


def natural_ticks(defects: Sequence[Defect], lengths: Sequence[int], period_s: float) -> list[BoolArray]:
    """Per trip, where an alarm that begins is right though no fault was injected: at a defect and shortly after it."""
    after = round(AFTER_S / period_s)
    natural = [np.zeros(length, np.bool_) for length in lengths]
    for defect in defects:
        natural[defect.trip][defect.tick : defect.tick + defect.ticks + after] = True
    return natural


def words(findings: Sequence[Finding], shown: int = SHOWN) -> list[str]:
    """The findings for people: freezes and slow reads first, then as many of the jumps as are ``shown``."""
    freezes = [finding.words for finding in findings if not finding.signal]
    jumps = [finding.words for finding in findings if finding.signal]
    rest = len(jumps) - shown
    return [*freezes, *jumps[:shown], *([f"and {rest} more jumps"] if rest > 0 else [])]


def _without(trip: Trip, defects: Sequence[Defect], period_s: float) -> list[Trip]:
    if not defects:
        return [trip]
    values, cut = trip.values.copy(), np.zeros(len(trip.values), np.bool_)
    for defect in defects:
        span = slice(defect.tick, defect.tick + defect.ticks)
        if isinstance(defect, Glitch):
            values[span, defect.signal] = np.nan
        elif isinstance(defect, Freeze):
            cut[span] = True
    if not cut.any():
        return [replace(trip, values=values, read=trip.values)]
    edges = np.flatnonzero(np.diff(np.concatenate(([True], cut, [True])).astype(np.int8)))
    parts = edges.reshape(-1, 2).tolist()
    return [
        Trip(
            f"{trip.source} from {first * period_s:g} s",
            values[first:last],
            trip.start + _micros(first, period_s),
            None if trip.outside is None else trip.outside[first:last],
            trip.values[first:last],
        )
        for first, last in parts
        if last - first >= SHORTEST_TRIP
    ]


def _micros(ticks: int, period_s: float) -> int:
    return round(ticks * period_s * 1e6)
