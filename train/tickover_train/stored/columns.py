"""Figures of the columns of many arrays, which are those of all of them in one array, to the last bit; memory is flat.

Sorted values are found digit by digit: each pass counts, of the values that agree so far, the next binary digits, and
goes on with those among which the wanted one lies (radix selection, Knuth, The Art of Computer Programming 3, 5.2.5).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tickover.core.values import DoubleArray

Block = npt.NDArray[np.floating[Any]]
"""Rows ``[N, F]``, float32 or float64; NaN = missing."""
Ints = npt.NDArray[np.int64]

BLOCK: Final = 1 << 20
"""Values of a block: Python's part is small then, and so is the memory."""
DIGIT: Final = 11
"""Binary digits that a pass tells: three passes for float32, six for float64."""


class Blocks:
    """The rows of many arrays ``[N, F]`` one after the other, as often as they are asked for.

    ``make()``: iterates over the arrays; small ones come together in a block.
    """

    def __init__(self, make: Callable[[], Iterator[Block]]) -> None:
        self._make = make

    @classmethod
    def of(cls, arrays: Sequence[Block]) -> "Blocks":
        """Of a sequence."""
        return cls(lambda: iter(arrays))

    def each(self, change: Callable[[Block], Block]) -> "Blocks":
        """The blocks after a change of their values."""
        return Blocks(lambda: (change(block) for block in self))

    def __iter__(self) -> Iterator[Block]:
        some: list[Block] = []
        size = 0
        for array in self._make():
            some.append(array)
            size += array.size
            if size >= BLOCK:
                yield from _cut(some)
                some, size = [], 0
        if some:
            yield from _cut(some)


def _cut(some: list[Block]) -> Iterator[Block]:
    joined = some[0] if len(some) == 1 else np.concatenate(some)
    rows = max(BLOCK // max(joined.shape[1], 1), 1)
    for first in range(0, len(joined), rows):
        yield joined[first : first + rows]


def counts(blocks: Blocks) -> Ints:
    """How many values of each column there are, ``[F]``."""
    found: Ints = np.add.reduce([np.isfinite(block).sum(axis=0) for block in blocks])
    return found


def row_sum(blocks: Blocks) -> DoubleArray:
    """The sum of the rows ``[F]``, in float64, added one after the other as ``numpy.sum(axis=0)`` does."""
    total: DoubleArray | None = None
    for block in blocks:
        rows = block.astype(np.float64)
        total = np.add.reduce(rows if total is None else np.concatenate((total[None], rows)), axis=0)
    assert total is not None
    return total


def extremes(blocks: Blocks) -> tuple[DoubleArray, DoubleArray]:
    """The lowest and the highest value of each column ``[F]``; infinity and minus infinity for a column without any."""
    low, high = np.float64(np.inf), np.float64(-np.inf)
    for block in blocks:
        seen = np.isfinite(block)
        low = np.minimum(low, np.where(seen, block, np.inf).min(axis=0, initial=np.inf))
        high = np.maximum(high, np.where(seen, block, -np.inf).max(axis=0, initial=-np.inf))
    return np.asarray(low), np.asarray(high)


def medians(blocks: Blocks, *, as_double: bool = True) -> Block:
    """The median of each column, as ``numpy.median``; NaN for one without values.

    ``as_double``: as of the columns in float64, which takes no longer than in float32; else in their own precision.
    """
    number = counts(blocks)
    ranks = np.stack([np.maximum(number - 1, 0) // 2, number // 2], axis=1)
    middle = sorted_values(blocks, ranks, number)
    low, high = (middle.astype(np.float64) if as_double else middle).T
    return np.where(number > 0, (low + high) / 2, np.asarray(np.nan, low.dtype))


def quantiles(blocks: Blocks, q: Sequence[float], *, as_double: bool = False) -> DoubleArray:
    """Quantiles of each column, ``[len(q), F]``, as ``numpy.quantile(column, q)``; NaN for one without values.

    ``as_double``: as of the columns in float64, which takes no longer than in float32.
    """
    low, high, share, number = _neighbours(blocks, np.asarray(q))
    if as_double:
        low, high = low.astype(np.float64), high.astype(np.float64)
    return np.where(number[:, None] > 0, _between(low, high, share), np.nan).T


def quantile(blocks: Blocks, q: float) -> Block:
    """One quantile of each column ``[F]``: with a single one numpy keeps to the columns' own precision."""
    low, high, share, number = _neighbours(blocks, np.asarray([q]))
    between = _between(low, high, share, low.dtype)[:, 0]
    return np.where(number > 0, between, np.asarray(np.nan, low.dtype))


def _neighbours(blocks: Blocks, q: DoubleArray) -> tuple[Block, Block, DoubleArray, Ints]:
    """The values before and behind each quantile ``[F, Q]``, how far between it lies, and how many values ``[F]``."""
    number = counts(blocks)
    last = np.maximum(number - 1, 0)[:, None]
    places = last * q
    before = np.floor(places).astype(np.int64)
    found = sorted_values(blocks, np.concatenate([before, np.minimum(before + 1, last)], axis=1), number)
    return found[:, : len(q)], found[:, len(q) :], places - before, number


def _between(low: Block, high: Block, share: DoubleArray, dtype: npt.DTypeLike = np.float64) -> Block:
    """As numpy interpolates: from the nearer end, the share of the step rounded to ``dtype``."""
    step, rest = high - low, (1 - share).astype(dtype)
    between: Block = np.where(share >= 0.5, high - step * rest, low + step * share.astype(dtype))
    return between


def sorted_values(blocks: Blocks, ranks: Ints, number: Ints) -> Block:
    """The values at the places ``ranks`` ``[F, R]`` of each column, were it sorted; undefined where ``number`` is 0."""
    first = next(iter(blocks), np.empty((0, len(ranks)), np.float32))
    wide = first.dtype == np.float64
    bits = 64 if wide else 32
    prefix, left = np.zeros(ranks.shape, np.uint64), ranks.astype(np.int64)
    for shift in range(-(-bits // DIGIT) * DIGIT - DIGIT, -1, -DIGIT):
        tallies = _tally(blocks, prefix, shift, wide)
        for column, rank in np.ndindex(*ranks.shape):
            below = np.cumsum(tallies[column][prefix[column, rank]])
            digit = int(np.searchsorted(below, left[column, rank], side="right")) if number[column] else 0
            left[column, rank] -= below[digit - 1] if digit else 0
            prefix[column, rank] = (int(prefix[column, rank]) << DIGIT) | digit
    return _values(prefix, wide)


def _tally(blocks: Blocks, prefix: npt.NDArray[np.uint64], shift: int, wide: bool) -> list[dict[Any, Ints]]:
    """For each column and each prefix, how many values of that prefix have each next digit, ``[2 ** DIGIT]``."""
    size = 1 << DIGIT
    found = [{key: np.zeros(size, np.int64) for key in np.unique(row)} for row in prefix]
    for block in blocks:
        for column, wanted in enumerate(found):
            values = block[:, column]
            keys = _keys(values[np.isfinite(values)], wide)
            high = keys >> np.uint64(shift + DIGIT) if shift + DIGIT < 64 else np.zeros_like(keys)
            digits = (keys >> np.uint64(shift)) & np.uint64(size - 1)
            for key, tally in wanted.items():
                tally += np.bincount(digits[high == key].astype(np.int64), minlength=size)
    return found


def _keys(values: Block, wide: bool) -> npt.NDArray[np.uint64]:
    """Whole numbers in the order of the values: the sign bit is turned, and of negative values all other bits too."""
    sign = np.uint64(1 << (63 if wide else 31))
    every = np.uint64((1 << (64 if wide else 32)) - 1)
    values = np.ascontiguousarray(values + 0.0)  # -0 and 0 are one value
    bits = values.view(np.uint64 if wide else np.uint32).astype(np.uint64)
    return np.where(bits & sign, bits ^ every, bits | sign)


def _values(keys: npt.NDArray[np.uint64], wide: bool) -> Block:
    """The other way round."""
    sign = np.uint64(1 << (63 if wide else 31))
    every = np.uint64((1 << (64 if wide else 32)) - 1)
    bits = np.where(keys & sign, keys ^ sign, keys ^ every)
    return bits.view(np.float64) if wide else bits.astype(np.uint32).view(np.float32)
