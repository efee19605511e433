"""The shared recordings with known answers: every case, from the numbers in ``expected.json``.

``TICKOVER_CAN_CASES`` names the folder; another with other numbers and the same file names is read the same way.
"""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import can_files
from tickover.core.resample import Ticks
from tickover.core.values import SECOND
from tickover.logs.bus_survey import survey
from tickover.logs.inspection import look
from tickover.logs.mapping import Mapping, SignalColumn
from tickover.logs.reading import read_log

CASES = can_files.shared("TICKOVER_CAN_CASES", "can/cases/A")
EXPECTED: dict[str, Any] = json.loads((CASES / "expected.json").read_text(encoding="utf-8"))


def case(name: str) -> tuple[Path, dict[str, Any], list[Path]]:
    expected = EXPECTED[name]
    names = expected["dbc"] if isinstance(expected["dbc"], list) else [expected["dbc"]]
    return CASES / name, expected, [CASES / one for one in names if one.endswith(".dbc")]


def values(rows: list[list], column: int = 1) -> dict[float, float]:
    """Expected readings by time; what is null is no reading."""
    return {round(row[0], 6): row[column] for row in rows if row[column] is not None}


def same(found: dict[float, float], wanted: dict[float, float]) -> bool:
    return found.keys() == wanted.keys() and all(
        math.isclose(found[t], wanted[t], rel_tol=1e-9, abs_tol=1e-9) for t in wanted
    )


def test_reserved_error_and_absent_words_are_missing_and_counted_apart() -> None:
    path, expected, dbc = case("01_sentinel_word.log")
    found, counts, _ = can_files.readings(path, ["EngineSpeed"], can_files.layout(*dbc))
    assert same(found["EngineSpeed"], values(expected["EngineSpeed"]))
    lost = sum(value is None for _, value in expected["EngineSpeed"])
    words = ("reserved", "error", "not available")
    assert sum(counts[f"EngineSpeed {word}"] for word in words) == lost
    frames, _, _ = can_files.frames_of(path)
    tops = [int(data[4]) for data in frames.data]
    assert counts["EngineSpeed error"] == tops.count(0xFE)
    assert counts["EngineSpeed not available"] == tops.count(0xFF)
    assert len(frames) == expected.get("frames", len(frames))


def test_reserved_error_and_absent_bytes_are_missing() -> None:
    path, expected, dbc = case("02_sentinel_byte.log")
    found, _, _ = can_files.readings(path, ["CoolantTemp", "OilTemp"], can_files.layout(*dbc))
    assert same(found["CoolantTemp"], values(expected["CoolantTemp,OilTemp"], 1))
    assert same(found["OilTemp"], values(expected["CoolantTemp,OilTemp"], 2))


def test_two_bits_know_error_and_absent() -> None:
    path, expected, dbc = case("03_two_bit.log")
    found, counts, _ = can_files.readings(path, ["ParkingBrake"], can_files.layout(*dbc))
    assert same(found["ParkingBrake"], values(expected["ParkingBrake"]))
    assert (counts["ParkingBrake error"], counts["ParkingBrake not available"]) == (1, 1)


def test_sources_are_apart_and_one_without_a_value_is_named_and_left_out() -> None:
    path, expected, dbc = case("04_four_sources.log")
    wanted = expected["VehicleSpeed by source address"]
    columns = [f"VehicleSpeed@{source}" for source in wanted]
    found, _, _ = can_files.readings(path, columns, can_files.layout(*dbc))
    for source, rows in wanted.items():
        assert same(found[f"VehicleSpeed@{source}"], values(rows))
    seen = survey([path], can_files.layout(*dbc))
    with_values = {s for s, rows in wanted.items() if values(rows)}
    assert {name for name in seen.columns() if name.startswith("VehicleSpeed")} == {
        f"VehicleSpeed@{s}" for s in with_values
    }
    silent = {str(track.origin) for track in seen.without_values() if track.column == "VehicleSpeed"}
    assert silent == wanted.keys() - with_values
    _, findings = look([path], layout=can_files.layout(*dbc))
    assert all(
        any(f"VehicleSpeed@{s}" in note and "never with a value" in note for note in findings.notes) for s in silent
    )


def test_a_signal_without_a_source_takes_one_source_and_counts_the_others() -> None:
    path, expected, dbc = case("04_four_sources.log")
    wanted = expected["VehicleSpeed by source address"]
    found, counts, told = can_files.readings(path, ["VehicleSpeed"], can_files.layout(*dbc))
    owners = [source for source, rows in wanted.items() if same(found["VehicleSpeed"], values(rows))]
    assert len(owners) == 1
    others = [values(rows) for source, rows in wanted.items() if source not in owners]
    assert counts["VehicleSpeed of other source"] == sum(map(len, others))
    assert len(told) == sum(map(bool, others))


def test_a_destination_is_no_part_of_the_match() -> None:
    path, expected, dbc = case("05_pdu1.log")
    rows = expected["Prop [t, source, destination, value]"]
    sources = sorted({source for _, source, _, _ in rows})
    found, _, _ = can_files.readings(path, [f"Prop@{source}" for source in sources], can_files.layout(*dbc))
    for source in sources:
        assert same(found[f"Prop@{source}"], {round(t, 6): value for t, s, _, value in rows if s == source})


def test_a_short_frame_loses_the_signal_that_it_cuts() -> None:
    path, expected, dbc = case("06_short.log")
    found, counts, _ = can_files.readings(path, ["EngineSpeed"], can_files.layout(*dbc))
    assert same(found["EngineSpeed"], values(expected["EngineSpeed"]))
    assert counts["EngineSpeed frame too short"] == sum(v is None for _, v in expected["EngineSpeed"])


def test_tyres_are_told_apart_by_their_location() -> None:
    path, expected, dbc = case("07_tire_by_location.log")
    wanted = expected["TirePressure by TireLocation"]
    source = f"{int(can_files.frames_of(path)[0].key[0]) & 0xFF:02X}"
    columns = [f"TirePressure@{source}.{place}" for place in wanted]
    found, _, _ = can_files.readings(path, columns, can_files.layout(*dbc))
    for place, rows in wanted.items():
        assert same(found[f"TirePressure@{source}.{place}"], values(rows))
    assert set(columns) <= set(survey([path], can_files.layout(*dbc)).columns())


def test_motorola_signed_and_two_identifiers_of_one_number() -> None:
    path, expected, dbc = case("08_plain.log")
    names = ["BigU", "BigS", "LitS", "Gear", "State"]
    found, _, _ = can_files.readings(path, [*names, "EXT100.Other"], can_files.layout(*dbc))
    for place, name in enumerate(names, start=1):
        assert same(found[name], values(expected[f"t,{','.join(names)}"], place))
    assert same(found["EXT100.Other"], values(expected["EXT100.Other"]))


def test_floats_that_are_none_or_beyond_the_plausible_are_missing() -> None:
    path, expected, dbc = case("09_float.log")
    signals = {"F32": SignalColumn(), "U32": SignalColumn(high=1e10)}
    mapping = Mapping(signals=signals, log=can_files.layout(*dbc))
    ticks = Ticks("v", mapping.manifest_signals(), SECOND // 10, SECOND * 30, SECOND)
    blocks = [ticks.add(b) for b in read_log(path, mapping, vehicle="v", counts=Counter(), on_bad=print)]
    blocks.append(ticks.flush())
    rows = {round(int(t) / 1e6, 6): v for b in blocks for t, v in zip(b.time, b.values, strict=True)}
    for t, f32, u32 in expected["t,F32,U32"]:
        got = rows[round(t, 6)]
        assert math.isnan(got[0]) if f32 is None else got[0] == f32
        assert got[1] == pytest.approx(u32, rel=1e-6)
    exact, _, _ = can_files.readings(path, ["U32"], can_files.layout(*dbc))
    assert same(exact["U32"], values(expected["t,F32,U32"], 2))


def test_pages_of_a_multiplexer() -> None:
    path, expected, dbc = case("10_mux.log")
    names = ["P0", "P1", "All"]
    found, counts, _ = can_files.readings(path, names, can_files.layout(*dbc))
    rows = expected["t,P0,P1,All"]
    for place, name in enumerate(names, start=1):
        assert same(found[name], values(rows, place))
    assert counts["unknown_page"] == sum(p0 is None and p1 is None for _, p0, p1, _ in rows)


def test_a_dbc_in_utf8_and_in_cp1252_say_the_same() -> None:
    path, expected, dbc = case("11_degree.log")
    for one in dbc:
        found, _, _ = can_files.readings(path, ["Temp", "Vol"], can_files.layout(one))
        assert same(found["Temp"], values(expected["Temp"]))
        assert same(found["Vol"], values(expected["Vol"]))
        units = {track.column: track.signal.unit for track in survey([path], can_files.layout(one)).tracks.values()}
        assert units == {"Temp": "°C", "Vol": "m³"}
