"""``compare`` trains and judges on trips apart, and tells the same as table, JSON and page."""

import json
from collections import Counter

import pytest
from click.testing import CliRunner

from tickover.logs.inspection import propose_mapping
from tickover_train.commands.compare import compare
from tickover_train.data import load_trips
from tickover_train.trips import Trip

torch = pytest.importorskip("torch")


def test_trips_to_judge_on_are_not_trained_on(trips):
    from tickover_train.comparison import split

    named = [Trip(str(number), trip) for number, trip in enumerate([*trips, *trips])]
    training, test = split(named)
    assert [trip.source for trip in test] == ["3", "7"]
    assert len(training) == 6


def test_trips_of_one_log_are_told_apart(trips):
    from tickover_train.comparison import split

    lengths = range(200, 900, 100)
    named = [Trip("a log with gaps", trips[0][:length]) for length in lengths]
    training, test = split(named)
    assert [len(trip.values) for trip in test] == [500]
    assert [len(trip.values) for trip in training] == [length for length in lengths if length != 500]
    assert [len(side) for side in split(named[:1])] == [1, 1]


def test_trips_of_one_log_have_names_of_their_own(logs, tmp_path):
    rows = logs[0].read_text().splitlines()
    log = tmp_path / "gaps.csv"
    log.write_text("\n".join([rows[0], *rows[1:301], *rows[401:501], *rows[601:]]) + "\n")
    mapping = propose_mapping(logs)[0]
    trips = load_trips([log, logs[1]], mapping, Counter(), print)
    assert [(trip.source, len(trip.values)) for trip in trips] == [("gaps 1", 300), ("gaps 3", 300), ("trip1", 900)]


@pytest.mark.slow
def test_two_cells_side_by_side(logs, tmp_path):
    config = tmp_path / "one_thread.toml"
    config.write_text("[network]\nhidden = 8\nbottleneck = 3\n[fit]\nthreads = 1\n[calibration]\nfolds = 2\n")
    args = [
        *map(str, logs),
        "--config",
        str(config),
        "--arch",
        "forecaster",
        "--cell",
        "rnn",
        "--cell",
        "gru",
        "--epochs",
        "1",
    ]
    args += ["--json", str(tmp_path / "out.json"), "--page", str(tmp_path / "out.html")]
    result = CliRunner().invoke(compare, args)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out.json").read_bytes())
    entries = found["entries"]
    assert [one["name"] for one in found["beside"]] == ["pca residual", "mahalanobis", "random", "always on", "clock"]
    assert [(one["cell"], one["arch"]) for one in entries] == [("rnn", "forecaster"), ("gru", "forecaster")]
    assert entries[0]["parameters"] < entries[1]["parameters"]
    page = (tmp_path / "out.html").read_text()
    for one in entries:
        assert f"{one['cell']} {one['arch']}" in page
        assert f"{one['cell']} {one['arch']}" in result.output
    assert "always on" in page
    assert "always on" in result.output
