"""Faults to inject into recorded ticks, one decorated function per kind.

A kind takes clean values and gives faulty ones; where, when, how long and how strong is decided by ``plan``. Magnitudes
are in units of the signal's own spread (robust, from the clean trips). A user's file adds a kind with::

    from tickover_train.judge.faults import Case, kind

    @kind("offset_and_noise")
    def offset_and_noise(case: Case) -> None:
        case.values[:, case.signal] += case.magnitude * case.spread[case.signal]
"""

import runpy
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from tickover.core.manifest import Signal
from tickover.core.values import DoubleArray, FloatArray
from tickover.errors import ConfigError

MAGNITUDES: Final = (1.0, 2.0, 4.0)
"""In spreads of the signal."""
SHORTEST_S: Final = 120.0
LONGEST_S: Final = 300.0
"""A fault lasts a seeded time between these, or until its trip ends."""
LEAD_S: Final = 60.0
"""No fault begins earlier in a trip: the network warms up."""
ROOM_S: Final = 60.0
"""No fault begins later than this before a trip's end."""
REDUNDANT: Final = 0.9
"""Two signals are redundant when their |correlation| over the clean trips is at least this."""
MAD_TO_SPREAD: Final = 1.4826
"""Median absolute deviation to standard deviation, for a normal distribution."""
LOW_QUANTILE: Final = 0.001

DELAY_S: Final = 5.0
"""Seconds of delay per unit of magnitude."""
SPIKE_SHARE: Final = 0.05
"""Share of ticks with a spike."""
WANDER_S: Final = 60.0
"""Period of the slow wave by which a sensor leaves its twin."""
CONTACT_S: Final = 5.0
"""Mean length of a loose contact's falls, and a third of the mean time between them."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What is usual on the clean trips, each ``[F]``: median, robust spread, and the lowest and highest usual value.

    ``twins`` are the redundant pairs.
    """

    median: DoubleArray
    spread: DoubleArray
    low: DoubleArray
    high: DoubleArray
    twins: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Case:
    """What a kind works on: ``values`` float64 ``[N, F]``, the faulty span, to be changed in place.

    ``before`` ``[M, F]`` holds the clean ticks that came just before it. ``sign`` is +1 or -1.
    """

    values: DoubleArray
    before: DoubleArray
    signal: int
    other: int
    magnitude: float
    sign: float
    period_s: float
    habits: Habits
    rng: np.random.Generator

    @property
    def spread(self) -> DoubleArray:
        """The signals' spreads ``[F]``."""
        return self.habits.spread

    @property
    def amount(self) -> float:
        """Magnitude times sign times the signal's spread, in its unit."""
        return self.sign * self.magnitude * float(self.spread[self.signal])


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault. ``graded``: it has magnitudes. ``needs``: what its signals must be."""

    name: str
    apply: Callable[[Case], None]
    graded: bool = True
    needs: str = "one"


KINDS: Final[dict[str, Kind]] = {}


def kind(
    name: str, *, graded: bool = True, needs: str = "one"
) -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
    """Register a kind of fault. ``needs``: ``one`` signal, ``two`` different ones, or ``twins`` (a redundant pair)."""

    def register(apply: Callable[[Case], None]) -> Callable[[Case], None]:
        if name in KINDS and KINDS[name].apply.__module__ == __name__:
            raise ConfigError(f"faults: expected a new name for a kind of fault, got {name!r}, which exists")
        KINDS[name] = Kind(name, apply, graded, needs)
        return apply

    return register


@kind("bias")
def _bias(case: Case) -> None:
    """A constant offset."""
    case.values[:, case.signal] += case.amount


@kind("drift")
def _drift(case: Case) -> None:
    """An offset that grows evenly to the full magnitude at the end."""
    case.values[:, case.signal] += case.amount * np.linspace(0.0, 1.0, len(case.values))


@kind("stuck", graded=False)
def _stuck(case: Case) -> None:
    """The last good value for ever."""
    case.values[:, case.signal] = case.before[-1, case.signal]


@kind("scale")
def _scale(case: Case) -> None:
    """A wrong gain; at the signal's usual level the error is the magnitude."""
    usual = max(abs(float(case.habits.median[case.signal])), float(case.spread[case.signal]))
    case.values[:, case.signal] *= 1.0 + case.amount / usual


@kind("noise")
def _noise(case: Case) -> None:
    """White noise; the magnitude is its standard deviation."""
    case.values[:, case.signal] += abs(case.amount) * case.rng.standard_normal(len(case.values))


@kind("spikes")
def _spikes(case: Case) -> None:
    """Single wrong ticks, up or down."""
    count = len(case.values)
    hit = case.rng.random(count) < SPIKE_SHARE
    case.values[hit, case.signal] += case.amount * case.rng.choice((-1.0, 1.0), int(hit.sum()))


@kind("delay")
def _delay(case: Case) -> None:
    """The signal arrives late, by ``DELAY_S`` per unit of magnitude."""
    late = round(case.magnitude * DELAY_S / case.period_s)
    column = np.concatenate((case.before[:, case.signal], case.values[:, case.signal]))
    first = len(case.before)
    case.values[:, case.signal] = column[np.maximum(np.arange(first, len(column)) - late, 0)]


@kind("dropout", graded=False)
def _dropout(case: Case) -> None:
    """A loose contact: the reading falls to the lowest usual value, again and again, for some seconds."""
    change = case.period_s / CONTACT_S
    down = False
    for tick in range(len(case.values)):
        down = case.rng.random() < (1.0 - change if down else change / 3.0)
        if down:
            case.values[tick, case.signal] = case.habits.low[case.signal]


@kind("disagreement", needs="twins")
def _disagreement(case: Case) -> None:
    """One of two redundant sensors wanders away from its twin and back."""
    turns = np.arange(len(case.values)) * case.period_s / WANDER_S
    case.values[:, case.signal] += case.amount * np.sin(2.0 * np.pi * turns)


@kind("clipping")
def _clipping(case: Case) -> None:
    """The sensor's range ends too early: cut off at the magnitude under the span's own peak."""
    column = case.values[:, case.signal]
    if np.isfinite(column).any():
        case.values[:, case.signal] = np.minimum(column, np.nanmax(column) - abs(case.amount))


@kind("frozen_bus", graded=False, needs="all")
def _frozen_bus(case: Case) -> None:
    """Every signal repeats its last value."""
    case.values[:] = case.before[-1]


@kind("swapped", graded=False, needs="two")
def _swapped(case: Case) -> None:
    """Two signals take each other's place, each rescaled to the other's usual range."""
    habits, pair = case.habits, (case.signal, case.other)
    share = [(case.values[:, s] - habits.low[s]) / (habits.high[s] - habits.low[s]) for s in pair]
    for signal, other in zip(pair, reversed(share), strict=True):
        case.values[:, signal] = habits.low[signal] + other * (habits.high[signal] - habits.low[signal])


def load_kinds(path: Path) -> None:
    """Run the user's Python file, which registers kinds. It is the user's own choice of code: it runs as they do."""
    if not path.is_file():
        raise ConfigError(f"{path}: expected a Python file, found none")
    known = set(KINDS)
    try:
        runpy.run_path(str(path))
    except ConfigError:
        raise
    except Exception as error:  # whatever the user's code raises is the user's to mend
        raise ConfigError(f"{path}{_line_in(str(path), error)}: {type(error).__name__}: {error}") from error
    if set(KINDS) == known:
        raise ConfigError(f"{path}: expected at least one function decorated with @kind(...), found none")


def _line_in(file: str, error: Exception) -> str:
    """``:`` and the line of ``file`` at which it went wrong; empty when it was not there."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    if isinstance(error, SyntaxError) and error.filename == file:
        lines.append(error.lineno)
    return f":{lines[-1]}" if lines else ""


def habits_of(trips: Sequence[FloatArray]) -> Habits:
    """The signals' habits over clean trips, float32 ``[T, F]`` each; missing values are left out."""
    pooled = np.concatenate(trips).astype(np.float64)
    count = pooled.shape[1]
    median, spread, low, high = (np.zeros(count) for _ in range(4))
    for signal in range(count):
        column = pooled[np.isfinite(pooled[:, signal]), signal]
        if len(column):
            median[signal] = np.median(column)
            spread[signal] = MAD_TO_SPREAD * np.median(np.abs(column - median[signal])) or column.std()
            low[signal], high[signal] = np.quantile(column, (LOW_QUANTILE, 1.0 - LOW_QUANTILE))
    return Habits(median, spread, low, high, _twins(pooled, spread))


def _twins(pooled: DoubleArray, spread: DoubleArray) -> tuple[tuple[int, int], ...]:
    """Pairs whose |correlation| reaches ``REDUNDANT``, over the ticks where both are there."""
    moving = np.flatnonzero(spread > 0)
    found = []
    for place, a in enumerate(moving):
        for b in moving[place + 1 :]:
            both = np.isfinite(pooled[:, a]) & np.isfinite(pooled[:, b])
            x, y = pooled[both, a], pooled[both, b]
            if len(x) > 2 and x.std() > 0 and y.std() > 0 and abs(np.corrcoef(x, y)[0, 1]) >= REDUNDANT:
                found.append((int(a), int(b)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault in one copy of one trip: ticks ``onset`` to ``onset + duration - 1``; the seed makes it repeatable."""

    kind: str
    magnitude: float | None
    trip: int
    onset: int
    duration: int
    signal: int
    other: int
    sign: float
    seed: int


def plan(
    lengths: Sequence[int], habits: Habits, period_s: float, seed: int, kinds: Iterable[str], counts: Counter[str]
) -> list[Injection]:
    """One injection for each kind, magnitude and trip (``lengths`` in ticks), seeded.

    What cannot be injected is counted: ``too_short`` trips, ``no_signal`` that fits (say, no redundant pair).
    """
    planned = []
    for name in kinds:
        for place, magnitude in enumerate(MAGNITUDES if KINDS[name].graded else (None,)):
            for trip, length in enumerate(lengths):
                rng = np.random.default_rng([seed, _stable(name), place, trip])
                found = _place(KINDS[name], magnitude, trip, length, habits, period_s, rng, counts)
                if found is not None:
                    planned.append(found)
    return planned


def _stable(name: str) -> int:
    """The name as a number, the same in every process."""
    return int.from_bytes(name.encode()[:8].ljust(8, b"\0"), "little")


def _place(
    fault: Kind,
    magnitude: float | None,
    trip: int,
    length: int,
    habits: Habits,
    period_s: float,
    rng: np.random.Generator,
    counts: Counter[str],
) -> Injection | None:
    lead, room = round(LEAD_S / period_s), round(ROOM_S / period_s)
    if length < lead + room + 1:
        counts["too_short"] += 1
        return None
    pair = _signals(fault.needs, habits, rng)
    if pair is None:
        counts["no_signal"] += 1
        return None
    wanted = round(rng.uniform(SHORTEST_S, LONGEST_S) / period_s)
    latest = max(length - wanted, lead)
    onset = int(rng.integers(lead, min(latest, length - room) + 1))
    sign = float(rng.choice((-1.0, 1.0)))
    return Injection(
        fault.name, magnitude, trip, onset, min(wanted, length - onset), *pair, sign, int(rng.integers(2**32))
    )


def _signals(needs: str, habits: Habits, rng: np.random.Generator) -> tuple[int, int] | None:
    """The signals for a kind: (signal, other); -1 where there is none to name; None when none fits."""
    moving = np.flatnonzero(habits.spread > 0)
    if needs == "all":
        return (-1, -1) if len(moving) else None
    if needs == "twins":
        if not habits.twins:
            return None
        pair = rng.permutation(habits.twins[rng.integers(len(habits.twins))])
        return int(pair[0]), int(pair[1])
    if len(moving) < (2 if needs == "two" else 1):
        return None
    chosen = rng.choice(moving, size=2 if needs == "two" else 1, replace=False)
    return int(chosen[0]), int(chosen[-1]) if needs == "two" else -1


def inject(
    injection: Injection, trip: FloatArray, signals: Sequence[Signal], habits: Habits, period_s: float
) -> FloatArray | None:
    """The faulty span, float32 ``[duration, F]``, or None when the fault changes nothing.

    Values that leave their signal's plausible range become missing, as in the real pipeline. What was missing stays so.
    """
    first, last = injection.onset, injection.onset + injection.duration
    clean = trip[first:last]
    case = Case(
        values=clean.astype(np.float64),
        before=trip[:first].astype(np.float64),
        signal=injection.signal,
        other=injection.other,
        magnitude=injection.magnitude or 0.0,
        sign=injection.sign,
        period_s=period_s,
        habits=habits,
        rng=np.random.default_rng(injection.seed),
    )
    _apply(KINDS[injection.kind], case)
    faulty = np.asarray(case.values, dtype=np.float32)
    for place, signal in enumerate(signals):
        column = faulty[:, place]
        column[(column < signal.low) | (column > signal.high)] = np.nan
    faulty[np.isnan(clean)] = np.nan
    return None if np.array_equal(faulty, clean, equal_nan=True) else faulty


def _apply(fault: Kind, case: Case) -> None:
    """Change the case's values; ConfigError when the kind fails, with the line."""
    shape = case.values.shape
    try:
        fault.apply(case)
    except Exception as error:  # as in load_kinds
        called = traceback.extract_tb(error.__traceback__)[:2][-1]
        where = f"{called.filename}:{called.lineno}: kind '{fault.name}'"
        raise ConfigError(f"{where}: {type(error).__name__}: {error}") from error
    if np.shape(case.values) != shape:
        raise ConfigError(
            f"kind '{fault.name}': expected values of shape {list(shape)}, got {list(np.shape(case.values))}"
        )
