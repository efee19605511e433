"""Fitting: equal seeds give equal weights, a resumed fit is the uninterrupted one, Ctrl-C keeps the best so far."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec import structs

from tickover.errors import RunError
from tickover_train.fitting import checkpoint
from tickover_train.fitting.batch_rows import BatchRows, deal
from tickover_train.fitting.corruption import corrupt, span_mask
from tickover_train.fitting.fit import Task, new_network
from tickover_train.fitting.loss import Errors
from tickover_train.fitting.reference import expect
from tickover_train.pipeline import (
    Job,
    fit_fold,
    fit_whole,
    network_of,
    new_job,
)
from tickover_train.stored.room import Disk, Memory
from train.trips import MAPPING, tiny, trips


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def job(**fit: object) -> Job:
    return new_job(tiny(**fit), MAPPING, trips())


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_equal_seeds_give_equal_weights_and_other_seeds_do_not():
    first, second = fit_fold(job(), 0).fitted, fit_fold(job(), 0).fitted
    assert same(first.best, second.best)
    other = new_job(replace_seed(tiny(), 1), MAPPING, trips())
    assert not same(first.best, fit_fold(other, 0).fitted.best)


def replace_seed(config, seed):
    return structs.replace(config, seed=seed)


@pytest.mark.parametrize("arch", ["autoencoder", "seq2seq"])
def test_a_resumed_fit_is_the_uninterrupted_one(tmp_path: Path, arch: str):
    whole = fit_fold(job(arch=arch, epochs=3), 0).fitted
    interrupted = replace(job(arch=arch, epochs=3), checkpoints=tmp_path)
    epochs: list[float] = []
    interrupted = replace(interrupted, tell=lambda done, text: epochs.append(done), stopped=lambda: len(epochs) >= 1)
    assert fit_fold(interrupted, 0).fitted.epoch == 1
    resumed = fit_fold(replace(job(arch=arch, epochs=3), checkpoints=tmp_path), 0).fitted
    assert resumed.losses == whole.losses
    assert same(resumed.best, whole.best)


def test_a_fit_stopped_midway_keeps_the_best_epoch():
    epochs: list[float] = []
    calls = iter(range(10_000))
    stopping = replace(
        job(epochs=50),
        tell=lambda done, text: epochs.append(done),
        stopped=lambda: len(epochs) >= 2 and next(calls) > 3,
    )
    fitted = fit_fold(stopping, 0).fitted
    assert fitted.epoch == 2
    assert fitted.best_loss == min(held_out for _, held_out in fitted.losses)


def test_a_fit_stopped_before_its_first_epoch_still_has_weights():
    fitted = fit_fold(replace(job(), stopped=iter([False, True, True, True]).__next__), 0).fitted
    assert fitted.best


def test_the_products_network_is_fitted_on_all_trips_for_as_long_as_the_folds_were():
    one = job(epochs=3)
    folds = [fit_fold(one, number) for number in range(2)]
    assert folds[0].fitted.finished
    folds = [
        replace(fold, fitted=replace(fold.fitted, best_epoch=best)) for fold, best in zip(folds, (1, 3), strict=True)
    ]
    whole = fit_whole(one, folds)
    assert whole is not None
    assert whole.epoch == 2, "the mean of 1 and 3"
    assert not same(whole.best, folds[0].fitted.best)
    assert same(whole.best, whole.weights), "the newest: no trip is left to tell a better one"
    for place in range(len(one.normalised)):
        changed = [trip + 1.0 if at == place else trip for at, trip in enumerate(one.normalised)]
        other = fit_whole(replace(one, normalised=changed), folds)
        assert other is not None
        assert not same(other.best, whole.best), "every trip counts"


def test_a_fit_on_all_trips_that_is_resumed_gives_the_weights_of_one_that_was_not(tmp_path: Path):
    one = job(epochs=3)
    folds = [replace(fold, fitted=replace(fold.fitted, best_epoch=3)) for fold in (fit_fold(one, 0), fit_fold(one, 1))]
    whole = fit_whole(one, folds)
    told: list[float] = []
    stopping = replace(one, checkpoints=tmp_path, tell=lambda done, text: told.append(done), stopped=lambda: bool(told))
    assert fit_whole(stopping, folds) is None, "the first fold's network is the product's"
    resumed = fit_whole(replace(one, checkpoints=tmp_path), folds)
    assert whole is not None
    assert resumed is not None
    assert resumed.losses == whole.losses
    assert same(resumed.best, whole.best)


@pytest.mark.parametrize("stopped", ["before", "in a fold", "between folds"])
def test_a_training_that_is_stopped_has_no_fit_on_all_trips(stopped):
    one = job(epochs=2)
    folds = [fit_fold(one, number) for number in range(2)]
    if stopped == "in a fold":
        folds[1] = replace(folds[1], fitted=replace(folds[1].fitted, finished=False))
    if stopped == "between folds":
        folds.pop()
    assert fit_whole(replace(one, stopped=lambda: stopped == "before"), folds) is None


def test_a_checkpoint_of_another_job_is_refused(tmp_path: Path):
    fit_fold(replace(job(epochs=1), checkpoints=tmp_path), 0)
    with pytest.raises(RunError, match="this configuration and these logs"):
        fit_fold(replace(job(epochs=1, learning_rate=0.1), checkpoints=tmp_path), 0)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path):
    one = replace(job(epochs=1), checkpoints=tmp_path)
    fit_fold(one, 0)
    (arrays,) = tmp_path.glob("*.safetensors")
    arrays.write_bytes(arrays.read_bytes()[:-100])
    with pytest.raises(RunError, match="whole checkpoint"):
        checkpoint.read(tmp_path, 0, one.identity)


def test_the_network_learns_to_beat_the_mean():
    fitted = fit_fold(job(epochs=6, learning_rate=1e-2), 0).fitted
    assert fitted.best_loss < fitted.losses[0][1] - 0.2


def test_an_untrained_forecaster_expects_the_last_value():
    one = job(arch="forecaster")
    trip = one.normalised[0].copy()
    trip[50:60, 0] = np.nan
    expected = expect(new_network(task_of(one)), trip)
    np.testing.assert_array_equal(expected[1:], np.nan_to_num(trip[:-1]))


def task_of(one: Job) -> Task:
    return Task(network_of(one.config, 1.0), one.config, 1.0, 0, one.normalised, one.normalised, one.device)


def test_span_masks_cover_their_share_in_spans():
    mask = span_mask(np.random.default_rng(0), 200_000, 2, 0.1, 30.0)
    assert mask.mean() == pytest.approx(0.1, abs=0.01)
    starts = (mask[1:] & ~mask[:-1]).sum()
    assert mask.sum() / starts == pytest.approx(30.0, rel=0.15)
    assert not span_mask(np.random.default_rng(0), 100, 2, 0.0, 30.0).any()


def test_corruption_leaves_its_source_and_most_values_alone():
    source = [one.values for one in trips(3)]
    before = source[0].copy()
    config = tiny().corruption
    corrupted = corrupt(source[0], source, np.random.default_rng(0), config, 20.0)
    assert np.array_equal(source[0], before)
    changed = ~(corrupted == before)
    assert 0.02 < changed.mean() < 0.6
    assert np.isnan(corrupted).any()


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_batch_rows_hold_every_tick_once_and_carry_state_only_within_a_trip(tmp_path: Path, turned: bool, stored: bool):
    values = [np.full((length, 1), number, np.float32) for number, length in enumerate((300, 70, 64, 1, 129))]
    rows = BatchRows(deal([len(trip) for trip in values], 2, 64), 64, 1, Disk(tmp_path) if stored else Memory())
    for number, trip in enumerate(values):
        rows.write(number, -trip, trip)
    if turned:
        rows.turn(np.random.default_rng(3))
    inputs, targets = (np.stack(parts) for parts in zip(*map(rows.chunk, range(len(rows))), strict=True))
    np.testing.assert_array_equal(inputs, -targets)
    for number, trip in enumerate(values):
        assert (targets == number).sum() == len(trip)
    assert rows.reset[0].all()
    for chunk, row in zip(*np.nonzero(~rows.reset), strict=True):
        before, here = inputs[chunk - 1, -1, row, 0], inputs[chunk, 0, row, 0]
        assert before == here, "a carried state must come from the same trip"


def test_missing_targets_count_nothing():
    expected = torch.tensor([[1.0, 5.0], [1.0, 5.0]])
    target = torch.tensor([[0.5, torch.nan], [torch.nan, torch.nan]])
    errors = Errors.of(expected, target, 1.0)
    assert errors.count.tolist() == [1.0, 0.0]
    assert errors.mean.tolist() == [0.125, 0.0]
    assert errors.loss == pytest.approx(float(np.log(0.126)))
