"""Training takes no more memory for more trips; the model is the one that is trained in memory."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

import paths
from tickover_train.pipeline import Product, finish, fit_folds, new_job
from tickover_train.stored.room import Disk, Memory, Room
from tickover_train.trips import new_trips
from train.trips import MAPPING, tiny, trips

FEW = 12
MORE = 4


def growths(where: str, folder: Path) -> tuple[int, int]:
    """Bytes by which the memory of a process grew for a training of few trips, and by then for one of more."""
    parts = (*(paths.ROOT / part for part in ("edge", "export", "train")), paths.TESTS)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, parts)), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        str(paths.TESTS / "train" / "memory_child.py"),
        str(FEW),
        str(MORE * FEW),
        where,
        str(folder),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    few, more = map(int, done.stdout.split())
    return few, more


def test_four_times_the_trips_take_no_more_memory(tmp_path: Path):
    few, more = growths("stored", tmp_path)
    assert more <= 1.5 * few


def product(room: Room) -> Product:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    kept = new_trips(room)
    for trip in trips(6):
        kept.append(trip)
    job = new_job(tiny(epochs=1), MAPPING, kept, room=room)
    return finish(job, fit_folds(job))


def test_the_model_of_stored_trips_is_that_of_trips_in_memory(tmp_path: Path):
    stored, held = product(Disk(tmp_path)), product(Memory())
    assert stored.spec == held.spec
    assert all(np.array_equal(stored.weights[name], value) for name, value in held.weights.items())
    for one, other in zip(stored.climb.rungs, held.climb.rungs, strict=True):
        np.testing.assert_array_equal(one.limits, other.limits)
        assert (one.budget, one.influence) == (other.budget, other.influence)
        for scores, expected in zip(one.scores, other.scores, strict=True):
            np.testing.assert_array_equal(scores, expected)
