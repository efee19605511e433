"""Recorded trips as arrays: logs through the device's own readers and ticks, so training sees what the device sees."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from tickover.core.resample import Ticks, join
from tickover.core.values import SECOND, FloatArray, TickBlock
from tickover.errors import LogError
from tickover.logs.formats.registry import log_suffixes
from tickover.logs.mapping import Mapping
from tickover.logs.packed import PACKED
from tickover.logs.reading import read_log

SHORTEST_TRIP: Final = 120
"""Trips of fewer ticks are left out: the warm-up and a fault with room on both sides need more."""
MIDDLE: Final = (0.005, 0.995)
"""The scaler rests on the values between these quantiles: a single glitch must not widen it."""
LEAST_SPREAD: Final = 1e-6
"""A signal that spreads less than this, relative to its level, is constant: what it spreads is rounding of float32."""


@dataclass(frozen=True, slots=True)
class Trip:
    """One trip: ``values`` float32 ``[T, F]`` in engineering units, NaN = missing.

    ``source`` names its log, and its place there when the log holds several. ``start``: event time of the first tick,
    microseconds. ``outside``: as in a ``TickBlock``. ``read``: the values with what was left out of them as a defect;
    None: nothing was.
    """

    source: str
    values: FloatArray
    start: int = 0
    outside: FloatArray | None = None
    read: FloatArray | None = None

    def block(self, period: int) -> TickBlock:
        """The trip as ticks of ``period`` microseconds."""
        time = self.start + period * np.arange(len(self.values), dtype=np.int64)
        return TickBlock(self.source, time, np.zeros(len(time), np.int64), self.values, self.outside)

    def block_as_read(self, period: int) -> TickBlock:
        """The same with what was left out: a sensor that jumped was read all the same."""
        return self.block(period) if self.read is None else replace(self, values=self.read).block(period)


@dataclass(frozen=True, slots=True)
class Scaler:
    """``normalised = (x - center) / scale``, both float32 ``[F]``."""

    center: FloatArray
    scale: FloatArray


def expand(paths: Iterable[Path]) -> list[Path]:
    """Files as they are, folders as the logs inside them in order of name; LogError when nothing is there."""
    logs: list[Path] = []
    suffixes = tuple(suffix + packed for suffix in log_suffixes() for packed in ("", *PACKED))
    for path in paths:
        if path.is_dir():
            found = sorted(item for item in path.rglob("*") if item.name.lower().endswith(suffixes))
            if not found:
                raise LogError(f"{path}: expected logs ({', '.join(log_suffixes())}), got none")
            logs += found
        else:
            logs.append(path)
    return logs


def load_trips(
    paths: Sequence[Path], mapping: Mapping, counts: Counter[str], on_bad: Callable[[str], None]
) -> list[Trip]:
    """Every trip of at least ``SHORTEST_TRIP`` ticks in the logs; each log starts a new one. Short ones are counted.

    LogError when there is none, with what they were and what to change.
    """
    trips: list[Trip] = []
    short: list[int] = []
    for path in paths:
        found = trips_of_log(path, mapping, counts, on_bad)
        for number, trip in enumerate(found, start=1):
            if len(trip.values) >= SHORTEST_TRIP:
                source = f"{path.stem} {number}" if len(found) > 1 else path.stem
                trips.append(Trip(source, trip.values, int(trip.time[0]), trip.outside))
            else:
                counts["short_trip"] += 1
                short.append(len(trip.values))
    if not trips:
        raise LogError(too_short(short, len(paths), mapping, counts))
    return trips


def too_short(lengths: Sequence[int], logs: int, mapping: Mapping, counts: Counter[str]) -> str:
    """Why nothing is left of some logs whose trips have ``lengths`` ticks, and what to change."""
    period, gap = mapping.ticks.period_s, mapping.ticks.gap_limit_s
    where = f"{logs} log{'s' if logs > 1 else ''}"
    if not lengths:
        return (
            f"expected trips of at least {SHORTEST_TRIP} ticks, got {where} without a reading that the mapping keeps "
            f"(dropped: {dropped_words(counts)}); see `tickover inspect`, or correct the mapping (--map)"
        )
    return (
        f"expected trips of at least {SHORTEST_TRIP} ticks of {period:g} s ({SHORTEST_TRIP * period:g} s), got none in "
        f"{where}: the longest of {len(lengths)} has {max(lengths)} (dropped: {dropped_words(counts)}); give longer "
        f"logs, or a mapping (--map) with a shorter ticks.period_s, or with a longer ticks.gap_limit_s where pauses "
        f"of over {gap:g} s cut trips in pieces"
    )


def dropped_words(counts: Counter[str]) -> str:
    """What readings and trips were dropped for, as ``late 3, short_trip 1``."""
    named = ((name, count) for name, count in sorted(counts.items()) if count and name != "rows")
    return ", ".join(f"{name} {count:,}" for name, count in named) or "nothing"


def trips_of_log(path: Path, mapping: Mapping, counts: Counter[str], on_bad: Callable[[str], None]) -> list[TickBlock]:
    """The trips of one log, of any length, vehicle by vehicle; what readings were dropped for is added to ``counts``.

    LogError when the log cannot be read.
    """
    ticks: dict[str, Ticks] = {}
    blocks: dict[str, list[TickBlock]] = {}
    for block in read_log(path, mapping, vehicle=path.stem, counts=counts, on_bad=on_bad):
        if block.vehicle not in ticks:
            ticks[block.vehicle] = _new_ticks(block.vehicle, mapping)
        blocks.setdefault(block.vehicle, []).append(ticks[block.vehicle].add(block))
    for vehicle, one in ticks.items():
        blocks[vehicle].append(one.flush())
        counts.update(one.counts)
    return [trip for parts in blocks.values() for trip in _split(parts)]


def _new_ticks(vehicle: str, mapping: Mapping) -> Ticks:
    grid = mapping.ticks
    period, gap_limit, lateness = (round(s * SECOND) for s in (grid.period_s, grid.gap_limit_s, grid.lateness_s))
    return Ticks(vehicle, mapping.manifest_signals(), period, gap_limit, lateness)


def _split(parts: list[TickBlock]) -> list[TickBlock]:
    """Consecutive blocks of one vehicle, cut where its trip number changes."""
    whole = join(parts)
    if whole is None:
        return []
    edges = [0, *(np.flatnonzero(np.diff(whole.trip)) + 1), len(whole.trip)]
    return [whole.part(slice(a, b)) for a, b in pairwise(edges) if b > a]


def fit_scaler(trips: Sequence[Trip]) -> Scaler:
    """Mean and standard deviation of the middle 99 % of each signal; a constant signal gets scale 1.

    Far from 0, where neighbouring float32 are more than 1 apart, the scale of a constant signal is several of their
    distances: a scale of 1 would turn the last bit into a fault.
    """
    values = np.concatenate([trip.values for trip in trips]).astype(np.float64)
    low, high = _nan_quantiles(values, MIDDLE)
    middle = np.clip(values, low, high)
    seen = np.isfinite(middle)
    number = np.maximum(seen.sum(0), 1)
    center = np.where(seen, middle, 0.0).sum(0) / number
    scale = np.sqrt((np.where(seen, middle - center, 0.0) ** 2).sum(0) / number)
    least = LEAST_SPREAD * np.maximum(1.0, np.abs(center))
    scale = np.where(scale > least, scale, np.maximum(1.0, least))
    return Scaler(center.astype(np.float32), scale.astype(np.float32))


def _nan_quantiles(values: np.ndarray, q: tuple[float, float]) -> np.ndarray:
    """Quantiles per column, shape ``[2, F]``; a column that is never seen gives 0."""
    result = np.zeros((2, values.shape[1]))
    for column in range(values.shape[1]):
        seen = values[np.isfinite(values[:, column]), column]
        if len(seen):
            result[:, column] = np.quantile(seen, q)
    return result


def digest(trips: Sequence[Trip]) -> str:
    """SHA-256 over the tick arrays, in order, little-endian float32 with their shapes."""
    sha = hashlib.sha256()
    for trip in trips:
        sha.update(repr(trip.values.shape).encode())
        sha.update(np.ascontiguousarray(trip.values, dtype="<f4").tobytes())
    return sha.hexdigest()


def folds(trips: Sequence[Trip], number: int, held_out: float, seed: int) -> list[list[int]]:
    """Disjoint sets of trip numbers to hold out, one per fold, of about ``held_out`` of the ticks at most each.

    Trips are dealt, longest first with seeded ties, to the fold with the fewest ticks. With ``number`` folds of which
    the first is the product's, ``number * held_out`` may not exceed 1: folds are then smaller.
    """
    # Dealt to more groups than there are folds: the rest is training data of every fold.
    deals = max(number, round(1.0 / held_out))
    if len(trips) < 2:
        return [[0]]
    deals = min(deals, len(trips))
    order = np.random.default_rng([seed, 1]).permutation(len(trips))
    order = order[np.argsort([-len(trips[i].values) for i in order], kind="stable")]
    groups: list[list[int]] = [[] for _ in range(deals)]
    for trip in order:
        min(groups, key=lambda group: sum(len(trips[i].values) for i in group)).append(int(trip))
    return [sorted(group) for group in groups[:number]]
