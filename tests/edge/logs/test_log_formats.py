"""One contract for all log formats; what a row means; what is refused; hostile logs."""

import csv
import gzip
import io
import json
import math
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from logs import MAPPED, START, joined, mutate, outcome, read
from tickover.errors import LogError
from tickover.logs.mapping import (
    LogLayout,
    Mapping,
    SignalColumn,
    parse_mapping,
)
from tickover.logs.reading import read_log

NAN = math.nan
SIGNALS = ("rpm", "coolant")
ROWS = [(0, 850.0, 80.5), (1_000_000, 851.25, NAN), (2_500_000, NAN, 81.0), (4_000_000, -3.0e-2, 1e6)]
"""Microseconds after START, and a value for each signal: what every format's test file says."""

WIDE = Mapping(signals={"rpm": SignalColumn(column="Engine [rpm]"), "coolant": SignalColumn(column="T °C")})
LONG = Mapping(
    signals=WIDE.signals,
    log=LogLayout(layout="long", vehicle_column="truck", signal_column="what", value_column="how_much"),
)


def iso(offset: int) -> str:
    return str(np.datetime64(START + offset, "us")) + "Z"


def cell(value: float) -> str:
    return "" if math.isnan(value) else repr(value)


def wide_csv(delimiter: str = ",", end: str = "\n", trailing: str = "", decimal: str = ".") -> str:
    header = delimiter.join(["time", "Engine [rpm]", "unused", "T °C"]) + trailing
    lines = [
        delimiter.join([iso(t), cell(a).replace(".", decimal), "x y", cell(b).replace(".", decimal)]) + trailing
        for t, a, b in ROWS
    ]
    return end.join([header, *lines]) + end


def long_rows() -> list[dict[str, object]]:
    return [
        {"time": iso(t), "truck": "van-1", "what": name, "how_much": value}
        for t, *values in ROWS
        for name, value in zip(("Engine [rpm]", "T °C"), values, strict=True)
        if not math.isnan(value)
    ]


def wide_objects() -> list[dict[str, object]]:
    return [
        {"time": iso(t)} | {k: v for k, v in (("Engine [rpm]", a), ("T °C", b)) if not math.isnan(v)}
        for t, a, b in ROWS
    ]


def lines_of(rows: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def long_csv() -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, ["time", "truck", "what", "how_much"])
    writer.writeheader()
    writer.writerows(long_rows())
    return out.getvalue().encode()


def parquet(rows: list[dict[str, object]]) -> bytes:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    table = pa.Table.from_pylist(rows)
    moments = pa.array([np.datetime64(str(row["time"]).rstrip("Z"), "ns") for row in rows])
    out = io.BytesIO()
    pq.write_table(table.set_column(0, "time", moments), out, row_group_size=2)
    return out.getvalue()


FORMATS: dict[str, tuple[str, Mapping, Callable[[], bytes]]] = {
    "csv": ("log.csv", WIDE, lambda: wide_csv().encode()),
    "csv semicolon": ("log.csv", WIDE, lambda: wide_csv(";").encode()),
    "csv tab": ("log.tsv", WIDE, lambda: wide_csv("\t").encode()),
    "csv crlf, bom": ("log.csv", WIDE, lambda: b"\xef\xbb\xbf" + wide_csv(end="\r\n").encode()),
    "csv trailing": ("log.csv", WIDE, lambda: wide_csv(trailing=",").encode()),
    "csv trailing rows only": (
        "log.csv",
        WIDE,
        lambda: wide_csv(trailing=",").encode().replace("T °C,".encode(), "T °C".encode()),
    ),
    "csv no last newline": ("log.csv", WIDE, lambda: wide_csv().rstrip("\n").encode()),
    "csv latin-1": ("log.csv", WIDE, lambda: wide_csv().encode("latin-1")),
    "csv mojibake": ("log.csv", WIDE, lambda: wide_csv().replace("°", "Â°").encode()),
    "csv quoted": ("log.csv", WIDE, lambda: wide_csv().replace("x y", '"x,""y"').encode()),
    "csv blank lines": ("log.csv", WIDE, lambda: b"\n" + wide_csv(end="\n\n").encode()),
    "csv decimal comma": (
        "log.csv",
        Mapping(signals=WIDE.signals, log=LogLayout(decimal=",")),
        lambda: wide_csv(";", decimal=",").encode(),
    ),
    "csv gz": ("log.csv.gz", WIDE, lambda: gzip.compress(wide_csv().encode())),
    "csv long": ("log.csv", LONG, long_csv),
    "jsonl": ("log.jsonl", WIDE, lambda: lines_of(wide_objects())),
    "jsonl gz": ("log.ndjson.gz", WIDE, lambda: gzip.compress(lines_of(wide_objects()))),
    "jsonl long": ("log.jsonl", LONG, lambda: lines_of(long_rows())),
    "parquet": ("log.parquet", WIDE, lambda: parquet(wide_objects())),
    "parquet long": ("log.parquet", LONG, lambda: parquet(long_rows())),
}


@pytest.mark.parametrize("case", FORMATS)
def test_every_format_says_the_same(case: str, tmp_path: Path) -> None:
    name, mapping, content = FORMATS[case]
    (tmp_path / name).write_bytes(content())
    blocks, counts, told = read(tmp_path / name, mapping)
    time, values = joined(blocks)
    assert time.dtype == np.int64
    assert values.dtype == np.float64
    assert {(b.vehicle, b.signals) for b in blocks} == {("van-1", SIGNALS)}
    assert time.tolist() == [START + t for t, *_ in ROWS]
    np.testing.assert_array_equal(values, [row[1:] for row in ROWS])
    assert (counts["rows"], counts["bad_rows"], told) == (len(ROWS), 0, [])


@pytest.mark.parametrize("case", [case for case in FORMATS if "parquet" not in case])
def test_every_text_format_counts_and_tells_a_bad_row(case: str, tmp_path: Path) -> None:
    name, mapping, content = FORMATS[case]
    data = content()
    packed = name.endswith(".gz")
    text = gzip.decompress(data) if packed else data
    decimal = mapping.log.decimal.encode()
    broken = text.replace(b"851" + decimal + b"25", b'"eight"' if b"{" in text else b"eight")
    assert broken != text
    (tmp_path / name).write_bytes(gzip.compress(broken, mtime=0) if packed else broken)
    blocks, counts, told = read(tmp_path / name, mapping)
    line = 1 + broken[: broken.index(b"eight")].count(b"\n")
    assert joined(blocks)[0].tolist() == [START + t for t in (0, 2_500_000, 4_000_000)]
    assert counts["bad_rows"] == 1
    where = f"{'signal' if mapping is LONG else 'column'} 'Engine [rpm]'"
    assert told == [f"{tmp_path / name}:{line}: {where}: expected a number, came 'eight'"]
    with pytest.raises(LogError, match=re.escape(f":{line}: {where}: expected a number, came 'eight'")):
        read(tmp_path / name, mapping, strict=True)


# Rows


def test_values_are_scaled(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("t,f,v\n0,212,1\n1,,2\n")
    signals = {"c": SignalColumn(column="f", scale=5 / 9, offset=-32 * 5 / 9), "v": SignalColumn()}
    blocks, _, _ = read(path, Mapping(signals=signals))
    np.testing.assert_allclose(joined(blocks)[1], [[100, 1], [NAN, 2]])


def test_each_vehicle_has_its_own_blocks_and_clock(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("time,truck,v\n23:59:59,a,1\n00:00:01,b,2\n00:00:01,a,3\n00:00:02,,4\n")
    mapping = Mapping(signals={"v": SignalColumn()}, log=LogLayout(vehicle_column="truck"))
    blocks, _, told = read(path, mapping)
    times_by_vehicle = {block.vehicle: block.time.tolist() for block in blocks}
    assert times_by_vehicle == {"a": [86_399_000_000, 86_401_000_000], "b": [1_000_000]}
    assert told == [f"{path}:5: expected a vehicle in column 'truck', came nothing"]


# Refusals


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.csv", b"", "expected a header and rows, came an empty file"),
        ("log.csv", b"\n\n\r\n", "expected a header and rows, came an empty file"),
        ("log.csv", b"time,a,b\n", r":1: expected columns time, rpm, ect; there: only time; came time, a, b"),
        ("log.csv", b"time,rpm,b\n", r":1: expected columns time, rpm, ect; missing: ect; came time, rpm, b"),
        ("log.csv", b"time,rpm,ect,rpm\n1,2,3,4\n", r":1: expected columns .*; there twice: rpm; came"),
        ("log.csv", b"rpm,ect\n1,2\n", r":1: expected a time column, called one of .*; came rpm, ect"),
        ("log.csv", b"time,rpm,ect\nx,1,2\n", r":2: column 'time': expected a time .*, came 'x'"),
        ("log.csv", b"time,rpm,ect\r1,2,3\r", r":1: expected lines that end in LF or CRLF, came CR alone"),
        ("log.csv", bytes(range(256)), "binary data"),
        ("log.csv", b"BT0\xb2\x1d\x14i,\xf8B\n1,2\n", "binary data"),
        ("log.csv", b"\xff\xfet\0i\0", "came UTF-16; convert it to UTF-8"),
        ("log.csv", gzip.compress(b"x", mtime=0), "came gzip data; is the file's suffix right"),
        ("log.csv", b"time,rpm,ect\n" + b"1" * 3_000_000, "expected lines of at most 1048576 bytes, came a longer one"),
        ("log.csv", b"a" * 3_000_000, "expected lines of at most 1048576 bytes"),
        ("log.csv", b",".join(b"c%d" % i for i in range(5000)), "expected a header of 1 to 4096 columns, came 5000"),
        ("log.csv", b'"time,rpm\n', r":1: expected cells between ',', quoted"),
        (
            "log.csv.gz",
            gzip.compress(b"time,rpm,ect\n" + b"1,2,3\n" * 99, mtime=0)[:-12],
            "gzip data are damaged or cut short",
        ),
        ("log.csv.gz", b"time,rpm,ect\n", "gzip data are damaged"),
        ("log.csv.gz", gzip.compress(bytes(50_000_000), mtime=0), "binary data"),
        ("log.csv.gz", gzip.compress(b"time,rpm,ect\n" + b" " * 50_000_000, mtime=0), "lines of at most 1048576 bytes"),
        ("log.jsonl", b"", "came an empty file"),
        ("log.jsonl", b"time,rpm\n", ":1: expected one JSON object per line, came 'time,rpm'"),
        ("log.jsonl", b"[" * 5000, ":1: expected one JSON object per line"),
        ("log.jsonl", b'{"time": 1, "a": 2}\n', "expected columns time, rpm, ect; there: only time; came time, a"),
        ("log.mf4", b"MDF ", r"expected a log called \*.csv, "),
        ("log", b"time,rpm,ect\n", r"expected a log called \*.csv, "),
    ],
)
def test_what_is_no_log_is_refused_at_once(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LogError, match=message):
        read(tmp_path / name, Mapping(signals={"rpm": SignalColumn(), "ect": SignalColumn()}))


def test_a_missing_log_and_a_folder_are_refused(tmp_path: Path) -> None:
    mapping = Mapping(signals={"rpm": SignalColumn()})
    (tmp_path / "folder.csv").mkdir()
    for name, message in (("none.csv", "No such file"), ("folder.csv", "Is a directory")):
        with pytest.raises(LogError, match=f"{name}: cannot read the log: {message}"):
            read(tmp_path / name, mapping)


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    data = parquet(wide_objects())
    for broken in (b"", data[:50], data[:-9] + b"\0" * 9, b"PAR1" + b"x" * 90 + b"PAR1"):
        (tmp_path / "log.parquet").write_bytes(broken)
        with pytest.raises(LogError, match=r"log\.parquet: "):
            read(tmp_path / "log.parquet", WIDE)


def test_cells_that_python_alone_would_take_for_numbers_are_bad(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("t,v\n0,1\n1,1_0\n2,٣\n3,0x10\n4,1e5\n5,+.5\n6, 7 \n7,NaN\n8,n/a\n9,1,2\n10\n")
    blocks, counts, _ = read(path, Mapping(signals={"v": SignalColumn()}))
    np.testing.assert_array_equal(joined(blocks)[1][:, 0], [1, 1e5, 0.5, 7, NAN, NAN])
    assert counts == {"rows": 6, "bad_rows": 5}


def test_a_row_with_more_cells_than_the_header_is_bad_unless_they_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for surplus, bad in ((",", 0), (",,", 0), (",7", 2), (",,7", 2), (",x", 2)):
        path.write_text(f"t,v\n0,1{surplus}\n1,2{surplus}\n")
        _, counts, told = read(path, Mapping(signals={"v": SignalColumn()}))
        assert counts["bad_rows"] == bad
        assert not bad or told[0] == f"{path}:2: expected 2 cells, came {2 + surplus.count(',')}"


def test_ragged_rows_that_even_out_are_still_bad(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("t,v,w\n0,1,2\n1,2\n2,3,4,5\n")
    blocks, _, told = read(path, Mapping(signals={"v": SignalColumn()}))
    assert joined(blocks)[0].tolist() == [0]
    assert told == [f"{path}:3: expected 3 cells, came 2", f"{path}:4: expected 3 cells, came 4"]


def test_a_long_signal_that_comes_twice_at_one_time_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("t,signal,value\n0,v,1\n0,v,2\n0,w,3\n1,x,4\n")
    mapping = Mapping(signals={"v": SignalColumn(), "w": SignalColumn()}, log=LogLayout(layout="long"))
    blocks, counts, _ = read(path, mapping)
    np.testing.assert_array_equal(joined(blocks)[1], [[1, NAN], [2, 3]])
    assert counts == {"rows": 2, "unmapped_readings": 1}


def test_a_parquet_row_without_a_time_is_bad(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    for moments in (pa.array([1.0, None, 3.0]), pa.array([1, None, 3], pa.timestamp("s", "Europe/Berlin"))):
        pq.write_table(pa.table({"t_s": moments, "v": [1, 2, None]}), tmp_path / "log.parquet")
        blocks, _, told = read(tmp_path / "log.parquet", Mapping(signals={"v": SignalColumn()}))
        assert joined(blocks)[0].tolist() == [1_000_000, 3_000_000]
        assert len(told) == 1
        assert told[0].startswith(f"{tmp_path / 'log.parquet'}:2: column 't_s': expected ")


# Hostile rows

HOSTILE_ROWS = 100_000


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_a_hundred_thousand_mutated_rows_neither_crash_nor_vanish(name: str, tmp_path: Path) -> None:
    """Every mutated row is read, or counted and told with its line; the intact rows between them are all read."""
    rng = random.Random(name)
    path = tmp_path / name
    rows = HOSTILE_ROWS // 2
    with path.open("wb") as file:
        file.write(b"time,a,b,c\n" if name == "log.csv" else b'{"time": 0.5, "a": 1, "c": 2}\n')
        for row in range(rows):
            line = f"{row}.25,1.5,,2" if name == "log.csv" else f'{{"time": {row}.25, "a": 1.5, "c": 2}}'
            file.write(mutate(rng, bytearray(line.encode())) + b"\n" + line.encode() + b"\n")
    blocks, counts, told = read(path, MAPPED)
    time, values = joined(blocks)
    intact = (values == [1.5, 2.0]).all(axis=1) & (time % 1_000_000 == 250_000)
    assert len(set(time[intact].tolist()) & {row * 1_000_000 + 250_000 for row in range(rows)}) == rows
    assert len(time) == counts["rows"]
    assert len(told) == counts["bad_rows"] > rows // 4
    assert all(message.startswith(f"{path}:") and "expected" in message for message in told)


@pytest.mark.parametrize("case", FORMATS)
def test_mutated_whole_files_of_every_format_are_read_or_refused_clearly(case: str, tmp_path: Path) -> None:
    rng = random.Random(case)
    name, mapping, content = FORMATS[case]
    path, data = tmp_path / name, content()
    for _ in range(60):
        path.write_bytes(mutate(rng, bytearray(data)))
        refusal = outcome(path, mapping)
        assert not isinstance(refusal, str) or refusal.startswith(str(path))


def test_memory_stays_flat(tmp_path: Path) -> None:
    """A compressed log of 200 MB is read within a few MB."""
    import tracemalloc

    path = tmp_path / "log.csv.gz"
    row = b"1709251200.5,850.25,,80.125\n"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"time,a,b,c\n")
        for _ in range(20):
            file.write(row * 20_000)
    tracemalloc.start()
    rows = sum(len(block.time) for block in read_log(path, MAPPED, vehicle="v", counts=Counter(), on_bad=pytest.fail))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 400_000
    assert peak < 16e6


def test_a_mapping_file_reads_a_raw_kit_trip(data_dir: Path) -> None:
    mapping = parse_mapping(
        '[signals.rpm]\ncolumn = "Engine RPM [RPM]"\n[signals.ect]\ncolumn = "Engine Coolant Temperature [°C]"\n'
    )
    for path in sorted((data_dir / "kit-obd" / "raw").glob("*.csv.gz")):
        blocks, counts, _ = read(path, mapping, start=START)
        time, _ = joined(blocks)
        assert counts["bad_rows"] == 0
        assert (np.diff(time) >= 0).all()
        assert 2000 < (time[-1] - time[0]) / 1e6 < 7200
