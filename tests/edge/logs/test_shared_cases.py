"""Logs as loggers and telematics systems write them, each with its right answer: every row of the cases' README.

``TICKOVER_CASES`` names the folder that holds ``logs/``; default: ``../shared/cases``. Absent, the tests are
skipped, and say so.
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import paths
from logs import joined
from tickover.core.resample import Ticks
from tickover.core.values import SECOND
from tickover.errors import LogError
from tickover.logs.inspection import Findings, propose_mapping
from tickover.logs.mapping import LogLayout, Mapping, TimeColumn
from tickover.logs.reading import read_log

CASES = Path(os.environ.get("TICKOVER_CASES", paths.ROOT.parent / "shared" / "cases")) / "logs"

pytestmark = pytest.mark.skipif(
    not CASES.is_dir(), reason="shared logs absent: set TICKOVER_CASES to the folder that holds logs/"
)


@dataclass(frozen=True)
class Right:
    """What a log is: rows, signals by name, ticks' period, hours, bad rows, vehicles, and words of its findings."""

    signals: str
    rows: int = 300
    period: float = 1.0
    seconds: float | None = None
    bad: int = 0
    vehicles: int = 0
    said: tuple[str, ...] = ()
    units: dict[str, str] = field(default_factory=dict)
    given: Mapping | None = None


TWO, THREE = "rpm speed", "rpm speed coolant"
MISSING_CELL = "signal 'egt': 15 cells hold no number and are missing: '{}' 15"
CELLS = {
    "backslash_n": "\\N",
    "bad": "Bad",
    "dashes": "--",
    "dot": ".",
    "excel_div": "#DIV/0!",
    "hash_na": "#N/A",
    "inf": "inf",
    "nullw": "NULL",
}
TORQUE = "gps_speed engine_rpm speed_obd engine_coolant_temperature throttle_position_manifold"
CARSCANNER = "engine_rpm vehicle_speed engine_coolant_temperature absolute_throttle_position"
RIGHT = {
    "torque.csv": Right(
        TORQUE,
        said=("column 'GPS Time': a time", "'Bearing': an angle", "'Longitude': a position", "'Latitude': a position"),
    ),
    "carscanner_long.csv": Right(CARSCANNER, 1200, units={"engine_rpm": "rpm", "vehicle_speed": "km/h"}),
    "racechrono_v3.csv": Right(
        "speed_100_gps speed_200_obd rpm coolant_temp throttle_pos",
        said=("8 lines before the header are skipped",),
        units={"speed_100_gps": "m/s", "throttle_pos": "%"},
    ),
    "obdwiz_starttime.csv": Right(
        "engine_rpm vehicle_speed engine_coolant_temperature absolute_throttle_position",
        said=("1 comment lines", "began at 2023-10-25T13:15:00.1234"),
    ),
    "comment_lines.csv": Right(TWO, said=("2 comment lines",)),
    "comment_mid.csv": Right(TWO, said=("3 comment lines",)),
    "traccar_positions.csv": Right("valid speed", 600, vehicles=2, said=("JSON in a cell", "column 'id': an id")),
    "samsara_two_vehicles.csv": Right("engine_rpm Speed coolant_temp", 600, vehicles=2),
    "influx_annotated.csv": Right("rpm speed coolant throttle", 300, vehicles=1),
    "influx1_ns.csv": Right(THREE),
    "influx_line.txt": Right(THREE, vehicles=1),
    "pq_int_ns.parquet": Right(TWO),
    "pq_dict_bool_dec.parquet": Right("rpm brake speed", said=("column 'gear'",)),
    "pq_long_dict.parquet": Right(TWO),
    "pq_string_time.parquet": Right(TWO),
    "pq_ts_ns_tz.parquet": Right(TWO),
    "decimal_comma_iso.csv": Right(THREE, said=("decimal commas",)),
    "decimal_comma_some_int.csv": Right(THREE, said=("decimal commas",)),
    "epoch_decimal_comma.csv": Right(TWO, said=("decimal commas",)),
    "scada_de_date_time.csv": Right("Drehzahl Geschwindigkeit kuhlmittel", said=("decimal commas",)),
    "ampm.csv": Right(TWO, seconds=299),
    "dmy_slash.csv": Right(TWO, seconds=299),
    "utc_word.csv": Right(TWO, seconds=299),
    "time_min.csv": Right(TWO, seconds=299),
    "elapsed_over_24h.csv": Right(TWO, seconds=299),
    "date_and_time_iso.csv": Right(TWO, seconds=70 * 3600 + 299),
    "dst_autumn_local.csv": Right(TWO, 600, 12.0, said=("the clock goes back an hour at 2023-10-29",)),
    "out_of_order.csv": Right(TWO, seconds=299, said=("they are sorted",)),
    "cell_hash_na_late.csv": Right("rpm speed egt", 1200, said=("943 cells hold no number", "'#N/A' 943")),
    "bool_enum.csv": Right("rpm speed brake pto", said=("column 'gear': not numbers, left out",)),
    "json_bool.jsonl": Right("rpm brake"),
    "python_obd_units.csv": Right("RPM SPEED COOLANT_TEMP", units={"RPM": "revolutions_per_minute"}),
    "percent_cells.csv": Right("rpm load battery", units={"load": "%", "battery": "V"}),
    "hex_cells.csv": Right("rpm raw"),
    "thousands.csv": Right(TWO),
    "thousands_mixed.csv": Right(TWO),
    "nested_ok_time.jsonl": Right("obd.rpm obd.speed coolant"),
    "thingsboard.jsonl": Right(TWO),
    "json_array.json": Right("rpm"),
    "json_array_as.jsonl": Right("rpm"),
    "kuksa_long.csv": Right(
        "Vehicle.Speed Vehicle.Powertrain.CombustionEngine.Speed Vehicle.IsBrokenDown", said=("CurrentGear': not num",)
    ),
    "units_row.csv": Right(THREE, units={"rpm": "1/min", "coolant": "°C"}),
    "two_header_lines.csv": Right("engine_speed engine_coolant vehicle_speed", units={"engine_speed": "rpm"}),
    "duplicate_columns.csv": Right("temp temp.2 rpm"),
    "excel_sep_line.csv": Right(TWO),
    "comma_in_header.csv": Right("torque_request speed"),
    "cells_more_than_header.csv": Right("rpm speed coolant column_5", 900),
    "two_tabs.tsv": Right(TWO),
    "gps_odo_heading.csv": Right(
        TWO,
        said=("'odometer': a counter", "'engine_hours': a counter", "'sequence': a counter", "'heading': an angle"),
    ),
    "narrow_span.csv": Right("mains_hz baro_pa battery_v rpm", 900, said=("'odometer_km': a counter",)),
    "one_per_minute.csv": Right(TWO, period=60.0),
    "rate_no_time.csv": Right(THREE, 900, given=Mapping(time=TimeColumn(kind="rate", rate_hz=1.0))),
    "trip.log": Right(TWO),
    "trip.csv.zip": Right(TWO),
    "UPPER.CSV": Right(TWO),
    "bom_quoted.csv": Right(TWO),
    "gaps.csv": Right(TWO),
    "iso_ns.csv": Right(TWO),
    "nan_last.csv": Right(TWO, 301),
    "nul_tail.csv": Right(TWO, bad=1),
    "offset_nocolon.csv": Right(TWO),
    "offset_pg.csv": Right(TWO),
    "one_signal.csv": Right("coolant"),
    "padded_long.csv": Right("rpm wopt_bh_1"),
    "pandas_index.csv": Right(TWO),
    "truncated_last.csv": Right(TWO, bad=1),
    "utf16_excel.txt": Right(THREE),
    **{f"cell_{name}.csv": Right("rpm speed egt", said=(MISSING_CELL.format(text),)) for name, text in CELLS.items()},
    **{f"every_{step}s.csv": Right(TWO, 400, float(step)) for step in (2, 5, 15, 20, 30, 60)},
    **{f"alternator_clean{number}.csv": Right("rpm speed battery_v throttle", 1800) for number in range(8)},
    "alternator_fault_12v6.csv": Right("rpm speed battery_v throttle", 1800),
    "alternator_fault_10v5.csv": Right("rpm speed battery_v throttle", 1800),
}
REFUSED = {
    "all_constant.csv": "expected a signal that changes",
    "no_header.csv": "expected a header that names the columns, got a row of values: '2023-10-25 13:15:00,1396.16",
    "comma_in_header_unquoted.csv": r"header time, Torque, Request, speed; row '2023-10-25 13:15:00,1400.0,50.0'; put",
    "rate_no_time.csv": "--rate-hz 1",
}


def found(name: str, given: Mapping | None = None) -> tuple[Mapping, Findings]:
    return propose_mapping([CASES / name], given)


def blocks_of(name: str, mapping: Mapping) -> tuple[np.ndarray, np.ndarray, Counter[str]]:
    counts: Counter[str] = Counter()
    blocks = list(read_log(CASES / name, mapping, vehicle="v", counts=counts, on_bad=lambda text: None))
    return (*joined(blocks), counts)


def test_every_case_has_an_answer() -> None:
    names = {path.name for path in CASES.iterdir()} - {"README.md", "wide300.csv.gz"}
    assert names <= RIGHT.keys() | REFUSED.keys(), names - RIGHT.keys() - REFUSED.keys()


@pytest.mark.parametrize("name", RIGHT)
def test_a_log_is_read_right(name: str) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")  # the extra parquet
    right = RIGHT[name]
    mapping, findings = found(name, right.given)
    assert mapping.names == tuple(right.signals.split())
    time, values, counts = blocks_of(name, mapping)
    assert (len(time), counts["bad_rows"]) == (right.rows, right.bad)
    assert mapping.ticks.period_s == right.period
    assert len(findings.vehicles) == right.vehicles
    if right.seconds is not None:
        assert findings.seconds == pytest.approx(right.seconds, abs=0.01)
    text = "\n".join(findings.notes)
    assert all(words in text for words in right.said), text
    assert {signal: mapping.signals[signal].unit for signal in right.units} == right.units
    for index, column in enumerate(mapping.signals.values()):
        inside = values[np.isfinite(values[:, index]), index]
        assert ((inside >= column.low) & (inside <= column.high)).all(), mapping.names[index]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_safely_is_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(LogError, match=REFUSED[name]):
        found(name)


@pytest.mark.parametrize("number", range(8))
def test_cranking_and_full_throttle_are_within_the_range(number: int) -> None:
    mapping, _ = found(f"alternator_clean{number}.csv")
    battery, throttle = mapping.signals["battery_v"], mapping.signals["throttle"]
    assert battery.low <= 9.6
    assert battery.high >= 16
    assert throttle.low <= 0 < 80 <= throttle.high


def test_a_local_clock_in_its_zone_has_no_break_in_the_autumn_hour() -> None:
    mapping, findings = found("dst_autumn_local.csv", Mapping(time=TimeColumn(zone="Europe/Berlin")))
    time, _, _ = blocks_of("dst_autumn_local.csv", mapping)
    assert set(np.diff(time)) == {12 * SECOND}
    assert len(time) == 600
    assert time[0] == np.datetime64("2023-10-29T00:30:00", "us").astype(int)
    assert not any("goes back an hour" in note for note in findings.notes)


def test_the_two_speeds_of_racechrono_are_told_apart_by_their_source() -> None:
    mapping, _ = found("racechrono_v3.csv")
    assert (mapping.signals["speed_100_gps"].column, mapping.signals["speed_200_obd"].column) == (
        "speed 100: gps",
        "speed 200: obd",
    )


def test_texts_for_no_value_can_be_added() -> None:
    log = LogLayout(missing=("N",))
    mapping, _ = found("bool_enum.csv", Mapping(log=log))
    assert mapping.log.missing == ("N",)


@pytest.mark.parametrize(("name", "vehicles"), [("traccar_positions.csv", 2), ("samsara_two_vehicles.csv", 2)])
def test_each_vehicle_has_its_own_ticks(name: str, vehicles: int) -> None:
    mapping, _ = found(name)
    ticks: dict[str, Ticks] = {}
    number: Counter[str] = Counter()
    for block in read_log(CASES / name, mapping, vehicle="v", counts=Counter(), on_bad=pytest.fail):
        grid = mapping.ticks
        one = ticks.setdefault(
            block.vehicle,
            Ticks(
                block.vehicle,
                mapping.manifest_signals(),
                round(grid.period_s * SECOND),
                round(grid.gap_limit_s * SECOND),
                round(grid.lateness_s * SECOND),
            ),
        )
        number[block.vehicle] += len(one.add(block).time)
    for vehicle, one in ticks.items():
        number[vehicle] += len(one.flush().time)
    assert len(number) == vehicles
    assert set(number.values()) == {300}


def test_thousands_and_hex_and_units_are_the_numbers_they_stand_for() -> None:
    for name, signal, first in (
        ("thousands.csv", "rpm", 1396.2),
        ("thousands_mixed.csv", "rpm", 796.2),
        ("hex_cells.csv", "raw", 70.0),
        ("percent_cells.csv", "load", 24.84),
        ("python_obd_units.csv", "SPEED", 50.51),
        ("decimal_comma_iso.csv", "rpm", 1396.16),
    ):
        mapping, findings = found(name)
        assert findings.signals[signal].first == pytest.approx(first)
        assert blocks_of(name, mapping)[1][0, mapping.names.index(signal)] == first
