"""Arrays and trips that lie in files are those that were put there, and nothing of them is left behind."""

from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from tickover.errors import RunError
from tickover_train.stored.arrays import StoredArrays, StoredFile, chosen, lengths
from tickover_train.stored.room import Disk, Memory
from tickover_train.trips import Trip, new_trips, some_of, sources_of, values_of


def some(number: int = 5) -> list[np.ndarray]:
    random = np.random.default_rng(number)
    return [random.normal(size=(place * 3, 2)).astype(np.float32) for place in range(number)]


@pytest.mark.parametrize("keep", [0, 60, 1 << 20])
def test_arrays_are_read_as_they_were_added(tmp_path: Path, keep: int):
    stored = Disk(tmp_path).arrays(keep)
    for one in some():
        stored.append(one)
    assert lengths(stored) == [0, 3, 6, 9, 12]
    for place, one in enumerate(some()):
        np.testing.assert_array_equal(stored[place], one)
    part = chosen(stored, [4, 1])
    assert lengths(part) == [12, 3]
    np.testing.assert_array_equal(part[0], some()[4])
    assert [len(one) for one in stored[1:3]] == [3, 6]
    with pytest.raises(IndexError):
        stored[5]


def test_no_file_is_seen_in_the_folder_and_the_disk_is_given_back(tmp_path: Path):
    room = Disk(tmp_path)
    stored = room.arrays()
    stored.append(np.ones((1000, 10), np.float32))
    assert list(tmp_path.iterdir()) == []
    assert room.used() == 40_000
    del stored
    assert room.used() == 0
    assert room.most == 40_000


def test_a_folder_without_room_is_named_with_the_remedy(tmp_path: Path):
    with pytest.raises(RunError, match=r"gone: cannot keep temporary data: .*--work"):
        Disk(tmp_path / "gone").arrays()
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
        file = StoredFile(tmp_path)
        file._file = full
        with pytest.raises(RunError, match=r"No space left on device; name another folder \(--work\)"):
            StoredArrays(file).append(np.ones((5, 5), np.float32))


def total(arrays: StoredArrays) -> float:
    return float(sum(one.sum() for one in arrays))


def test_another_process_reads_the_same_file(tmp_path: Path):
    stored = Disk(tmp_path).arrays()
    for one in some():
        stored.append(one)
    with get_context("spawn").Pool(1, read_by_child, (stored,)) as pool:
        assert pool.apply(child_total) == total(stored)


_child: list[StoredArrays] = []


def read_by_child(arrays: StoredArrays) -> None:
    _child.append(arrays)


def child_total() -> float:
    return total(_child[0])


@pytest.mark.parametrize("stored", [False, True])
def test_trips_are_kept_with_all_that_belongs_to_them(tmp_path: Path, stored: bool):
    trips = new_trips(Disk(tmp_path) if stored else Memory())
    values = some()
    trips.append(Trip("a", values[3], 7, outside=values[3] + 1))
    trips.append(Trip("b", values[4], 9, read=values[4] - 1))
    assert sources_of(some_of(trips, [1, 0])) == ["b", "a"]
    assert lengths(values_of(trips)) == [9, 12]
    first, second = trips
    np.testing.assert_array_equal(first.outside, values[3] + 1)
    assert first.read is None
    np.testing.assert_array_equal(second.block_as_read(1_000_000).values, values[4] - 1)
    assert (second.start, second.outside) == (9, None)
