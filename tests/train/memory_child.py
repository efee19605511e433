"""Trainings of few and of more made-up trips, without the command around them; prints by how much memory grew for each.

``memory_child.py FEW MORE stored|memory FOLDER``: where the trips and what is made of them lie.
"""

import sys
from pathlib import Path

import torch

from tickover.host.memory import peak_bytes
from tickover_train.calibration import scored
from tickover_train.pipeline import finish, fit_folds, ladder_of, new_job
from tickover_train.stored import columns
from tickover_train.stored.room import Disk, Memory, Room
from tickover_train.trips import Trip, new_trips
from train.trips import MAPPING, tiny, trip

TICKS = 1000
# As many as a small archive has: blocks of the usual size would hold all of it.
columns.BLOCK, scored.IN_MEMORY = 1 << 13, 1 << 14  # type: ignore[misc]


def work(number: int, room: Room) -> None:
    trips = new_trips(room)
    made = trip(1, TICKS)
    for place in range(number):
        trips.append(Trip(str(place), made * (1.0 + 0.01 * (place % 7))))
    job = new_job(tiny(epochs=1, batch_rows=16), MAPPING, trips, room=room)
    product = finish(job, fit_folds(job))
    assert len(ladder_of(job, product, stopped=lambda: True)) == len(product.climb.rungs)


def resident() -> int:
    """Now, bytes; the peak begins anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


if __name__ == "__main__":
    torch.set_num_threads(1)
    where, folder = sys.argv[3], Path(sys.argv[4])
    work(2, Memory())  # what is loaded at first use is no part of it
    before = resident()
    for number in map(int, sys.argv[1:3]):
        work(number, Disk(folder) if where == "stored" else Memory())
        print(peak_bytes() - before)
