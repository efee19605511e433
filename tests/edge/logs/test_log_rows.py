"""What a row of a log means; what is refused; hostile logs."""

import gzip
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from log_cases import NAN, WIDE, parquet, wide_objects
from logs import MAPPED, START, joined, mutate, read
from tickover.errors import LogError
from tickover.logs.mapping import LogLayout, Mapping, SignalColumn, parse_mapping
from tickover.logs.reading import read_log

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
    assert told == [f"{path}:5: expected a vehicle in column 'truck', got nothing"]


# Refusals


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.csv", b"", "expected a header and rows, got an empty file"),
        ("log.csv", b"\n\n\r\n", "expected a header and rows, got an empty file"),
        ("log.csv", b"time,a,b\n", r":1: expected columns time, rpm, ect; found only: time; got time, a, b"),
        ("log.csv", b"time,rpm,b\n", r":1: expected columns time, rpm, ect; missing: ect; got time, rpm, b"),
        ("log.csv", b"rpm,ect\n1,2\n", r":1: expected a time column named like .*, got rpm, ect; .*--rate-hz"),
        ("log.csv", b"time,rpm,ect\nx,1,2\n", r":2: column 'time': expected a time .*, got 'x'"),
        ("log.csv", bytes(range(256)), "binary data"),
        ("log.csv", b"BT0\xb2\x1d\x14i,\xf8B\n1,2\n", "binary data"),
        ("log.csv", gzip.compress(b"x", mtime=0), r":1: expected a time column .*, got x"),
        ("log.csv", gzip.compress(gzip.compress(b"x", mtime=0), mtime=0), "got gzip data"),
        ("log.csv", b"time,rpm,ect\n" + b"1" * 3_000_000, "expected lines of at most 1048576 bytes, got a longer one"),
        ("log.csv", b"a" * 3_000_000, "expected lines of at most 1048576 bytes"),
        ("log.csv", b",".join(b"c%d" % i for i in range(5000)), "expected a header of 1 to 4096 columns, got 5000"),
        ("log.csv", b'"time,rpm\n', r":1: expected cells between ',', quoted"),
        (
            "log.csv.gz",
            gzip.compress(b"time,rpm,ect\n" + b"1,2,3\n" * 99, mtime=0)[:-12],
            "packed data are damaged or cut short",
        ),
        ("log.csv.gz", b"\x1f\x8b\x08time,rpm,ect\n", "packed data are damaged"),
        ("log.csv.gz", gzip.compress(bytes(50_000_000), mtime=0), "binary data"),
        ("log.csv.gz", gzip.compress(b"time,rpm,ect\n" + b" " * 50_000_000, mtime=0), "lines of at most 1048576 bytes"),
        ("log.jsonl", b"", "got an empty file"),
        ("log.jsonl", b"time,rpm\n", ":1: expected one JSON object per line, got 'time,rpm'"),
        ("log.jsonl", b"[" * 5000, ":1: expected one JSON object per line"),
        ("log.jsonl", b'{"time": 1, "a": 2}\n', "expected columns time, rpm, ect; found only: time; got time, a"),
        ("log.mf4", b"MDF ", r"log.mf4: expected an MDF 4 file"),
        ("log.xls", b"\xd0\xcf\x11\xe0\xa1", "an old Excel workbook: save the sheet"),
        ("log", b"time,rpm\x01,ect\n", r"expected a log named \*.csv, "),
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


def test_cells_that_python_alone_would_take_for_numbers_are_bad_cells(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("t,v\n0,1\n1,1_0\n2,٣\n3,0x10\n4,1e5\n5,+.5\n6, 7 \n7,NaN\n8,n/a\n9,1,2\n10\n")
    blocks, counts, _ = read(path, Mapping(signals={"v": SignalColumn()}))
    np.testing.assert_array_equal(joined(blocks)[1][:, 0], [1, NAN, NAN, 16, 1e5, 0.5, 7, NAN, NAN])
    assert counts == {"rows": 9, "bad_rows": 2, "bad_cells": 2, "missing_cells": 1}


def test_a_row_with_more_cells_than_the_header_is_bad_unless_they_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for surplus, bad in ((",", 0), (",,", 0), (",7", 1), (",,7", 1), (",x", 1)):
        path.write_text(f"t,v\n0,1\n1,2{surplus}\n2,3\n")
        _, counts, told = read(path, Mapping(signals={"v": SignalColumn()}))
        assert counts["bad_rows"] == bad
        assert not bad or told[0] == f"{path}:3: expected 2 cells, got {2 + surplus.count(',')}"


def test_ragged_rows_that_even_out_are_still_bad(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("t,v,w\n0,1,2\n1,2\n2,3,4,5\n")
    blocks, _, told = read(path, Mapping(signals={"v": SignalColumn()}))
    assert joined(blocks)[0].tolist() == [0]
    assert told == [f"{path}:3: expected 3 cells, got 2", f"{path}:4: expected 3 cells, got 4"]


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


@pytest.mark.parametrize("kind", ["string", "int64", "dictionary", "with a gap"])
def test_a_parquet_file_of_several_vehicles_is_split_by_its_column(kind: str, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    names = [7, 8, 7, 9, 8]
    texts = [None if kind == "with a gap" and place == 3 else f" {name} " for place, name in enumerate(names)]
    whose = pa.array(names) if kind == "int64" else pa.array(texts)
    whose = whose.dictionary_encode() if kind == "dictionary" else whose
    table = pa.table({"truck": whose, "t_s": [0, 0, 1, 1, 2], "v": [1.0, 2.0, 3.0, None, 5.0]})
    pq.write_table(table, tmp_path / "log.parquet")
    mapping = Mapping(signals={"v": SignalColumn()}, log=LogLayout(vehicle_column="truck"))
    blocks, counts, told = read(tmp_path / "log.parquet", mapping)
    found = {block.vehicle: (block.time.tolist(), block.values[:, 0].tolist()) for block in blocks}
    assert found["7"] == ([0, 1_000_000], [1.0, 3.0])
    assert found["8"] == ([0, 2_000_000], [2.0, 5.0])
    assert ("9" in found) == (kind != "with a gap") == (not told)
    assert counts["rows"] == 5 - len(told)


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
    assert len(told) >= counts["bad_rows"] > rows // 8
    assert counts["bad_rows"] + counts["bad_cells"] > rows // 4
    assert all(message.startswith(f"{path}:") and "expected" in message for message in told)


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
