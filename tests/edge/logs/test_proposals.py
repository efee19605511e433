"""Whatever a log holds, a proposed range holds its values, and what a file says about itself is found."""

import json
import math
import random
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logs import joined
from tickover.errors import LogError
from tickover.logs.inspection import propose_mapping
from tickover.logs.mapping import LogLayout, Mapping, TimeColumn, parse_mapping, to_carry
from tickover.logs.reading import read_log

NAMES = [
    "rpm",
    "speed [km/h]",
    "Coolant [°C]",
    "battery_v",
    "x",
    "boost (psi)",
    "odometer",
    "load %",
    "lamp",
    "heading",
]
START = datetime(2023, 10, 25, 13, 15)
ROWS = 60


def column(rng: random.Random, rows: int) -> list[float]:
    """Values of one signal: a level, a wave, noise, steps, a counter, or a constant, perhaps with glitches."""
    level, size = rng.choice([0.0, 1.0, 50.0, 13.8, -20.0, 1e5, 1e-3]), rng.choice([0.01, 1.0, 50.0, 2000.0])
    kind = rng.choice(["wave", "noise", "steps", "counter", "constant", "spikes"])
    values = {
        "wave": lambda row: level + size * math.sin(row / rng.choice([5, 17])),
        "noise": lambda row: level + size * rng.random(),
        "steps": lambda row: level + size * (row // 20),
        "counter": lambda row: level + size * row,
        "constant": lambda row: level,
        "spikes": lambda row: level + (size * 40 if row % 37 == 5 else 0.0),
    }[kind]
    made = [round(values(row), 4) for row in range(rows)]
    if rng.random() < 0.3:
        made[rng.randrange(rows)] = level + size * 1e4
    return made


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32))
def test_every_proposed_range_holds_the_values_but_a_few_isolated_glitches(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = random.Random(seed)
    path = tmp_path_factory.getbasetemp() / "random.csv"
    rows, names = rng.randrange(30, 300), rng.sample(NAMES, rng.randrange(1, 6))
    columns = [column(rng, rows) for _ in names]
    period = rng.choice([0.1, 1, 30])
    lines = [",".join([f"{row * period:.3f}", *(f"{one[row]!r}" for one in columns)]) for row in range(rows)]
    path.write_text("t_s," + ",".join(names) + "\n" + "\n".join(lines) + "\n")
    try:
        mapping, findings = propose_mapping([path])
    except LogError as refusal:
        if "expected a signal that changes" not in str(refusal):
            raise
        return
    assert parse_mapping(mapping.to_toml()) == mapping
    blocks = list(read_log(path, mapping, vehicle="v", counts=Counter(), on_bad=pytest.fail))
    _, values = joined(blocks)
    for index, (name, signal) in enumerate(mapping.signals.items()):
        outside = (values[:, index] < signal.low) | (values[:, index] > signal.high)
        assert outside.sum() == findings.signals[name].outside <= findings.signals[name].outliers <= 3 + rows // 100


def log(path: Path, cell: object, *, head: str = "time,rpm,speed", delimiter: str = ",", decimal: str = ".") -> Path:
    """A log whose first cells come from ``cell(row)``."""
    lines = [
        delimiter.join(
            [cell(row), *(f"{value:.2f}".replace(".", decimal) for value in (1400 + row % 7, 50 + row % 5 * 1.25))]  # type: ignore[operator]
        )
        for row in range(ROWS)
    ]
    path.write_text(head.replace(",", delimiter) + "\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def clock(pattern: str) -> object:
    return lambda row: (START + timedelta(seconds=row)).strftime(pattern)


TIMES = {
    "month first": clock("%m/%d/%Y %H:%M:%S"),
    "month first, two digits, AM": clock("%m/%d/%y %I:%M:%S %p"),
    "month name": clock("%d-%b-%Y %H:%M:%S.000"),
    "ctime": clock("%a %b %d %H:%M:%S %Y"),
    "ctime, zone": clock("%a %b %d %H:%M:%S UTC %Y"),
    "slashes, year first": clock("%Y/%m/%d %H:%M:%S"),
    "points": clock("%d.%m.%Y %H:%M:%S"),
    "basic": clock("%Y%m%dT%H%M%SZ"),
    "no marks": clock("%Y%m%d%H%M%S"),
    "us": lambda row: f"{1698239700 + row}000000",
    "ns": lambda row: f"{1698239700 + row}000000000",
    "excel": lambda row: f"{45224.552083333 + row / 86400:.9f}",
}


@pytest.mark.parametrize("style", TIMES)
def test_a_time_is_read_in_every_style(style: str, tmp_path: Path) -> None:
    path = log(tmp_path / "log.csv", TIMES[style])
    mapping, _ = propose_mapping([path])
    time, _ = joined(list(read_log(path, mapping, vehicle="v", counts=Counter(), on_bad=pytest.fail)))
    np.testing.assert_allclose(np.diff(time), 1_000_000, atol=100)
    assert abs(time[0] - np.datetime64(START, "us").astype(int)) < 100


@pytest.mark.parametrize("offset", ["GMT+02:00", "+0200", "+02", "CEST", "Europe/Berlin"])
def test_a_zone_behind_the_time_is_heeded(offset: str, tmp_path: Path) -> None:
    path = log(tmp_path / "log.csv", clock(f"%d-%b-%Y %H:%M:%S {offset}"))
    mapping, _ = propose_mapping([path])
    time, _ = joined(list(read_log(path, mapping, vehicle="v", counts=Counter(), on_bad=pytest.fail)))
    assert time[0] == np.datetime64(START - timedelta(hours=2), "us").astype(int)


def test_a_date_that_the_file_cannot_settle_is_refused_with_both_readings(tmp_path: Path) -> None:
    path = log(tmp_path / "log.csv", lambda row: f"03/04/2023 13:15:{row:02}")
    with pytest.raises(LogError, match=r"dmy: 2023-04-03 or mdy: 2023-03-04.*--time-format"):
        propose_mapping([path])
    mapping, _ = propose_mapping([path], Mapping(time=TimeColumn(format="mdy")))
    time, _ = joined(list(read_log(path, mapping, vehicle="v", counts=Counter(), on_bad=pytest.fail)))
    assert time[0] == np.datetime64("2023-03-04T13:15:00", "us").astype(int)


def test_newest_first_is_turned_and_a_shuffled_log_is_refused(tmp_path: Path) -> None:
    path = log(tmp_path / "log.csv", lambda row: str(1698239700 + 600 - row * 10))
    mapping, findings = propose_mapping([path])
    time, _ = joined(list(read_log(path, mapping, vehicle="v", counts=Counter(), on_bad=pytest.fail)))
    assert (np.diff(time) == 10_000_000).all()
    assert any("they are turned" in note for note in findings.notes)
    order = random.Random(1).sample(range(ROWS), ROWS)
    path = log(tmp_path / "log.csv", lambda row: str(1698239700 + order[row] * 600))
    with pytest.raises(LogError, match=r"rows are not in time order: they go back .* sort the log"):
        propose_mapping([path])


def test_two_vehicles_without_a_column_are_noted(tmp_path: Path) -> None:
    path = log(tmp_path / "log.csv", lambda row: str(row // 2))
    _, findings = propose_mapping([path])
    assert any("two vehicles? name the column log.vehicle_column" in note for note in findings.notes)


def test_rows_in_a_wrapper_object_and_a_pretty_array_are_read(tmp_path: Path) -> None:
    rows = [{"time": 1698239700 + row, "obd": {"rpm": 1400 + row % 7}} for row in range(ROWS)]
    for name, text in (
        ("wrapped.json", json.dumps({"meta": {"id": 1}, "data": rows})),
        ("pretty.json", json.dumps(rows, indent=2)),
    ):
        (tmp_path / name).write_text(text)
        mapping, findings = propose_mapping([tmp_path / name])
        assert (mapping.names, findings.rows) == (("obd.rpm",), ROWS)


def test_what_the_options_say_completes_a_partial_mapping(tmp_path: Path) -> None:
    path = log(tmp_path / "log.csv", lambda row: "sensor off" if row % 3 == 0 else str(row), head="a,rpm,speed")
    given = Mapping(time=TimeColumn(kind="rate", rate_hz=10.0), log=LogLayout(missing=("sensor off",)))
    mapping, findings = propose_mapping([path], given)
    assert mapping.ticks.period_s == 0.1
    assert mapping.log.missing == ("sensor off",)
    assert findings.signals["rpm"].readings == ROWS


def test_a_models_mapping_reads_logs_of_another_logger_by_name_and_says_what_is_missing(tmp_path: Path) -> None:
    mapping, _ = propose_mapping([log(tmp_path / "log.csv", str, head="Zeit,Engine RPM [rpm],Speed (km/h)")])
    carried = parse_mapping(to_carry(mapping))
    named = log(tmp_path / "named.csv", str, head="time,engine_rpm,Speed")
    blocks = list(read_log(named, carried, vehicle="v", counts=Counter(), on_bad=pytest.fail))
    assert joined(blocks)[1][0].tolist() == [1400.0, 50.0]
    other = log(tmp_path / "other.csv", str, head="time,EngineRPM,velocity")
    with pytest.raises(LogError, match=r"found only: time; .*Engine RPM \[rpm\] is perhaps 'EngineRPM'; .*--map"):
        list(read_log(other, carried, vehicle="v", counts=Counter(), on_bad=pytest.fail))
