"""Kinds of faults to inject into recorded ticks, one decorated function each.

A kind takes clean values and gives faulty ones; where, when, how long and how strong is decided by ``injection``.
Magnitudes are in units of the signal's own spread (robust, from the clean trips). A user's file adds a kind with::

    from tickover_train.evaluation.faults import Case, kind

    @kind("offset_and_noise")
    def offset_and_noise(case: Case) -> None:
        case.values[:, case.signal] += case.magnitude * case.spread[case.signal]
"""

import runpy
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from tickover.core.values import DoubleArray
from tickover.errors import ConfigError
from tickover_train.evaluation.habits import Habits

DELAY_S: Final = 5.0
"""Seconds of delay per unit of magnitude."""
SPIKE_SHARE: Final = 0.05
"""Share of ticks with a spike."""
WANDER_S: Final = 60.0
"""Period of the slow wave by which a sensor leaves its twin."""
CONTACT_S: Final = 5.0
"""Mean length of a loose contact's falls, and a third of the mean time between them."""


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
    """One kind of fault. ``graded``: it has magnitudes. ``needs``: what its signals must be, see ``kind``."""

    name: str
    apply: Callable[[Case], None]
    graded: bool = True
    needs: str = "one"

    def change(self, case: Case) -> None:
        """Change the case's values; ConfigError with the line when the kind's function fails."""
        shape = case.values.shape
        try:
            self.apply(case)
        except Exception as error:  # as in load_kinds
            # The first frame is this one, the second the kind's own function: the line that its author looks for.
            called = traceback.extract_tb(error.__traceback__)[:2][-1]
            where = f"{called.filename}:{called.lineno}: kind '{self.name}'"
            raise ConfigError(f"{where}: {type(error).__name__}: {error}") from error
        if np.shape(case.values) != shape:
            raise ConfigError(
                f"kind '{self.name}': expected values of shape {list(shape)}, got {list(np.shape(case.values))}"
            )


KINDS: Final[dict[str, Kind]] = {}


def kind(
    name: str, *, graded: bool = True, needs: str = "one"
) -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
    """Register a kind of fault.

    ``needs``: ``one`` signal, ``two`` different ones, ``twins`` (a redundant pair) or ``all``.
    """

    def register(apply: Callable[[Case], None]) -> Callable[[Case], None]:
        # A user's file may be run twice in one process and may replace its own kinds, but not those that figures are
        # compared by.
        if name in KINDS and KINDS[name].apply.__module__ == __name__:
            raise ConfigError(f"faults: expected a new name for a kind of fault, got {name!r}, which is taken")
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
    """The signal repeats its last value before the fault."""
    case.values[:, case.signal] = case.before[-1, case.signal]


@kind("scale")
def _scale(case: Case) -> None:
    """A wrong gain; at the signal's usual level the error is the magnitude."""
    # A signal that is usually near 0 would get a huge gain: its level counts as one spread at least.
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
    """A loose contact: the reading falls to the lowest usual value for some seconds, again and again."""
    # A Markov chain of two states: their lengths are exponential; the contact holds three times as long as it fails.
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


@kind("several", needs="two")
def _several(case: Case) -> None:
    """Two signals are offset at once, as by a shared supply or a wrong reference."""
    for signal in (case.signal, case.other):
        case.values[:, signal] += case.sign * case.magnitude * case.spread[signal]


@kind("frozen_bus", graded=False, needs="all")
def _frozen_bus(case: Case) -> None:
    """Every signal repeats its last value."""
    case.values[:] = case.before[-1]


@kind("swapped", graded=False, needs="two")
def _swapped(case: Case) -> None:
    """Two signals take each other's place, each rescaled to the other's usual range."""
    # Without rescaling the values would leave their plausible range and become missing, which is another kind of fault.
    habits, pair = case.habits, (case.signal, case.other)
    share = [(case.values[:, s] - habits.low[s]) / (habits.high[s] - habits.low[s]) for s in pair]
    for signal, other in zip(pair, reversed(share), strict=True):
        case.values[:, signal] = habits.low[signal] + other * (habits.high[signal] - habits.low[signal])


def load_kinds(path: Path) -> None:
    """Run the user's Python file, which registers kinds; ConfigError with the line when it fails or registers none.

    The file runs with the user's own rights: it is their choice of code.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: expected a Python file, got none")
    known = set(KINDS)
    try:
        runpy.run_path(str(path))
    except ConfigError:
        raise
    except Exception as error:  # the user's code may raise anything, and the user is told where
        raise ConfigError(f"{path}{_line_in(str(path), error)}: {type(error).__name__}: {error}") from error
    if set(KINDS) == known:
        raise ConfigError(f"{path}: expected at least one function decorated with @kind(...), got none")


def _line_in(file: str, error: Exception) -> str:
    """``:`` and the line of ``file`` at which the error arose; empty when it was elsewhere."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    if isinstance(error, SyntaxError) and error.filename == file:
        lines.append(error.lineno)
    return f":{lines[-1]}" if lines else ""
