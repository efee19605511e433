"""Labelled logs: time ranges and marked logs give the same labels per tick."""

from collections import Counter

import msgspec
import numpy as np
import pytest

from tickover.errors import ConfigError
from tickover.logs.mapping import LogLayout, mapping_of, parse_mapping
from tickover.model.detector import Detector
from tickover_train.evaluation.labels import load_labelled, parse_time


@pytest.fixture(scope="module")
def mapping(model_file):
    return mapping_of(Detector.load(model_file).manifest)


def load(path, mapping):
    return load_labelled(path, mapping, Counter(), print)


def test_ranges_in_seconds_cover_the_ticks_they_touch(mapping, logs, tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text(f"log, start ,end\n{logs[0]},300,305.5\n{logs[0]},700,700\n{logs[1]},10,12\n")
    first, second = load(file, mapping)
    assert np.flatnonzero(first.labels).tolist() == [*range(300, 306), 700]
    assert np.flatnonzero(second.labels).tolist() == [10, 11, 12]
    assert first.values.shape == (900, 3)


def test_a_marked_log_says_the_same(mapping, logs, tmp_path):
    lines = logs[0].read_text().splitlines()
    marked = [f"{lines[0]},anomaly"] + [f"{line},{int(300 <= n < 306)}" for n, line in enumerate(lines[1:])]
    file = tmp_path / "marked.csv"
    file.write_text("\n".join(marked) + "\n")
    (trip,) = load(file, mapping)
    assert np.flatnonzero(trip.labels).tolist() == list(range(300, 306))
    assert trip.values.shape == (900, 3)


def test_vehicles_of_one_log_are_told_apart(mapping, tmp_path):
    """Rows of two trucks in turn, more than a reader's block holds: each truck has one trip, with its own labels."""
    ticks = 10_000
    rows = [
        f"{n},{value},{value},{value},{truck},{int(n == marked)}"
        for n in range(ticks)
        for truck, value, marked in (("red", 1, 9_900), ("blue", 2, 20))
    ]
    file = tmp_path / "marked.csv"
    file.write_text("\n".join(["t_s,a,b,twin,truck,anomaly", *rows]) + "\n")
    by_truck = msgspec.structs.replace(mapping, log=LogLayout(vehicle_column="truck"))
    red, blue = load(file, by_truck)
    for trip, value, marked in ((red, 1, 9_900), (blue, 2, 20)):
        assert (trip.values == value).all()
        assert len(trip.values) == ticks
        assert np.flatnonzero(trip.labels).tolist() == [marked]


def test_times_are_seconds_or_iso():
    assert parse_time("12.5") == 12_500_000
    assert parse_time("1970-01-01T00:01:00") == parse_time("1970-01-01T01:01:00+01:00") == 60_000_000
    assert parse_time("20240501") == parse_time("2024-05-01") == parse_time("20240501T000000Z") == 1_714_521_600_000_000
    assert parse_time("1714521600") == parse_time("1714521600.0") == 1_714_521_600_000_000
    with pytest.raises(ValueError, match="noon"):
        parse_time("noon")


def test_a_compact_date_is_that_day_and_no_second_of_1970(mapping, tmp_path):
    """``20240501`` was read as 20,240,501 seconds, a day of August 1970."""
    rows = "".join(f"{1_714_521_600 - 30 + second},5\n" for second in range(200))
    (tmp_path / "trip.csv").write_text("time,rpm\n" + rows)
    (tmp_path / "labels.csv").write_text("log,start,end\ntrip.csv,20240430T235950Z,20240501\n")
    (trip,) = load(tmp_path / "labels.csv", parse_mapping("[signals.rpm]\n"))
    assert np.flatnonzero(trip.labels).tolist() == list(range(20, 31))


def test_other_files_are_refused_by_name(mapping, logs, tmp_path):
    with pytest.raises(ConfigError, match=r"trip0\.csv: expected the columns log, start, end, or a log with a column"):
        load(logs[0], mapping)
    file = tmp_path / "wrong.csv"
    file.write_text("log,start,end\nx.csv,noon,later\n")
    with pytest.raises(ConfigError, match="expected ISO 8601 times or seconds"):
        load(file, mapping)
