"""``tickover inspect``: the mapping it proposes and what it says of a log."""

import random
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from tickover.cli import root
from tickover.errors import ConfigError, LogError
from tickover.logs.inspection import clean_name, propose_mapping
from tickover.logs.mapping import Mapping, parse_mapping
from tickover.logs.reading import read_log


def log(tmp_path: Path, header: str, rows: list[str], name: str = "log.csv") -> Path:
    path = tmp_path / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("column", "name", "unit"),
    [
        ("Engine Coolant Temperature [°C]", "engine_coolant_temperature", "°C"),
        ("Engine Coolant Temperature [Â°C]", "engine_coolant_temperature", "°C"),
        ("Öl-Druck (bar)", "ol_druck", "bar"),
        ("pedD", "pedD", ""),
        ("Volume Flow RateRMS", "volume_flow_raterms", ""),
        ("3rd gear", "s_3rd_gear", ""),
        ("速度", "signal", ""),
    ],
)
def test_names_and_units_come_from_the_header(column: str, name: str, unit: str) -> None:
    assert clean_name(column) == (name, unit)
    assert clean_name(column, [name])[0] == f"{name}_2"


@pytest.mark.parametrize(
    ("column", "cells", "kind", "period_s"),
    [
        ("time [s]", "{}", "seconds", 1.0),
        ("Time (s)", "{}.0", "seconds", 1.0),
        ("t [s]", "17145648{:02}", "epoch_s", 1.0),
        ("timestamp [ms]", "17145648{:02}000", "epoch_ms", 1.0),
        ("Time [UTC]", "2024-05-01T12:00:{:02}", "iso", 1.0),
        ("time [ms]", "{}00", "epoch_ms", 0.1),
        ("t_ms", "{}00", "epoch_ms", 0.1),
    ],
)
def test_a_time_column_may_carry_its_unit(tmp_path: Path, column: str, cells: str, kind: str, period_s: float) -> None:
    """Also without a mapping of its own, as ``replay`` reads a log."""
    path = log(tmp_path, f"speed [km/h],{column}", [f"{row % 7},{cells.format(row)}" for row in range(10, 60)])
    mapping, findings = propose_mapping([path])
    assert (mapping.time.column, mapping.time.kind) == (column, kind)
    assert list(mapping.signals) == ["speed"]
    assert findings.row_period_s == pytest.approx(period_s)
    (block,) = read_log(path, Mapping(signals=mapping.signals), vehicle="", counts=Counter(), on_bad=pytest.fail)
    assert block.time[1] - block.time[0] == round(period_s * 1e6)


def test_a_text_that_is_a_date_once_does_not_make_its_column_the_time(tmp_path: Path) -> None:
    path = log(tmp_path, "note,v", [f"{'2024-05-01' if row == 3 else 'ok'},{row}" for row in range(50)])
    with pytest.raises(LogError, match="expected a time column"):
        propose_mapping([path])


def test_a_unit_of_time_that_is_not_known_is_not_taken_for_seconds(tmp_path: Path) -> None:
    path = log(tmp_path, "time [fortnight],v", [f"{row},{row % 7}" for row in range(50)])
    with pytest.raises(LogError, match="expected a time column"):
        propose_mapping([path])


def test_an_outlier_is_found_and_the_proposed_range_makes_it_missing(tmp_path: Path) -> None:
    rng = random.Random(1)
    intake = [20 + row / 200 + rng.choice([0, 0, 1]) for row in range(2000)]
    speed = [max(0.0, min(80.0, (row % 400) - 100 + rng.random())) for row in range(2000)]
    for row in (700, 1500):
        intake[row] = 146
    path = log(
        tmp_path, "t_s,iat,speed", [f"{row},{a},{b:.1f}" for row, (a, b) in enumerate(zip(intake, speed, strict=True))]
    )
    mapping, findings = propose_mapping([path])
    seen = findings.signals["iat"]
    assert (seen.outliers, seen.outside, seen.outlier_values) == (2, 2, (146.0, 146.0))
    assert mapping.signals["iat"].high < 146
    assert mapping.signals["iat"].low < -10
    assert mapping.signals["iat"].high > 60
    assert findings.signals["speed"].outliers == findings.signals["speed"].outside == 0
    assert any("'iat': 2 outliers" in note for note in findings.notes)


def test_what_cannot_be_negative_has_no_range_below_zero(tmp_path: Path) -> None:
    rows = [f"{t},{t % 50 * 20},{t % 20 - 5},{t % 7 - 1}" for t in range(300)]
    mapping, _ = propose_mapping([log(tmp_path, "t_s,engine [rpm],air [C],boost [kPa]", rows)])
    assert mapping.signals["engine"].low == 0
    assert mapping.signals["air"].low < -5
    assert mapping.signals["boost"].low < -1, "readings below zero were seen"


def test_a_range_that_ends_at_zero_ends_at_zero(tmp_path: Path) -> None:
    """And not beside it by two digits of a rounding error."""
    air = [15.5] * 30 + [round(15.5 + step / 10, 1) for step in range(32) for _ in range(70)]
    mapping, _ = propose_mapping([log(tmp_path, "time,air", [f"{second},{value}" for second, value in enumerate(air)])])
    assert mapping.signals["air"].low == 0.0


def test_columns_that_say_nothing_are_left_out_and_said(tmp_path: Path) -> None:
    rows = [f"2024-01-01 00:00:{row:02};{row};7;;Bob;0" for row in range(60)]
    path = log(tmp_path, "datetime;rpm;fixed;gone;driver;anomaly", rows)
    mapping, findings = propose_mapping([path])
    assert mapping.names == ("rpm", "fixed")
    assert (findings.time_column, findings.time_kind) == ("datetime", "iso")
    text = "\n".join(findings.notes)
    for said in (
        "column 'driver': not numbers, left out",
        "column 'anomaly': named like a label, left out",
        "'fixed': constant (7): kept as a watched constant",
        "'gone': holds no reading",
        "left out, empty in these logs: gone",
    ):
        assert said in text


def test_rates_and_missing_shares_give_period_and_hold(tmp_path: Path) -> None:
    rows = [f"{row / 10:.1f},{row % 50},{row % 7 if row % 20 == 0 else ''}" for row in range(1000)]
    mapping, findings = propose_mapping([log(tmp_path, "t_s,fast,slow", rows)])
    assert mapping.ticks.period_s == 0.1
    assert mapping.signals["fast"].hold_s == pytest.approx(0.3)
    assert mapping.signals["slow"].hold_s == pytest.approx(6.0)
    assert findings.signals["slow"].missing == pytest.approx(0.95)


def test_long_logs_and_vehicle_columns_are_recognised(tmp_path: Path) -> None:
    rows = [f"{row},van-{row % 2},{name},{row % 9}" for row in range(40) for name in ("rpm", "T [°C]")]
    mapping, findings = propose_mapping([log(tmp_path, "t_s,vehicle,signal,value", rows)])
    assert mapping.log.layout == "long"
    assert mapping.log.vehicle_column == "vehicle"
    assert mapping.columns == ("rpm", "T [°C]")
    assert mapping.names == ("rpm", "T")
    assert findings.rows == 40


def test_logs_that_differ_keep_the_columns_they_share(tmp_path: Path) -> None:
    one = log(tmp_path, "t_s,a,b", ["0,1,2", "1,2,3", "2,1,4"], "one.csv")
    two = log(tmp_path, "t_s,a,c", ["0,1,2", "1,2,3", "2,1,4"], "two.csv")
    mapping, findings = propose_mapping([one, two])
    assert mapping.names == ("a",)
    assert any("two.csv: has no b; left out" in note for note in findings.notes)


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("a,b", ["1,2", "3,4"], ":1: expected a time column, got a, b; for rows at a fixed rate, give it: --rate-hz"),
        ("time,b", ["x,2", "y,4"], ":2: expected a time in column 'time'"),
        ("time,b", ["1,x", "2,y"], ": expected columns of numbers besides the time, got time, b"),
        ("time,b", ["1,5", "2,5"], "expected a signal that changes; all are empty or constant: b"),
        ("time,b", [], ":2: expected a time in column 'time'"),
    ],
)
def test_a_log_that_gives_no_mapping_is_refused(tmp_path: Path, header: str, rows: list[str], message: str) -> None:
    with pytest.raises(LogError) as refusal:
        propose_mapping([log(tmp_path, header, rows)])
    assert message in str(refusal.value)


def test_the_command_puts_the_mapping_on_stdout_and_the_findings_on_stderr(tmp_path: Path) -> None:
    path = log(tmp_path, "t_s,rpm", [f"{row},{row % 5 * 100}" for row in range(50)] + ["50,x"])
    result = CliRunner().invoke(root, ["inspect", str(path)])
    assert result.exit_code == 0
    mapping = parse_mapping(result.stdout)
    assert mapping == propose_mapping([path])[0]
    assert "51 rows, 0 bad rows, " in result.stderr
    assert f"bad cell: {path}:52: column 'rpm': expected a number, got 'x'" in result.stderr
    assert "rpm" in result.stderr


def test_a_given_mapping_is_looked_through_and_returned(tmp_path: Path) -> None:
    path = log(tmp_path, "t_s,rpm,x", ["0,800,1", "1,900,1", "2,9000,1"])
    (tmp_path / "map.toml").write_text("[signals.rpm]\nhigh = 8000.0\nlow = 0.0\n")
    result = CliRunner().invoke(root, ["inspect", str(path), "--map", str(tmp_path / "map.toml")])
    assert parse_mapping(result.stdout).signals["rpm"].high == 8000.0
    assert result.stderr.splitlines()[4].split()[9] == "1", result.stderr
    (tmp_path / "map.toml").write_text("[signals.rpm]\nhihg = 8000.0\n")
    result = CliRunner().invoke(root, ["inspect", str(path), "--map", str(tmp_path / "map.toml")])
    assert isinstance(result.exception, ConfigError)


def test_the_kit_trips_of_summer_give_ranges_that_winter_fits(trips_1hz: list[Path]) -> None:
    summer = [path for path in trips_1hz if path.name.startswith("2017") and "Messfehler" not in path.name]
    winter = [path for path in trips_1hz if path.name.startswith("2018")]
    mapping, findings = propose_mapping(summer)
    assert mapping.names == ("ect", "map", "rpm", "speed", "iat", "maf", "thr", "aat", "pedD", "pedE")
    assert mapping.ticks.period_s == 1.0
    assert not any(seen.outside for seen in findings.signals.values())
    _, there = propose_mapping(winter, mapping)
    assert not any(seen.outside for seen in there.signals.values())


def test_the_raw_kit_trips_are_recognised(data_dir: Path) -> None:
    for path in sorted((data_dir / "kit-obd" / "raw").glob("*.csv.gz")):
        mapping, findings = propose_mapping([path])
        assert findings.time_kind == "time_of_day"
        assert mapping.ticks.period_s == 1.0
        assert mapping.signals["engine_coolant_temperature"].unit == "°C"
        assert any("cells repeat" in note for note in findings.notes)
