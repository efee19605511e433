"""What the readings of a few seconds say of each sensor, apart from any model: how often it was there, out of range,
off its constant, and whether it moved.

Ticks are gathered in *bins* of ``BIN_S`` of event time within one trip. All numbers are integers, so that it does not
matter how ticks are cut into blocks. T ticks, K bins, F signals.
"""

from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from tickover.core.chart_signals import BoolArray
from tickover.core.manifest import Manifest, Signal
from tickover.core.values import SECOND, DoubleArray, FloatArray, TickBlock, TimeArray

BIN_S: Final = 5
CONSTANT_DIGITS: Final = 1e-6
"""A value that differs from the constant by less than this part of it is the constant, in float32."""

STORED: Final = ("<i8",) * 7 + ("?", "<f4", "<f4")
"""The types of the arrays of a bin in saved state."""
IntArray = npt.NDArray[np.int64]


class Bins(NamedTuple):
    """K bins in order of time. ``time`` ``[K]`` is their first tick's, ``last`` ``[K]`` their last's, ``trip`` ``[K]``.

    ``[K, F]``: ``present`` and ``outside`` count the ticks with a plausible value and with a reading out of range (and
    ``plausible`` those with the first alone), ``departed`` those with a value that is not the constant; ``moved`` says
    whether a value differs from the one before it, ``worst`` is the reading furthest out of range (NaN: none),
    ``value`` the newest plausible value so far in the vehicle's life.
    """

    time: TimeArray
    last: TimeArray
    trip: TimeArray
    present: IntArray
    plausible: IntArray
    outside: IntArray
    departed: IntArray
    moved: BoolArray
    worst: FloatArray
    value: FloatArray

    def part(self, rows: slice) -> "Bins":
        """Some of the bins."""
        return Bins(*(array[rows] for array in self))  # type: ignore[arg-type]

    def copied(self) -> "Bins":
        """The same, without a hold on the arrays that they are views of."""
        return Bins(*(array.copy() for array in self))  # type: ignore[arg-type]

    def encode(self) -> list[bytes]:
        """The arrays as little-endian bytes."""
        arrays: tuple[npt.NDArray[Any], ...] = self
        return [packed(array.astype(kind)) for array, kind in zip(arrays, STORED, strict=True)]

    @classmethod
    def decode(cls, arrays: list[bytes], signals: int) -> "Bins":
        """One bin that :meth:`encode` wrote; ValueError when it is damaged."""
        shapes = [(1,)] * 3 + [(1, signals)] * (len(STORED) - 3)
        flat = [unpacked(part, kind, shape[-1]) for part, kind, shape in zip(arrays, STORED, shapes, strict=True)]
        kinds = (np.int64,) * 7 + (np.bool_, np.float32, np.float32)
        return cls(*(a.astype(kind).reshape(shape) for a, kind, shape in zip(flat, kinds, shapes, strict=True)))

    def then(self, later: "Bins") -> "Bins":
        """These bins and later ones."""
        pairs: Any = zip(self, later, strict=True)
        return Bins(*(np.concatenate(pair) for pair in pairs))


class Binner:
    """Summarises ticks into bins; ``width`` and ``period`` in microseconds."""

    def __init__(self, signals: tuple[Signal, ...], period: int) -> None:
        self.period = period
        # A multiple of the period, so that the tick that fills a bin is known by its time alone.
        self.width = max(1, -(-BIN_S * SECOND // period)) * period
        self._low = np.array([signal.low for signal in signals])
        self._high = np.array([signal.high for signal in signals])
        constants = [signal.constant for signal in signals]
        self._watched = np.flatnonzero([constant is not None for constant in constants])
        self._constant = np.array([constants[place] or 0.0 for place in self._watched], np.float32)
        self._tolerance = CONSTANT_DIGITS * np.abs(self._constant)

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """As a model's manifest wants them."""
        return cls(manifest.signals, manifest.period)

    def starts(self, ticks: TickBlock) -> IntArray:
        """The tick at which each of the block's bins starts; the first starts at 0."""
        key = ticks.time // self.width
        changed = (key[1:] != key[:-1]) | (ticks.trip[1:] != ticks.trip[:-1])
        return np.concatenate([np.zeros(1, np.int64), np.flatnonzero(changed) + 1])

    def fills(self, time: int) -> bool:
        """Whether the tick at this time is the last that its bin can have."""
        return (time + self.period) % self.width == 0

    @property
    def watches(self) -> bool:
        """Whether any signal has a constant."""
        return len(self._watched) > 0

    def off_constant(self, values: FloatArray) -> BoolArray:
        """Which values ``[..., F]`` are not the constant of their signal; of a signal without one, none."""
        off = np.zeros(values.shape, np.bool_)
        off[..., self._watched] = np.abs(values[..., self._watched] - self._constant) > self._tolerance  # NaN: false
        return off

    def summarise(self, ticks: TickBlock, starts: IntArray, value: FloatArray) -> Bins:
        """The block's bins; ``value`` ``[F]`` is each signal's newest plausible value before, NaN: none."""
        ends = np.append(starts[1:], len(ticks.time)) - 1
        size = (ends - starts + 1)[:, None]
        missing = np.isnan(ticks.values)
        filled = ticks.values if not (missing.any() or np.isnan(value).any()) else _filled(ticks.values, missing, value)
        before = np.concatenate([value[None], filled[:-1]])
        # A first value after none is no movement: the sensor may have stood there before.
        moves = (filled != before) & ~np.isnan(before) if filled is not ticks.values else filled != before
        gone = np.add.reduceat(missing, starts, axis=0, dtype=np.int64) if missing.any() else 0
        present = np.broadcast_to(size - gone, (len(starts), ticks.values.shape[1]))
        nothing = np.zeros_like(present)
        plausible, outside = present, nothing
        worst = np.full(present.shape, np.nan, np.float32)
        if ticks.outside is not None:
            out = ~np.isnan(ticks.outside)
            outside = np.add.reduceat(out, starts, axis=0, dtype=np.int64)
            plausible = np.add.reduceat(~out & ~missing, starts, axis=0, dtype=np.int64)
            worst = self.worst(
                np.fmin.reduceat(ticks.outside, starts, axis=0), np.fmax.reduceat(ticks.outside, starts, axis=0)
            )
        departed = nothing
        if len(self._watched):
            departed = np.add.reduceat(self.off_constant(ticks.values), starts, axis=0, dtype=np.int64)
        moved: BoolArray = np.logical_or.reduceat(moves, starts, axis=0)
        return Bins(
            ticks.time[starts],
            ticks.time[ends],
            ticks.trip[starts],
            present,
            plausible,
            outside,
            departed,
            moved,
            worst,
            filled[ends],
        )

    def joined(self, first: Bins, second: Bins) -> Bins:
        """Two parts of one bin, a row each, as one."""
        return Bins(
            first.time,
            second.last,
            first.trip,
            first.present + second.present,
            first.plausible + second.plausible,
            first.outside + second.outside,
            first.departed + second.departed,
            first.moved | second.moved,
            self.worst(np.fmin(first.worst, second.worst), np.fmax(first.worst, second.worst)),
            second.value,
        )

    def excess(self, outside: FloatArray) -> DoubleArray:
        """How far readings ``[..., F]`` are out of the plausible range, in widths of it; 0 inside and where NaN."""
        beyond = np.fmax(self._low - outside, outside - self._high) / (self._high - self._low)
        out: DoubleArray = np.fmax(np.nan_to_num(beyond, nan=0.0), 0.0)
        return out

    def worst(self, lowest: FloatArray, highest: FloatArray) -> FloatArray:
        """Of two readings that are out of range, or NaN, the one that is further out."""
        return np.where(self.excess(lowest) > self.excess(highest), lowest, highest)


def _filled(values: FloatArray, missing: BoolArray, value: FloatArray) -> FloatArray:
    """``values`` ``[T, F]`` with the newest value before in place of missing ones; NaN where there is none."""
    filled = values.copy()
    for column in np.flatnonzero(missing.any(axis=0)):
        newest = np.maximum.accumulate(np.where(missing[:, column], -1, np.arange(len(values))))
        filled[:, column] = np.where(newest < 0, value[column], values[np.maximum(newest, 0), column])
    return filled


def packed(numbers: npt.NDArray[Any]) -> bytes:
    """The numbers as bytes; of numbers that are all the same, bit for bit, the first alone: most vehicles are well."""
    body, one = numbers.tobytes(), numbers.itemsize
    return body[:one] if body == body[:one] * numbers.size else body


def unpacked(body: bytes, kind: str, size: int) -> npt.NDArray[Any]:
    """So many numbers of what `packed` gave; ValueError when it is of another size."""
    numbers = np.frombuffer(body, kind)
    if len(numbers) not in (1, size):
        raise ValueError(f"expected 1 or {size} numbers, got {len(numbers)}")
    return np.repeat(numbers, size) if len(numbers) == 1 else numbers


def binner_of(manifest: Manifest) -> Binner:
    """`Binner.of`, a function of its own for `tickover.core.once`."""
    return Binner.of(manifest)
