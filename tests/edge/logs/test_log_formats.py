"""One suite for all log formats: what each of them promises, held over the same rows in every format."""

import bz2
import gzip
import lzma
import random
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from log_cases import (
    BUS,
    LONG,
    ROWS,
    SIGNALS,
    WIDE,
    Case,
    asc,
    blf,
    candump,
    candump_screen,
    lines_of,
    long_csv,
    long_rows,
    mf4,
    parquet,
    trace,
    trc,
    wide_csv,
    wide_objects,
)
from logs import START, joined, mutate, outcome, read
from tickover.errors import LogError
from tickover.logs.formats import collector
from tickover.logs.formats.header import clean_column
from tickover.logs.formats.registry import LOG_FORMATS
from tickover.logs.inspection import propose_mapping
from tickover.logs.mapping import LogLayout, Mapping
from tickover.logs.reading import read_head

FORMATS = {
    "csv": Case("log.csv", WIDE, lambda: wide_csv().encode()),
    "csv semicolon": Case("log.csv", WIDE, lambda: wide_csv(";").encode()),
    "csv txt": Case("log.txt", WIDE, lambda: wide_csv("|").encode()),
    "csv tab": Case("log.tsv", WIDE, lambda: wide_csv("\t").encode()),
    "csv crlf, bom": Case("log.csv", WIDE, lambda: b"\xef\xbb\xbf" + wide_csv(end="\r\n").encode()),
    "csv trailing": Case("log.csv", WIDE, lambda: wide_csv(trailing=",").encode()),
    "csv trailing rows only": Case(
        "log.csv",
        WIDE,
        lambda: wide_csv(trailing=",").encode().replace("T °C,".encode(), "T °C".encode()),
    ),
    "csv no last newline": Case("log.csv", WIDE, lambda: wide_csv().rstrip("\n").encode()),
    "csv latin-1": Case("log.csv", WIDE, lambda: wide_csv().encode("latin-1")),
    "csv mojibake": Case("log.csv", WIDE, lambda: wide_csv().replace("°", "Â°").encode()),
    "csv quoted": Case("log.csv", WIDE, lambda: wide_csv().replace("x y", '"x,""y"').encode()),
    "csv blank lines": Case("log.csv", WIDE, lambda: b"\n" + wide_csv(end="\n\n").encode()),
    "csv decimal comma": Case(
        "log.csv",
        Mapping(signals=WIDE.signals, log=LogLayout(decimal=",")),
        lambda: wide_csv(";", decimal=",").encode(),
    ),
    "csv gz": Case("log.csv.gz", WIDE, lambda: gzip.compress(wide_csv().encode())),
    "csv long": Case("log.csv", LONG, long_csv),
    "jsonl": Case("log.jsonl", WIDE, lambda: lines_of(wide_objects())),
    "csv named log": Case("log.log", WIDE, lambda: wide_csv().encode()),
    "json lines named json": Case("log.json", WIDE, lambda: lines_of(wide_objects())),
    "json lines named csv": Case("log.csv", WIDE, lambda: lines_of(wide_objects())),
    "csv named xz": Case("log.csv.xz", WIDE, lambda: lzma.compress(wide_csv().encode()), lines=False),
    "csv bz2 without suffix": Case("log", WIDE, lambda: bz2.compress(wide_csv().encode()), lines=False),
    "jsonl gz": Case("log.ndjson.gz", WIDE, lambda: gzip.compress(lines_of(wide_objects()))),
    "jsonl long": Case("log.jsonl", LONG, lambda: lines_of(long_rows())),
    "parquet": Case("log.parquet", WIDE, lambda: parquet(wide_objects()), lines=False),
    "parquet long": Case("log.parquet", LONG, lambda: parquet(long_rows()), lines=False),
    "candump": Case("log.log", BUS, candump, lines=False),
    "candump gz": Case("log.log.gz", BUS, lambda: gzip.compress(candump()), lines=False),
    "candump screen": Case("log.candump", BUS, candump_screen, lines=False),
    "candump txt": Case("log.txt", BUS, candump, lines=False),
    "asc": Case("log.asc", BUS, asc, lines=False),
    "trc": Case("log.trc", BUS, trc, lines=False),
    "mf4": Case("log.mf4", BUS, mf4, lines=False),
    "blf": Case("log.blf", BUS, blf, lines=False),
    "third party": Case("log.trace", WIDE, lambda: trace(ROWS), lines=False),
}
"""Every log format in its varieties; a new format joins by one line."""

pytestmark = pytest.mark.usefixtures("third_party")


@pytest.mark.parametrize("case", FORMATS)
def test_every_format_says_the_same(case: str, tmp_path: Path) -> None:
    name, mapping, content = FORMATS[case].name, FORMATS[case].mapping, FORMATS[case].content
    (tmp_path / name).write_bytes(content())
    blocks, counts, told = read(tmp_path / name, mapping)
    time, values = joined(blocks)
    assert time.dtype == np.int64
    assert values.dtype == np.float64
    assert {(b.vehicle, b.signals) for b in blocks} == {("van-1", SIGNALS)}
    assert time.tolist() == [START + t for t, *_ in ROWS]
    np.testing.assert_array_equal(values, [row[1:] for row in ROWS])
    assert (counts["rows"], counts["bad_rows"], told) == (len(ROWS), 0, [])


@pytest.mark.parametrize("case", [case for case in FORMATS if FORMATS[case].lines])
def test_every_text_format_counts_and_tells_a_bad_cell_which_costs_itself(case: str, tmp_path: Path) -> None:
    name, mapping, content = FORMATS[case].name, FORMATS[case].mapping, FORMATS[case].content
    data = content()
    packed = name.endswith(".gz")
    text = gzip.decompress(data) if packed else data
    decimal = (mapping.log.decimal or ".").encode()
    broken = text.replace(b"851" + decimal + b"25", b'"eight"' if b"{" in text else b"eight")
    assert broken != text
    (tmp_path / name).write_bytes(gzip.compress(broken, mtime=0) if packed else broken)
    blocks, counts, told = read(tmp_path / name, mapping)
    line = 1 + broken[: broken.index(b"eight")].count(b"\n")
    assert joined(blocks)[0].tolist() == [START + t for t, *_ in ROWS]
    assert np.isnan(joined(blocks)[1][1, 0])
    assert (counts["rows"], counts["bad_rows"], counts["bad_cells"]) == (len(ROWS), 0, 1)
    where = f"{'signal' if mapping is LONG else 'column'} 'Engine [rpm]'"
    assert told == [f"{tmp_path / name}:{line}: {where}: expected a number, got 'eight'"]
    with pytest.raises(LogError, match=re.escape(f":{line}: {where}: expected a number, got 'eight'")):
        read(tmp_path / name, mapping, strict=True)


@pytest.mark.parametrize("case", FORMATS)
def test_mutated_whole_files_of_every_format_are_read_or_refused_clearly(case: str, tmp_path: Path) -> None:
    rng = random.Random(case)
    mapping = FORMATS[case].mapping
    path, data = tmp_path / FORMATS[case].name, FORMATS[case].content()
    for _ in range(60):
        path.write_bytes(mutate(rng, bytearray(data)))
        refusal = outcome(path, mapping)
        assert not isinstance(refusal, str) or refusal.startswith(str(path))


def written(case: str, folder: Path) -> Path:
    path = folder / FORMATS[case].name
    path.write_bytes(FORMATS[case].content())
    return path


def test_every_suffix_has_a_case() -> None:
    suffixes = {Path(case.name.removesuffix(".gz")).suffix for case in FORMATS.values()}
    assert suffixes >= {*LOG_FORMATS, ".trace"}


@pytest.mark.parametrize("case", FORMATS)
def test_every_format_tells_its_columns_without_reading_the_log(case: str, tmp_path: Path) -> None:
    head = read_head(written(case, tmp_path), FORMATS[case].mapping.log)
    mapping = FORMATS[case].mapping
    wanted = {"truck", "what", "how_much"} if mapping is LONG else {*mapping.columns}
    assert wanted <= {clean_column(column) for column in head.columns}
    assert (head.own_time is None) == ("time" in head.columns)
    assert all(len(row) == len(head.columns) for row in head.samples)
    assert {*head.units} <= {*head.columns}


@pytest.mark.parametrize("case", FORMATS)
def test_every_format_may_be_read_again_with_the_same_result(case: str, tmp_path: Path) -> None:
    path = written(case, tmp_path)
    assert outcome(path, FORMATS[case].mapping) == outcome(path, FORMATS[case].mapping)


@pytest.mark.parametrize("case", FORMATS)
def test_every_format_gives_blocks_of_a_bounded_size(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "BLOCK_ROWS", 3)
    blocks, _, _ = read(written(case, tmp_path), FORMATS[case].mapping)
    assert max(len(block.time) for block in blocks) <= 3
    assert joined(blocks)[0].tolist() == [START + t for t, *_ in ROWS]


@pytest.mark.parametrize("case", FORMATS)
def test_every_format_scales_its_values(case: str, tmp_path: Path) -> None:
    mapping = FORMATS[case].mapping
    rpm = msgspec.structs.replace(mapping.signals["rpm"], scale=2.0, offset=-1.0)
    scaled = msgspec.structs.replace(mapping, signals={**mapping.signals, "rpm": rpm})
    path = written(case, tmp_path)
    plain, doubled = (joined(read(path, one)[0])[1] for one in (mapping, scaled))
    np.testing.assert_array_equal(doubled, plain * [2.0, 1.0] - [1.0, 0.0])


@pytest.mark.parametrize("case", FORMATS)
def test_every_format_is_inspected(case: str, tmp_path: Path) -> None:
    mapping, path = FORMATS[case].mapping, written(case, tmp_path)
    same, findings = propose_mapping([path], mapping)
    assert same is mapping
    assert (findings.rows, findings.bad_rows) == (len(ROWS), 0)
    assert [seen.readings for seen in findings.signals.values()] == [3, 3]
    if mapping is WIDE:
        proposed, _ = propose_mapping([path])
        assert [clean_column(column) for column in proposed.columns] == ["Engine [rpm]", "T °C"]
        assert proposed.signals["Engine"].unit in ("rpm", "1/min")
        assert outcome(path, proposed)[2] == outcome(path, mapping)[2]  # type: ignore[index]


@pytest.mark.parametrize("case", FORMATS)
def test_every_format_names_a_column_that_is_missing(case: str, tmp_path: Path) -> None:
    mapping, path = FORMATS[case].mapping, written(case, tmp_path)
    log = msgspec.structs.replace(mapping.log, vehicle_column="lorry")
    with pytest.raises(LogError, match=r"expected columns .*lorry.*; missing: lorry; got ") as refusal:
        read(path, msgspec.structs.replace(mapping, log=log))
    assert str(refusal.value).startswith(f"{path}:")


@pytest.mark.parametrize("case", FORMATS)
def test_every_format_refuses_an_empty_file_and_bytes_of_another_kind(case: str, tmp_path: Path) -> None:
    path = written(case, tmp_path)  # skips where the format needs an extra that is not installed
    for content in (b"", bytes(range(256)), b"\xff" * 100):
        path.write_bytes(content)
        with pytest.raises(LogError) as refusal:
            read(path, FORMATS[case].mapping)
        assert str(refusal.value).startswith(str(path))
