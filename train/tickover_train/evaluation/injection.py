"""Where, when, how long and how strongly faults are injected into clean trips, and the faulty ticks that come of it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from tickover.core.manifest import Signal
from tickover.core.values import FloatArray
from tickover_train.evaluation.faults import KINDS, Case, Kind
from tickover_train.evaluation.habits import Habits

MAGNITUDES: Final = (1.0, 2.0, 4.0)
"""In spreads of the signal."""
SHORTEST_S: Final = 120.0
LONGEST_S: Final = 300.0
"""A fault lasts a seeded time between these, or until its trip ends."""
LEAD_S: Final = 60.0
"""No fault begins earlier in a trip: the network warms up."""
ROOM_S: Final = 60.0
"""No fault begins later than this before a trip's end."""


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


class Faulty(NamedTuple):
    """Faulty ticks: ``values`` float32 ``[N, F]``, and those out of range beside them, as in a ``TickBlock``."""

    values: FloatArray
    outside: FloatArray | None


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
                # A generator for each fault: another kind, magnitude or trip changes no other fault.
                rng = np.random.default_rng([seed, _stable(name), place, trip])
                found = _place(KINDS[name], magnitude, trip, length, habits, period_s, rng, counts)
                if found is not None:
                    planned.append(found)
    return planned


def _stable(name: str) -> int:
    """The name as a number, the same in every process (Python's ``hash`` of a text is not)."""
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
) -> Faulty | None:
    """The faulty span, or None when the fault changes nothing.

    What the fault changed is rounded to the signal's resolution. Values that leave their signal's plausible range
    become missing, as in the real pipeline, which keeps them beside the tick. What was missing stays so.
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
    KINDS[injection.kind].change(case)
    # A sensor that counts in whole degrees counts so when it is wrong, too: a fraction would give the fault away.
    changed = case.values != clean
    faulty = np.where(changed, habits.rounded(case.values), clean).astype(np.float32)
    # As the device does: ticks hold no value outside its signal's range, and a fault mends no missing value.
    faulty[np.isnan(clean)] = np.nan
    low, high = (np.array([getattr(signal, end) for signal in signals]) for end in ("low", "high"))
    is_out = (faulty < low) | (faulty > high)
    outside = np.where(is_out, faulty, np.float32(np.nan))
    faulty[is_out] = np.nan
    return None if np.array_equal(faulty, clean, equal_nan=True) else Faulty(faulty, outside if is_out.any() else None)
