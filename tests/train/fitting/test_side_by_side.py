"""Folds in processes of their own: the same weights, and checkpoints to go on from."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tickover_train.fitting import checkpoint
from tickover_train.pipeline import fit_folds, new_job
from tickover_train.stored.room import Disk
from train.trips import MAPPING, tiny, trips


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def test_folds_side_by_side_are_those_one_after_the_other(tmp_path: Path):
    told: list[tuple[float, str]] = []

    def tell(done: float, text: str) -> None:
        told.append((done, text))

    job = new_job(tiny(epochs=1), MAPPING, trips(), tmp_path, tell, room=Disk(tmp_path))
    together = fit_folds(job, workers=2)
    assert all(0.0 < done <= 1.0 for done, _ in told)
    assert {text.partition(",")[0] for _, text in told} == {"fold 1", "fold 2"}
    assert all(fold.memory for fold in together), "of processes of their own"
    kept = [checkpoint.read(tmp_path, number, job.identity) for number in range(2)]
    alone = fit_folds(new_job(tiny(epochs=1), MAPPING, trips()))
    for one, other, written in zip(together, alone, kept, strict=True):
        assert one.unseen == other.unseen
        assert written is not None
        assert one.fitted.losses == other.fitted.losses == written.losses
        assert all(np.array_equal(one.fitted.best[name], value) for name, value in other.fitted.best.items())
