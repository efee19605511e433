"""Recorded trips as arrays: logs through the device's own readers and ticks, so training sees what the device sees."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
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
from tickover_train.stored.arrays import lengths
from tickover_train.stored.columns import Block, Blocks, quantiles, row_sum
from tickover_train.stored.columns import counts as counts_of
from tickover_train.trips import Trip, Trips, arrange, values_of

SHORTEST_TRIP: Final = 120
"""Trips of fewer ticks are left out: the warm-up and a fault with room on both sides need more."""
MIDDLE: Final = (0.005, 0.995)
"""The scaler rests on the values between these quantiles: a single glitch must not widen it."""
LEAST_SPREAD: Final = 1e-6
"""A signal that spreads less than this, relative to its level, is constant: what it spreads is rounding of float32."""


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
    paths: Sequence[Path],
    mapping: Mapping,
    counts: Counter[str],
    on_bad: Callable[[str], None],
    into: Trips | None = None,
    tell: Callable[[float, str], None] = lambda done, text: None,
) -> Trips:
    """Every trip of at least ``SHORTEST_TRIP`` ticks in the logs; each log starts a new one. Short ones are counted.

    ``into``: where they are kept (default: in memory). ``tell`` hears which log is read, and what share was before it.
    LogError when there is no trip, with what the short ones were and what to change.
    """
    trips: Trips = [] if into is None else into
    short: list[int] = []
    for number, path in enumerate(paths):
        tell(number / len(paths), f"reading {path.name}")
        short += _load(path, mapping, counts, on_bad, trips)
    if not trips:
        raise LogError(too_short(short, len(paths), mapping, counts))
    return trips


def _load(path: Path, mapping: Mapping, counts: Counter[str], on_bad: Callable[[str], None], trips: Trips) -> list[int]:
    """Add the trips of one log as they end, then put them in order, vehicle by vehicle; the lengths of short ones."""
    first, found, short = len(trips), list[tuple[int, int]](), []
    places = list[int]()
    for vehicle, trip in _ending(path, mapping, counts, on_bad):
        found.append((vehicle, len(found)))
        if len(trip.values) >= SHORTEST_TRIP:
            places.append(len(found) - 1)
            trips.append(Trip(path.stem, trip.values, int(trip.time[0]), trip.outside))
        else:
            counts["short_trip"] += 1
            short.append(len(trip.values))
    ranks = {place: rank for rank, (_, place) in enumerate(sorted(found), start=1)}
    names = [f"{path.stem} {ranks[place]}" if len(found) > 1 else path.stem for place in places]
    arrange(trips, first, sorted(range(len(places)), key=lambda at: ranks[places[at]]), names)
    return short


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
    found = list(_ending(path, mapping, counts, on_bad))
    return [trip for _, trip in sorted(found, key=lambda one: one[0])]


def _ending(
    path: Path, mapping: Mapping, counts: Counter[str], on_bad: Callable[[str], None]
) -> Iterator[tuple[int, TickBlock]]:
    """Each trip of a log when it ends, with the number of its vehicle, from 0 in order of its first reading.

    Of each vehicle no more than the trip that it is on is in memory.
    """
    ticks: dict[str, Ticks] = {}
    numbers: dict[str, int] = {}
    open_: dict[str, list[TickBlock]] = {}
    for block in read_log(path, mapping, vehicle=path.stem, counts=counts, on_bad=on_bad):
        if block.vehicle not in ticks:
            ticks[block.vehicle], open_[block.vehicle] = _new_ticks(block.vehicle, mapping), []
            numbers[block.vehicle] = len(numbers)
        for trip in _ended(open_[block.vehicle], ticks[block.vehicle].add(block)):
            yield numbers[block.vehicle], trip
    for vehicle, one in ticks.items():
        ended = _ended(open_[vehicle], one.flush())
        counts.update(one.counts)
        last = join(open_.pop(vehicle))
        yield from ((numbers[vehicle], trip) for trip in (*ended, last) if trip is not None)


def _new_ticks(vehicle: str, mapping: Mapping) -> Ticks:
    grid = mapping.ticks
    period, gap_limit, lateness = (round(s * SECOND) for s in (grid.period_s, grid.gap_limit_s, grid.lateness_s))
    return Ticks(vehicle, mapping.manifest_signals(), period, gap_limit, lateness)


def _ended(parts: list[TickBlock], block: TickBlock) -> list[TickBlock]:
    """The trips that end in a vehicle's next ticks; ``parts`` are those of its open trip, and then of the next one."""
    if not len(block.trip):
        return []
    edges = [0, *(np.flatnonzero(np.diff(block.trip)) + 1), len(block.trip)]
    ended = []
    for a, b in pairwise(edges):
        part = block.part(slice(a, b))
        if parts and parts[-1].trip[-1] != part.trip[0]:
            whole = join(parts)
            assert whole is not None
            ended.append(whole)
            parts.clear()
        parts.append(part)
    return ended


def fit_scaler(trips: Sequence[Trip]) -> Scaler:
    """Mean and standard deviation of the middle 99 % of each signal; a constant signal gets scale 1.

    Far from 0, where neighbouring float32 are more than 1 apart, the scale of a constant signal is several of their
    distances: a scale of 1 would turn the last bit into a fault.
    """
    blocks = Blocks.of(values_of(trips))
    # A column that is never seen has no quantiles; it stays empty between any two.
    low, high = np.nan_to_num(quantiles(blocks, MIDDLE, as_double=True), nan=0.0)
    middle = blocks.each(lambda block: np.clip(block.astype(np.float64), low, high))
    number = np.maximum(counts_of(blocks), 1)
    center = row_sum(middle.each(_or_0)) / number
    scale = np.sqrt(row_sum(middle.each(lambda block: _or_0(block - center) ** 2)) / number)
    least = LEAST_SPREAD * np.maximum(1.0, np.abs(center))
    scale = np.where(scale > least, scale, np.maximum(1.0, least))
    return Scaler(center.astype(np.float32), scale.astype(np.float32))


def _or_0(block: Block) -> Block:
    return np.where(np.isfinite(block), block, 0.0)


def digest(trips: Sequence[Trip]) -> str:
    """SHA-256 over the tick arrays, in order, little-endian float32 with their shapes."""
    sha = hashlib.sha256()
    for values in values_of(trips):
        sha.update(repr(values.shape).encode())
        sha.update(np.ascontiguousarray(values, dtype="<f4").tobytes())
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
    ticks = lengths(values_of(trips))
    order = order[np.argsort([-ticks[i] for i in order], kind="stable")]
    groups: list[list[int]] = [[] for _ in range(deals)]
    held = [0] * deals
    for trip in order:
        group = held.index(min(held))
        groups[group].append(int(trip))
        held[group] += ticks[trip]
    return [sorted(group) for group in groups[:number]]
