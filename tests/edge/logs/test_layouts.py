"""One drive in many layouts: whatever wrote it, `inspect` finds the same times, signals and values."""

import gzip
import io
import json
import math
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from logs import joined
from tickover.core.values import SECOND
from tickover.errors import LogError
from tickover.logs.inspection import propose_mapping
from tickover.logs.mapping import LogLayout, Mapping, TimeColumn
from tickover.logs.reading import read_log

ROWS = 90
START = datetime(2023, 10, 25, 13, 15, tzinfo=UTC)
EPOCH = int(START.timestamp())


def rpm(row: int) -> float:
    return round(1400 + 600 * math.sin(row / 9) + row % 7 * 3.21, 2)


def speed(row: int) -> float:
    return round(50 + 30 * math.sin(row / 13) + row % 5 * 1.13, 2)


SIGNALS = {"rpm": rpm, "speed": speed}


def at(row: int, pattern: str = "%Y-%m-%d %H:%M:%S", shift_h: float = 0) -> str:
    return (START + timedelta(seconds=row, hours=shift_h)).strftime(pattern)


def table(
    time: Callable[[int], object] = at, *, head: str = "time,rpm,speed", mark: str = ",", decimal: str = "."
) -> str:
    lines = [
        mark.join([str(time(row)), *(str(of(row)).replace(".", decimal) for of in SIGNALS.values())])
        for row in range(ROWS)
    ]
    return "\n".join([head.replace(",", mark), *lines, ""])


def cells(write: Callable[[int], str], head: str = "time,rpm,speed") -> str:
    return "\n".join([head, *(write(row) for row in range(ROWS)), ""])


def objects(write: Callable[[int], object], end: str = "\n") -> str:
    return "".join(json.dumps(write(row)) + end for row in range(ROWS))


def row_of(row: int) -> dict[str, object]:
    return {"time": EPOCH + row, "rpm": rpm(row), "speed": speed(row)}


def zipped(*members: tuple[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in members:
            archive.writestr(name, text)
    return file.getvalue()


TIMES = {
    "comma after the day": '"%b %d, %Y %I:%M:%S %p"',
    "mail": '"%a, %d %b %Y %H:%M:%S GMT"',
    "weekday and month": '"%A, %B %d, %Y %H:%M:%S"',
    "web server": "%d/%b/%Y:%H:%M:%S +0000",
    "SAS": "%d%b%Y:%H:%M:%S",
    "Exif": "%Y:%m:%d %H:%M:%S",
    "file name": "%Y%m%d_%H%M%S",
    "dashes only": "%Y-%m-%d-%H-%M-%S",
    "points in the clock": "%d.%m.%Y %H.%M.%S",
    "Java": "%Y-%m-%dT%H:%M:%S.000Z[UTC]",
    "JavaScript": "%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)",
    "Spanish": "25 de octubre de 2023 %H:%M:%S",
    "Spanish weekday": '"mié., 25 oct. 2023 %H:%M:%S"',
    "German": "25. Oktober 2023 %H:%M:%S Uhr",
    "French": "25 oct. 2023 à %H:%M:%S",
    "Chinese": "2023年10月25日 %H:%M:%S",
    "time first": "%H:%M:%S %d/%m/%Y",
}
BERLIN = lambda row: at(row, "%Y-%m-%dT%H:%M:%S+02:00[Europe/Berlin]", 2)  # noqa: E731
BASE = table()
RARE = {"carets": "^", "tildes": "~", "exclamation marks": "!", "colons": ":"}
RULE = "---------------------+---------+-------\n"
LAYOUTS: dict[str, str | bytes] = {
    **{f"{name}.csv": table(lambda row, pattern=pattern: at(row, pattern)) for name, pattern in TIMES.items()},  # type: ignore[misc]
    "an offset and its zone.csv": table(BERLIN),
    "GMT+2.csv": table(lambda row: at(row, "%d/%m/%Y %H:%M:%S GMT+2", 2)),
    "AM with points.csv": table(lambda row: at(row, "%m/%d/%Y %I:%M:%S ") + "p. m."),
    "ms of .NET.jsonl": objects(lambda row: row_of(row) | {"time": f"/Date({EPOCH + row}000)/"}),
    "us by name.csv": table(lambda row: (EPOCH + row) * 1_000_000, head="timestamp_us,rpm,speed"),
    "date and time in digits.csv": table(lambda row: at(row, "%Y%m%d,%H%M%S"), head="DATE,TIME,rpm,speed"),
    "date and time of GPS.csv": table(lambda row: at(row, "%d%m%y,%H%M%S.00"), head="utc_date,utc_time,rpm,speed"),
    "newest first.csv": "\n".join([BASE.splitlines()[0], *reversed(BASE.splitlines()[1:]), ""]),
    "UTF-16 without a mark.csv": BASE.encode("utf-16-le"),
    "UTF-32.csv": BASE.encode("utf-32"),
    "carriage returns.csv": BASE.replace("\n", "\r"),
    "two carriage returns.csv": BASE.replace("\n", "\r\r\n"),
    "spaces.csv": table(lambda row: at(row, "%Y-%m-%dT%H:%M:%SZ"), mark="  "),
    "spaces, date apart.csv": table(mark=" ", head="date,time,rpm,speed"),
    "spaces, date in time.csv": table(mark=" "),
    "spaces, # header.txt": "# " + table(lambda row: EPOCH + row, mark=" "),
    "columns.txt": cells(lambda row: f"{EPOCH + row:12d}{rpm(row):10.2f}{speed(row):10.2f}", "   time   rpm  speed"),
    **{f"cells between {name}.csv": table(lambda row: EPOCH + row, mark=mark) for name, mark in RARE.items()},
    "decimal commas between carets.csv": table(lambda row: EPOCH + row, mark="^", decimal=","),
    "times between carets.csv": table(mark="^"),
    "an array per line.jsonl": "".join(json.dumps([row_of(row), row_of(row + 1)]) + "\n" for row in range(0, ROWS, 2)),
    "psql.txt": cells(lambda row: f" {at(row)} | {rpm(row):7} | {speed(row)}", " time | rpm | speed\n" + RULE[:-1])
    + "(90 rows)\n",
    "markdown.md": cells(
        lambda row: f"| {at(row)} | {rpm(row)} | {speed(row)} |", "| time | rpm | speed |\n|---|---|---|"
    ),
    "names of rows.csv": cells(lambda row: f'"{row + 1}","{at(row)}",{rpm(row)},{speed(row)}'),
    "a summary first.csv": "Report,Trip 1,\nMax,2000,80\nMin,700,10\n\n" + BASE,
    "a summary after.csv": BASE + "Total,,9999\nAverage,1400,50\n",
    "the first row short.csv": cells(
        lambda row: ",".join(BASE.splitlines()[row + 1].split(",")[: 2 if row == 0 else 3])
    ),
    "a note of two lines.csv": cells(
        lambda row: f'{at(row)},"a\nb, c",{rpm(row)},{speed(row)}',
        "time,note,rpm,speed",
    ),
    "a header of two lines.csv": BASE.replace("time,rpm", 'time,"rpm"').replace('"rpm"', '"rpm\n"', 1),
    "a space after a quote.csv": cells(lambda row: f'"{at(row)}" ,"{rpm(row)}" ,"{speed(row)}"'),
    "kept by Excel.csv": cells(lambda row: f'{at(row)},="{rpm(row)}",{speed(row)}'),
    "Fortran.csv": cells(lambda row: f"{at(row)},{rpm(row):.6E},{speed(row)}".replace("E", "D")),
    "1 over min.csv": cells(
        lambda row: f"{at(row)};{rpm(row)} 1/min;{speed(row)} km/h".replace(".", ","), "time;rpm;speed"
    ),
    "README in the zip.zip": zipped(("README.txt", "hello"), ("trip.csv", BASE)),
    "packed.gz": gzip.compress(BASE.encode()),
    "columns.json": json.dumps(
        {
            "time": [EPOCH + row for row in range(ROWS)],
            **{name: [of(row) for row in range(ROWS)] for name, of in SIGNALS.items()},
        }
    ),
    "names once.json": json.dumps(
        {
            "columns": ["time", "rpm", "speed"],
            "index": list(range(ROWS)),
            "data": [list(row_of(row).values()) for row in range(ROWS)],
        }
    ),
    "by row number.json": json.dumps(
        {name: {str(row): row_of(row)[name] for row in range(ROWS)} for name in row_of(0)}
    ),
    "arrays.json": json.dumps([["time", "rpm", "speed"], *(list(row_of(row).values()) for row in range(ROWS))]),
    "deep.json": json.dumps({"status": "ok", "result": {"data": [row_of(row) for row in range(ROWS)]}}),
    "influx.json": json.dumps(
        {
            "results": [
                {
                    "series": [
                        {
                            "name": "obd",
                            "columns": ["time", "rpm", "speed"],
                            "values": [list(row_of(row).values()) for row in range(ROWS)],
                        }
                    ]
                }
            ]
        }
    ),
    "comma at the end.json": objects(row_of, ",\n"),
    "no line ends.json": objects(row_of, ""),
    "pretty, one after another.json": "\n".join(json.dumps(row_of(row), indent=2) for row in range(ROWS)),
    "named values.jsonl": objects(
        lambda row: {"time": EPOCH + row, "signals": [{"name": name, "value": of(row)} for name, of in SIGNALS.items()]}
    ),
    "value and unit.jsonl": objects(
        lambda row: {
            "time": EPOCH + row,
            "rpm": {"value": rpm(row), "unit": "1/min"},
            "speed": {"value": speed(row), "unit": "km/h"},
        }
    ),
    "MongoDB.json": objects(lambda row: row_of(row) | {"time": {"$date": {"$numberLong": f"{EPOCH + row}000"}}}),
    "seconds and nanos.jsonl": objects(lambda row: row_of(row) | {"time": {"seconds": EPOCH + row, "nanos": 0}}),
    "mosquitto_sub.txt": "".join(
        f"{EPOCH + row} trucks/van7 {json.dumps({name: of(row) for name, of in SIGNALS.items()})}\n"
        for row in range(ROWS)
    ),
    "line protocol, comments.txt": "# DML\n# CONTEXT-DATABASE: x\n"
    + "".join(f"obd rpm={rpm(row)},speed={speed(row)} {EPOCH + row}000000000\n" for row in range(ROWS)),
}


def read(path: Path, mapping: Mapping) -> tuple[np.ndarray, np.ndarray]:
    return joined(list(read_log(path, mapping, vehicle="v", counts=Counter(), on_bad=lambda text: None)))


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_drive_is_read_alike_in_every_layout(name: str, tmp_path: Path) -> None:
    content = LAYOUTS[name]
    path = tmp_path / name.replace("/", " ")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    mapping, _ = propose_mapping([path])
    assert mapping.names == ("rpm", "speed")
    time, values = read(path, mapping)
    first = name.startswith("the first row short")
    assert time.tolist() == [(EPOCH + row) * SECOND for row in range(first, ROWS)]
    np.testing.assert_allclose(values, [[rpm(row), speed(row)] for row in range(first, ROWS)], rtol=1e-9)


@pytest.mark.parametrize(
    "write",
    [
        lambda row: f"0 days 00:{row // 60:02}:{row % 60:02}",
        lambda row: f"PT{row // 60}M{row % 60}S",
        lambda row: f"{row} s",
        lambda row: f"{row}000 ms",
        lambda row: f"{row // 60}m {row % 60}s",
    ],
)
def test_a_duration_counts_from_the_start(write: Callable[[int], str], tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(table(write))
    mapping, _ = propose_mapping([path])
    assert read(path, mapping)[0].tolist() == [row * SECOND for row in range(ROWS)]


def test_a_clock_in_digits_alone_is_no_number_of_seconds(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(table(lambda row: at(row, "%H%M%S")))
    mapping, _ = propose_mapping([path])
    assert mapping.time.kind == "time_of_day"
    assert set(np.diff(read(path, mapping)[0])) == {SECOND}


def test_a_word_of_a_switch_among_numbers_is_no_reading(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(cells(lambda row: f"{at(row)},{rpm(row)},{'open' if row % 9 == 4 else speed(row)}"))
    mapping, findings = propose_mapping([path])
    assert mapping.names == ("rpm", "speed")
    assert findings.signals["speed"].low > 0
    assert np.isnan(read(path, mapping)[1][4, 1])


def test_words_of_a_switch_before_numbers_are_no_readings(tmp_path: Path) -> None:
    """A sensor that is off for the first 64 rows."""
    path = tmp_path / "log.csv"
    lines = [f"{at(row)},{rpm(row)},{'off' if row < 64 else speed(row)}" for row in range(3 * ROWS)]
    path.write_text("\n".join(["time,rpm,speed", *lines, ""]))
    mapping, findings = propose_mapping([path])
    assert findings.signals["speed"].low > 0
    values = read(path, mapping)[1][:, mapping.names.index("speed")]
    assert np.flatnonzero(np.isnan(values)).tolist() == list(range(64))


@pytest.mark.parametrize(
    "column",
    ["Truck No", "Kfz-Kennzeichen", "Immatriculation", "FleetID", "thingName", "source", "node", "serialNumber", "who"],
)
def test_the_column_that_names_the_vehicle_is_found_by_name_or_by_shared_times(column: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        cells(lambda row: f"{at(row)},A-17,{rpm(row)},9\n{at(row)},B-18,{speed(row)},8", f"time,{column},rpm,gear")
    )
    mapping, findings = propose_mapping([path])
    assert (mapping.log.vehicle_column, findings.vehicles) == (column, ("A-17", "B-18"))


def test_rows_of_two_sources_that_hold_different_signals_are_one_vehicle(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        cells(lambda row: f"{at(row)},obd,{rpm(row)},\n{at(row)},gps,,{speed(row)}", "time,source,rpm,speed")
    )
    mapping, _ = propose_mapping([path])
    assert mapping.log.vehicle_column == ""


def test_names_and_values_of_senml_are_long_rows(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    rows = [{"n": name, "t": EPOCH + row, "v": of(row)} for row in range(ROWS) for name, of in SIGNALS.items()]
    path.write_text(json.dumps(rows))
    mapping, _ = propose_mapping([path])
    assert (mapping.log.layout, mapping.names) == ("long", ("rpm", "speed"))


@pytest.mark.parametrize("packs", [1, ROWS], ids=["one pack", "a pack a line"])
def test_base_fields_of_senml_hold_for_the_records_after_them(packs: int, tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    base = {"bn": "urn:dev:truck-1:", "bt": EPOCH, "bu": "km/h", "bv": 100}
    records = [{"n": "speed", "t": row, "v": round(speed(row) - 100, 2)} for row in range(ROWS)]
    size = ROWS // packs
    lines = [[base, *records[first : first + size]] for first in range(0, ROWS, size)]
    path.write_text("\n".join(map(json.dumps, lines)))
    mapping, _ = propose_mapping([path])
    assert (mapping.names, mapping.signals["speed"].unit, mapping.log.vehicle_column) == (("speed",), "km/h", "device")
    time, values = read(path, mapping)
    assert time.tolist() == [(EPOCH + row) * SECOND for row in range(ROWS)]
    np.testing.assert_allclose(values[:, 0], [speed(row) for row in range(ROWS)])


def test_a_bad_array_among_arrays_of_rows_costs_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = [json.dumps([row_of(row), row_of(row + 1)]) for row in range(0, ROWS, 2)]
    mapping, _ = propose_mapping([write_text(path, "\n".join(lines))])
    lines[5] = "[{oops"
    counts: Counter[str] = Counter()
    blocks = list(read_log(write_text(path, "\n".join(lines)), mapping, vehicle="a", counts=counts, on_bad=[].append))
    assert sum(len(block.time) for block in blocks) == ROWS - 2
    assert counts["bad_rows"] == 1, counts


def write_text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_column_of_units_beside_long_rows_is_no_vehicle(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        cells(
            lambda row: f"{at(row)},rpm,{rpm(row)},1/min\n{at(row)},speed,{speed(row)},km/h", "time,signal,value,unit"
        )
    )
    mapping, _ = propose_mapping([path])
    assert (mapping.log.layout, mapping.log.vehicle_column) == ("long", "")
    assert [signal.unit for signal in mapping.signals.values()] == ["1/min", "km/h"]


@pytest.mark.parametrize(
    ("column", "write"),
    [
        ("Höhe", lambda row: round(120 + math.sin(row / 9), 1)),
        ("Länge", lambda row: 8.4 + row / 1e5),
        ("yaw", lambda row: (350 + row) % 360 - 180),
        ("alive", lambda row: row % 16),
    ],
)
def test_positions_angles_and_rolling_counters_are_left_out(
    column: str, write: Callable[[int], float], tmp_path: Path
) -> None:
    path = tmp_path / "log.csv"
    path.write_text(cells(lambda row: f"{at(row)},{rpm(row)},{write(row)}", f"time,rpm,{column}"))
    mapping, findings = propose_mapping([path])
    assert mapping.names == ("rpm",)
    assert any(f"column '{column}'" in note and "to keep it" in note for note in findings.notes)


def test_changes_that_a_model_cannot_tell_apart_are_left_out_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(cells(lambda row: f"{at(row)},{rpm(row)},{4e9 + row % 9 * 300}", "time,rpm,raw"))
    mapping, findings = propose_mapping([path])
    assert mapping.names == ("rpm",)
    assert any("'raw'" in note and "offset = -4e+09" in note for note in findings.notes)


def test_milliseconds_in_a_column_of_their_own_are_no_signal(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(cells(lambda row: f"{at(row // 2)},{row % 2 * 500},{rpm(row)}", "Time,Milliseconds,rpm"))
    mapping, findings = propose_mapping([path])
    assert mapping.names == ("rpm",)
    assert any("the milliseconds of the time" in note for note in findings.notes)


def test_a_quote_that_nothing_closes_costs_its_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        cells(lambda row: f"{at(row)},{chr(34) if row == 40 else ''}ok,{rpm(row)},{speed(row)}", "time,note,rpm,speed")
    )
    mapping, _ = propose_mapping([path])
    assert len(read(path, mapping)[0]) == ROWS - 1


def test_a_workbook_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "log.xlsx"
    path.write_bytes(zipped(("[Content_Types].xml", "<Types/>"), ("xl/workbook.xml", "<workbook/>")))
    with pytest.raises(LogError, match="an Excel workbook: save the sheet with the log as CSV"):
        propose_mapping([path])


@pytest.mark.parametrize(
    ("start", "remedy"),
    [
        (b"\x28\xb5\x2f\xfd", "zstd -d"),
        (b"ARROW1\0\0", "save it as Parquet"),
        (b"SQLite format 3\0", "export its table as CSV"),
    ],
)
def test_other_files_are_refused_with_the_remedy(start: bytes, remedy: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(start + bytes(100))
    with pytest.raises(LogError, match=remedy):
        propose_mapping([path])


def test_spaces_may_be_the_delimiter_by_name(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text(table(lambda row: EPOCH + row, mark=" "))
    mapping, _ = propose_mapping([path], Mapping(log=LogLayout(delimiter=" "), time=TimeColumn(column="time")))
    assert mapping.names == ("rpm", "speed")
