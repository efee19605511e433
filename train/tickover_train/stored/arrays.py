"""Arrays in a file without a name, read one at a time: what many trips hold need not fit into memory.

The file is deleted from its folder as soon as it is open, so nothing of it is left behind however the process ends.
Reads copy into memory and are not mapped: a mapped page counts as the process's own for as long as it stays mapped.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.reduction import DupFd
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final, Generic, TypeVar, overload

import numpy as np

from tickover.core.values import FloatArray
from tickover.errors import RunError

ITEM: Final = 4
"""Bytes of a float32."""
NO_ROOM: Final = "name another folder (--work)"
NO_FILE: Final = "cannot keep temporary data: {}; " + NO_ROOM

S = TypeVar("S")
T = TypeVar("T")


class StoredFile:
    """Bytes in a file without a name. Another process may read what is written by the time it is sent there."""

    def __init__(self, folder: Path) -> None:
        try:
            self._file = TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - it lives as long as the arrays
        except OSError as error:
            raise RunError(f"{folder}: {NO_FILE.format(error.strerror or error)}") from error
        self._folder = folder
        self.bytes = 0
        """How far it was written."""

    def write(self, place: int, values: FloatArray) -> None:
        """Write values at ``place``, in bytes; RunError when the disk is full."""
        left = np.ascontiguousarray(values, np.float32).reshape(-1).view(np.uint8).data
        try:
            while len(left):
                done = os.pwrite(self._file.fileno(), left, place)
                left, place = left[done:], place + done
        except OSError as error:
            raise RunError(f"{self._folder}: {NO_FILE.format(error.strerror or error)}") from error
        self.bytes = max(self.bytes, place)

    def read(self, place: int, into: FloatArray) -> None:
        """Fill a contiguous array from ``place``, in bytes, on."""
        left = into.reshape(-1).view(np.uint8).data
        while len(left):
            done = os.preadv(self._file.fileno(), [left], place)
            if not done:
                raise RunError(f"{self._folder}: expected {len(left)} more bytes of temporary data, got none")
            left, place = left[done:], place + done

    def __getstate__(self) -> dict[str, Any]:
        return {"_file": DupFd(self._file.fileno()), "_folder": self._folder, "bytes": self.bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._file = os.fdopen(state["_file"].detach(), "r+b", buffering=0)
        self._folder, self.bytes = state["_folder"], state["bytes"]


class Items(Sequence[T]):
    """A sequence that brings an item when it is asked for."""

    def at(self, place: int) -> T:
        """The item at one place."""
        raise NotImplementedError

    def some(self, places: Sequence[int]) -> Sequence[T]:
        """Those at ``places``, in their order; what a slice gives."""
        return [self.at(place) for place in places]

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[T]: ...
    def __getitem__(self, place: int | slice) -> T | Sequence[T]:
        return self.some(range(len(self))[place]) if isinstance(place, slice) else self.at(place)


class StoredArrays(Items[FloatArray]):
    """Float32 arrays ``[T, ...]``, each of its own length; an access reads one into memory.

    ``lengths``: of each, known without reading it. The first ones, of ``keep`` bytes in all, stay in memory.
    """

    def __init__(self, file: StoredFile, keep: int = 0) -> None:
        self.file = file
        self.lengths: list[int] = []
        self._keep = keep
        self._kept: list[FloatArray] = []
        self._places: list[int] = []
        self._shape: tuple[int, ...] = ()

    def append(self, values: FloatArray) -> None:
        """Add one; all have the same shape behind the first dimension."""
        self.lengths.append(len(values))
        self._keep -= values.nbytes
        if self._keep >= 0:
            self._kept.append(values)
            return
        self._shape = values.shape[1:]
        self._places.append(self.file.bytes)
        self.file.write(self.file.bytes, values)

    def __len__(self) -> int:
        return len(self.lengths)

    def some(self, places: Sequence[int]) -> Sequence[FloatArray]:
        return chosen(self, places)

    def at(self, place: int) -> FloatArray:
        if place < len(self._kept):
            return self._kept[place]
        into = np.empty((self.lengths[place], *self._shape), np.float32)
        self.file.read(self._places[place - len(self._kept)], into)
        return into


Arrays = list[FloatArray] | StoredArrays
"""Arrays to add to: in memory, or in a file."""


class View(Items[T], Generic[S, T]):
    """What is made of some items of a sequence, each time it is asked for, and nothing is kept."""

    def __init__(self, items: Sequence[S], places: Sequence[int], make: Callable[[S], T]) -> None:
        self.items, self.places, self.make = items, places, make

    def __len__(self) -> int:
        return len(self.places)

    def some(self, places: Sequence[int]) -> Sequence[T]:
        return View(self.items, [self.places[place] for place in places], self.make)

    def at(self, place: int) -> T:
        return self.make(self.items[self.places[place]])

    def __iter__(self) -> Iterator[T]:
        return (self.make(self.items[place]) for place in self.places)


class Chosen(View[FloatArray, FloatArray]):
    """Some of the arrays, with their lengths."""

    @property
    def lengths(self) -> list[int]:
        """Ticks of each, without reading them."""
        every = lengths(self.items)
        return [every[place] for place in self.places]


class Joined(Items[T]):
    """The items of some sequences, one after the other."""

    def __init__(self, parts: Sequence[Sequence[T]]) -> None:
        self._places = [(part, place) for part in parts for place in range(len(part))]

    def __len__(self) -> int:
        return len(self._places)

    def at(self, place: int) -> T:
        part, one = self._places[place]
        return part[one]


class Again(Iterable[T]):
    """What ``begin()`` iterates over, as often as it is asked for."""

    def __init__(self, begin: Callable[[], Iterator[T]]) -> None:
        self._begin = begin

    def __iter__(self) -> Iterator[T]:
        return self._begin()


def chosen(arrays: Sequence[FloatArray], places: Sequence[int]) -> Sequence[FloatArray]:
    """Some of the arrays, in the order of ``places``; none is read before it is asked for."""
    return Chosen(arrays, places, _itself) if _is_stored(arrays) else [arrays[place] for place in places]


def each(make: Callable[[S], T], items: Sequence[S]) -> Sequence[T]:
    """What is made of each item, when it is asked for."""
    return View(items, range(len(items)), make)


def lengths(arrays: Sequence[FloatArray]) -> list[int]:
    """How long each array is."""
    if isinstance(arrays, StoredArrays | Chosen):
        return arrays.lengths
    return [len(one) for one in arrays]


def _is_stored(arrays: Sequence[FloatArray]) -> bool:
    return isinstance(arrays, StoredArrays | Chosen)


def _itself(one: T) -> T:
    return one
