"""What people said of alerts labels the logs of the truck."""

import json
from collections import Counter

import numpy as np
import pytest
from msgspec import structs

from tickover.core.time_format import iso_seconds
from tickover.core.values import SECOND
from tickover.errors import ConfigError
from tickover.logs.mapping import LogLayout, mapping_of
from tickover.model.detector import Detector
from tickover_train.evaluation.verdict_labels import is_verdicts, read_ranges, split_by_verdicts

START = 1_780_000_000
"""Of the first log, in seconds; another each hour, of 300 s."""


@pytest.fixture(scope="module")
def mapping(model_file):
    return structs.replace(mapping_of(Detector.load(model_file).manifest), log=LogLayout(vehicle_column="truck"))


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dated")
    for number in range(3):
        rows = [
            f"{iso_seconds((START + 3600 * number + second) * SECOND)},{second % 7},{second % 5},1,{truck}"
            for second in range(300)
            for truck in ("red", "blue")
        ]
        (folder / f"{number}.csv").write_text("\n".join(["time,a,b,twin,truck", *rows]) + "\n")
    return sorted(folder.glob("*.csv"))


def line(second, verdict="real", vehicle="red", episode="e", end=20, **more):
    """An episode from a second on, for ``end`` seconds; None: it is open yet, 40 s later."""
    start = (START + second) * SECOND
    ends = None if end is None else iso_seconds(start + end * SECOND)
    said = {"episode": episode, "vehicle": vehicle, "start": iso_seconds(start), "end": ends, "verdict": verdict}
    return json.dumps(said | {"at": start + 40 * SECOND, "time": "2026-06-01T00:00:00Z", "charts": ["a.level"]} | more)


def split(path, logs, mapping, *lines):
    path.write_text("\n".join(lines) + "\n")
    return split_by_verdicts(logs, read_ranges([path]), mapping, Counter(), print)


def test_a_log_in_which_a_real_episode_was_open_is_a_labelled_one(logs, mapping, tmp_path):
    file = tmp_path / "said.jsonl"
    clean, labelled = split(file, logs, mapping, line(3650), line(10, "false", episode="other"))
    assert clean == [logs[0], logs[2]]
    blue, red = sorted(labelled, key=lambda trip: trip.labels.sum())
    assert np.flatnonzero(red.labels).tolist() == list(range(50, 71))
    assert not blue.labels.any(), "the other truck of the same log"


@pytest.mark.parametrize(("end", "ticks"), [(5, 6), (None, 41)])
def test_an_open_episode_lasts_until_the_verdict(logs, mapping, tmp_path, end, ticks):
    _, labelled = split(tmp_path / "said.jsonl", logs, mapping, line(3650, "known", end=end))
    assert sum(int(trip.labels.sum()) for trip in labelled) == ticks


def test_the_newest_verdict_on_an_episode_counts(logs, mapping, tmp_path):
    lines = [line(3650, "real"), line(3650, "false"), line(20, "false", episode="f"), line(20, "real", episode="f")]
    clean, _ = split(tmp_path / "said.jsonl", logs, mapping, *lines)
    assert clean == logs[1:]


def test_logs_that_name_no_vehicle_are_the_one_trucks(logs, mapping, tmp_path):
    nameless = structs.replace(mapping, log=LogLayout())
    plain = []
    for log in logs:
        rows = [row.rpartition(",")[0] for row in log.read_text().splitlines() if not row.endswith("blue")]
        plain.append(tmp_path / log.name)
        plain[-1].write_text("\n".join(rows) + "\n")
    clean, labelled = split(tmp_path / "said.jsonl", plain, nameless, line(3650))
    assert (clean, [trip.source for trip in labelled]) == ([plain[0], plain[2]], ["1"])


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([line(10, "false")], "expected a verdict 'real' or 'known'"),
        (["{}"], r"said.jsonl:1: expected a verdict"),
        ([line(10), "not json"], r"said.jsonl:2: expected a verdict"),
        ([line(10, start="soon")], "expected ISO 8601 times"),
        ([line(90_000)], "got none; logs need dates"),
        ([line(10), line(3650, episode="2"), line(7300, episode="3")], "got none without"),
    ],
)
def test_what_is_wrong_is_said(logs, mapping, tmp_path, lines, told):
    with pytest.raises(ConfigError, match=told):
        split(tmp_path / "said.jsonl", logs, mapping, *lines)


def test_files_of_verdicts_are_known_by_their_names(tmp_path):
    assert is_verdicts(tmp_path / "verdicts.JSONL")
    assert not is_verdicts(tmp_path / "labels.csv")
