"""A kind over two signals goes through training as every other: limits, parity with torch, run folder and page."""

import json

import numpy as np
import pytest
from msgspec import structs

from joint_chart import Joint
from tickover.model.session import open_bytes
from tickover_export.command import build_model
from tickover_export.run import RunFile, limits_tuple, read_run
from tickover_train import run_folder
from tickover_train.calibration.ladder import FIRST
from tickover_train.calibration.limits import calibrate
from tickover_train.calibration.scoring import chart_trips, open_unlimited
from tickover_train.fitting.horizon import horizons
from tickover_train.pages import training as page
from tickover_train.pipeline import bounds, finish, fit_folds, new_job
from tickover_train.trips import Trip
from train import trips as made_up

JOINT = Joint(name="joint", signals=("speed", "load"), span_s=20.0)


@pytest.fixture(scope="module")
def trained():
    config = made_up.tiny(epochs=1)
    banks = (config.charts.banks[0], JOINT, config.charts.banks[2])
    config = structs.replace(config, charts=structs.replace(config.charts, banks=banks))
    job = new_job(config, made_up.MAPPING, made_up.trips(3))
    return job, finish(job, fit_folds(job))


def test_its_chart_is_scored_missing_where_either_signal_is(trained):
    job, product = trained
    gone = [trip.values.copy() for trip in job.trips]
    gone[0][100:150, 0] = np.nan
    gone[0][140:200, 2] = np.nan
    trips = [Trip(trip.source, values) for trip, values in zip(job.trips, gone, strict=True)]
    charts = chart_trips(open_unlimited(product.weights, product.spec), trips)[0].charts
    assert charts.shape[1] == 9
    missing = np.isnan(charts)
    assert missing[:, 4].nonzero()[0].tolist() == list(range(100, 200))
    assert missing[:, 0].nonzero()[0].tolist() == list(range(100, 150))
    assert missing[:, 2].nonzero()[0].tolist() == list(range(140, 200))
    assert not missing[:, 1].any()


def test_it_gets_a_limit_like_every_other(trained):
    job, product = trained
    assert product.limits.limits.shape == (9,)
    assert bounds(product.spec).tolist() == [16.0] * 4 + [256.0] + [64.0] * 4
    peak = max(float(np.nanmax(trip.charts[:, 4])) for trip in product.charts)
    again = calibrate(product.charts, FIRST, job.config.episodes, bounds(product.spec), 1.0, floor=peak)
    assert peak <= again.limits[4] < 256.0


def test_parity_with_torch_is_proven_and_the_run_folder_says_what_it_is(trained, tmp_path, monkeypatch):
    job, product = trained
    horizon = horizons(product.network, job.normalised, 0)
    run_folder.write(tmp_path, job, product, horizon)
    limits = json.loads((tmp_path / "metrics.json").read_bytes())["limits"]
    assert [list(limits[bank]) for bank in ("level", "joint", "spike")] == [
        list(made_up.NAMES),
        ["speed, load"],
        list(made_up.NAMES),
    ]
    # A kind that is not in the registry can be written into run.json, and not be read again.
    file = RunFile(spec=product.spec, limits=limits_tuple(product.limits.limits), budget=product.limits.budget)
    monkeypatch.setattr("tickover_export.run._decode", lambda data: file)
    data, manifest = build_model(read_run(tmp_path))
    assert manifest.parity.error <= 1e-4
    assert open_bytes(data).manifest.charts[4].signals == ("speed", "load")


def test_the_page_lists_its_limit_at_both_signals(trained):
    job, product = trained
    rows = page._limit_rows(product)
    limit = rows[0]["limits"][1]
    assert limit == pytest.approx(float(product.limits.limits[4]))
    assert [row["limits"][1] for row in rows] == [limit, None, limit, None]
    assert Joint.WORDS in page.render(job, product, horizons(product.network, job.normalised, 0))
