"""The values that travel through tickover. All frozen; arrays inside them are not to be written to.

Times are ``int`` microseconds since the Unix epoch, UTC. Array shapes use T ticks, N rows, F signals
and C charts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
TimeArray = npt.NDArray[np.int64]

SECOND = 1_000_000
"""Microseconds in a second."""


@dataclass(frozen=True, slots=True)
class Readings:
    """A block of one vehicle's readings, in order of arrival.

    ``time`` int64 ``[N]``; ``values`` float64 ``[N, F]`` in the order of ``signals``; NaN says that the
    row holds no reading of that signal (an empty cell is no reading, not a missing value).
    """

    vehicle: str
    signals: tuple[str, ...]
    time: TimeArray
    values: DoubleArray


@dataclass(frozen=True, slots=True)
class TickBlock:
    """Consecutive ticks of one vehicle.

    ``time`` int64 ``[T]``, the start of each tick's period; ``trip`` int64 ``[T]``, the vehicle's trip
    number from 0 (a new trip starts where it changes); ``values`` float32 ``[T, F]`` in engineering
    units, in the manifest's order of signals, NaN = missing. ``outside`` float32 ``[T, F]``: of each tick and
    signal the reading furthest out of the plausible range, which is not part of ``values``, NaN where there was none;
    None: none in the whole block.
    """

    vehicle: str
    time: TimeArray
    trip: TimeArray
    values: FloatArray
    outside: FloatArray | None = None

    def part(self, rows: slice) -> "TickBlock":
        """Some of the ticks, as views."""
        outside = None if self.outside is None else self.outside[rows]
        return TickBlock(self.vehicle, self.time[rows], self.trip[rows], self.values[rows], outside)


@dataclass(frozen=True, slots=True)
class Scores:
    """What the model file says of T ticks.

    ``score`` float32 ``[T]`` (1.0 is the alarm limit; NaN when every signal is missing); ``chart``
    float32 ``[T, C]``, each chart divided by its limit; ``expected`` float32 ``[T, F]`` in engineering units.
    """

    score: FloatArray
    chart: FloatArray
    expected: FloatArray

    @property
    def parts(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """All three."""
        return self.score, self.chart, self.expected

    def at(self, place: Any) -> "Scores":
        """Those of some ticks; of a batch, ``[T, B, ...]``, those of one vehicle by ``np.s_[:, row]``."""
        return Scores(self.score[place], self.chart[place], self.expected[place])


@dataclass(frozen=True, slots=True)
class ScoredTicks:
    """Ticks with their scores, and whether an episode is open after each: ``open`` bool ``[T]``."""

    ticks: TickBlock
    scores: Scores
    open: npt.NDArray[np.bool_]

    def at(self, rows: slice) -> "ScoredTicks":
        """Some of the ticks."""
        return ScoredTicks(self.ticks.part(rows), self.scores.at(rows), self.open[rows])


class Phase(StrEnum):
    """Where in its episode an alert stands."""

    START = "start"
    UPDATE = "update"
    END = "end"


class Severity(StrEnum):
    """How bad an episode is, from its peak score so far; ordered from low to high."""

    WARNING = "warning"
    MAJOR = "major"
    CRITICAL = "critical"


class EndReason(StrEnum):
    """Why an episode ended."""

    RECOVERED = "recovered"
    """The charts have cleared, and the signal was seen to be as expected where it had deviated (``core.proven``)."""
    QUIET = "quiet"
    """The charts have cleared, and the vehicle was not back where the signal had deviated."""
    ADAPTED = "adapted"
    NO_DATA = "no_data"
    END_OF_LOG = "end_of_log"
    MODEL_CHANGED = "model_changed"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Contribution:
    """One signal's part in an alert.

    ``chart`` names the signal's largest chart and ``level`` its value over its limit; ``share`` is that
    level's part of the sum over the listed signals' levels (0 to 1); ``direction`` is ``high``, ``low`` or
    ``unsteady``; ``observed`` and ``expected`` are in ``unit``, at the tick of the alert, and in
    an end alert at the episode's peak (None = missing). ``spn`` is the signal's J1939 number, if the model knows it.
    """

    signal: str
    unit: str
    chart: str
    level: float
    share: float
    direction: str
    observed: float | None
    expected: float | None
    spn: int | None = None


@dataclass(frozen=True, slots=True)
class FreezeFrame:
    """The last ticks before an alert; None = missing.

    ``time`` and ``score`` have one entry per tick; ``observed`` and ``expected`` one row per tick, in the order of
    ``signals``.
    """

    signals: tuple[str, ...]
    time: tuple[int, ...]
    score: tuple[float | None, ...]
    observed: tuple[tuple[float | None, ...], ...]
    expected: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Alert:
    """A message about an episode. A pure function of state and input: no clock, no random number.

    ``alert_id`` = UUIDv5(episode id, phase, sequence); ``episode_id`` = UUIDv5(vehicle, model digest,
    detector, first tick's time). ``start`` is the first tick over the limit, ``time`` the tick that caused
    this alert (or when the evidence had been missing for too long), ``end`` the last tick at which an ended
    episode was open. ``missing`` is the share of missing values in the freeze-frame.
    """

    alert_id: str
    episode_id: str
    vehicle: str
    detector: str
    model_digest: str
    phase: Phase
    sequence: int
    severity: Severity
    reason: EndReason | None
    start: int
    time: int
    end: int | None
    score: float | None
    peak: float
    signals: tuple[Contribution, ...]
    freeze_frame: FreezeFrame
    missing: float


@dataclass(frozen=True, slots=True)
class Remark:
    """What a vehicle's judgement says of itself, apart from episodes: ``kind`` is ``budget_broken`` or ``drift``.

    ``active``: it begins; ``time`` is event time. Like an alert, a pure function of state and input.
    """

    kind: str
    active: bool
    time: int
    text: str


@dataclass(frozen=True, slots=True)
class Output:
    """One vehicle's part of a pump: scored ticks (possibly none), the alerts that they and ``advance`` caused, and
    what is to be told apart from these."""

    scored: ScoredTicks
    alerts: list[Alert]
    remarks: list[Remark] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Together:
    """T ticks of each of V vehicles, none with anything to report: their names, ``time`` ``[T, V]``, each one's
    ``trip`` ``[V]``, ``values`` ``[T, V, F]``, and ``scores`` ``[T, V, ...]``."""

    vehicles: list[str]
    time: TimeArray
    trip: TimeArray
    values: FloatArray
    scores: Scores

    def outputs(self) -> Iterator[Output]:
        """The same vehicle by vehicle."""
        shut = np.zeros(len(self.time), np.bool_)
        trips = np.broadcast_to(self.trip, self.time.shape)
        for place, name in enumerate(self.vehicles):
            ticks = TickBlock(name, self.time[:, place], trips[:, place], self.values[:, place])
            yield Output(ScoredTicks(ticks, self.scores.at(np.s_[:, place]), shut), [])


@dataclass(frozen=True, slots=True)
class Pumped:
    """What running closed ticks gave: ``outputs`` of single vehicles, and of those that ran ``together``."""

    outputs: list[Output]
    together: list[Together]

    def each(self) -> list[Output]:
        """All, vehicle by vehicle."""
        return [*(output for many in self.together for output in many.outputs()), *self.outputs]
