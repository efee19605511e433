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
from tickover.payloads.can.interpreter import Interpreter
from tickover.payloads.can.shipped import shipped_catalogue

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


def test_transport_and_trouble_codes() -> None:
    path, expected, _ = case("12_transport_dm1.log")
    frames, _, _ = can_files.frames_of(path)
    assert len(frames) == expected["frames"]
    interpreter = Interpreter(shipped_catalogue())
    # In blocks of three frames: a session may lie across any number of them.
    found = [
        one for at in range(0, len(frames), 3) for one in interpreter.take(frames.part(slice(at, at + 3))).diagnoses
    ]
    interpreter.finish()
    got = [
        [round(one.time / 1e6, 6), f"{one.source:02X}", list(one.lamps), [list(code) for code in one.codes]]
        for one in sorted(found, key=lambda one: one.time)
    ]
    key = next(key for key in expected if key.startswith("dm1"))
    wanted = [[round(row[0], 6), *row[1:]] for row in expected[key] if row is not None]
    assert [row for row in got if row in wanted] == sorted(wanted, key=lambda row: row[0])
    # A row without numbers stands for a message that does not fit the case's own layout.
    assert len(got) == len(expected[key])
    assert interpreter.sessions is not None
    counts = interpreter.sessions.counts
    counted = expected["counted"]
    assert counts["completed"] == counted["sessions completed"]
    for word, reasons in {
        "incomplete": ("timed out", "packet missing"),
        "orphan": ("orphan",),
        "replaced": ("replaced",),
        "aborted": ("aborted",),
        "open": ("open at the end",),
    }.items():
        wanted_count = next(count for text, count in counted.items() if text.startswith(word))
        assert sum(counts[reason] for reason in reasons) == wanted_count, word
    assert interpreter.texts[0xFEEC, 0] == expected["vehicle identification"]


def test_codes_are_active_from_their_first_message_to_the_first_without_them() -> None:
    path, expected, _ = case("12_transport_dm1.log")
    seen = survey([path], can_files.layout())
    key = next(key for key in expected if key.startswith("dm1"))
    rows = [row for row in expected[key] if row is not None]
    spans = {(f"{span.source:02X}", span.code.spn, span.code.fmi): span for span in seen.codes.spans}
    assert spans.keys() == {(source, spn, fmi) for _, source, _, codes in rows for spn, fmi, _, _ in codes}
    for (source, spn, fmi), span in spans.items():
        times = [t for t, s, _, codes in rows if s == source and [spn, fmi] in [code[:2] for code in codes]]
        without = [t for t, s, _, codes in rows if s == source and t > max(times) and not codes]
        assert span.start == round(min(times) * 1e6)
        last = round(max(times) * 1e6)
        gone = round(without[0] * 1e6) if without else None
        assert last <= span.end <= last + 3_000_000
        assert gone is None or span.end <= gone


OBD = {
    "rpm": "obd_engine_speed",
    "coolant": "obd_coolant_temperature",
    "speed": "obd_vehicle_speed",
    "map": "obd_intake_manifold_pressure",
    "maf": "obd_mass_air_flow",
}
DELAY = {"rpm": 0.01, "coolant": 0.11, "speed": 0.23, "map": 0.23, "maf": 0.23}
"""When each answer is complete, seconds after its row's time."""


def test_answers_of_obd_without_a_dbc() -> None:
    path, expected, _ = case("13_obd.log")
    found, _, _ = can_files.readings(path, [*OBD.values()], can_files.layout())
    key = "t,rpm,coolant,speed,map,maf"
    for place, name in enumerate(key.split(",")[1:], start=1):
        wanted = {round(row[0] + DELAY[name], 6): row[place] for row in expected[key]}
        assert same(found[OBD[name]], wanted), name
    seen = survey([path], can_files.layout())
    codes = next(codes for text, codes in expected.items() if text.startswith("trouble codes"))
    assert [list(one.codes) for one in seen.stored] == [codes]
    assert seen.counts["OBD negative answers"] == expected["negative answers"]
