"""The kinds of time in a log: absolute, from its start, of day, at a fixed rate."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logs import START, joined, read
from tickover.logs.formats import times
from tickover.logs.mapping import Mapping, SignalColumn, TimeColumn
from tickover.logs.reading import log_is_relative


def times_of(tmp_path: Path, cells: list[str], kind: str = "auto", start: int = 0) -> list[int]:
    path = tmp_path / "log.csv"
    path.write_text("time,v\n" + "".join(f"{text},1\n" for text in cells))
    mapping = Mapping(signals={"v": SignalColumn()}, time=TimeColumn(kind=kind))  # type: ignore[arg-type]
    blocks, _, told = read(path, mapping, start=start)
    assert told == []
    return [int(time) for block in blocks for time in block.time]


@pytest.mark.parametrize(
    ("cells", "seconds"),
    [
        (["2024-03-01T00:00:01Z", "2024-03-01T01:00:01+01:00"], [1, 1]),
        (["2024-03-01 00:00:00", "2024-03-01 00:00:01"], [0, 1]),
        (["2024-03-01T00:00:00.25", "2024-03-01T00:00:00.50"], [0.25, 0.5]),
        (["1709251200", "1709251201.5"], [0, 1.5]),
        (["1709251200000", "1709251201500"], [0, 1.5]),
    ],
)
def test_absolute_times(tmp_path: Path, cells: list[str], seconds: list[float]) -> None:
    assert times_of(tmp_path, cells, start=5) == [START + round(s * 1e6) for s in seconds]


def test_seconds_count_from_the_start(tmp_path: Path) -> None:
    assert times_of(tmp_path, ["0", "0.5", "1e1"], start=START) == [START, START + 500_000, START + 10_000_000]


def test_a_time_of_day_passes_midnight_and_takes_its_date_from_the_start(tmp_path: Path) -> None:
    day = times.DAY
    cells = ["23:59:58.5", "23:59:59.25", "00:00:00.00", "23:59:59.75", "00:00:01", "00:00:00.5"]
    offsets = [86398.5, 86399.25, 86399.75, 86400, 86400.5, 86401]
    expected = [START + round(s * 1e6) for s in offsets]
    assert times_of(tmp_path, cells, start=START + day // 3) == expected


def test_a_time_of_day_before_the_first_midnight_may_jump_ahead(tmp_path: Path) -> None:
    assert times_of(tmp_path, ["00:10:00", "23:50:00"]) == [600_000_000, 85_800_000_000]


@given(st.lists(st.integers(0, times.DAY - 1), min_size=1, max_size=30), st.integers(1, 30))
def test_the_clock_is_the_same_however_the_log_is_cut(stamps: list[int], cut: int) -> None:
    whole, parts = times.Clock("time_of_day", START), times.Clock("time_of_day", START)
    array = np.array(stamps, np.int64)
    split = np.concatenate([parts.absolute(array[:cut]), parts.absolute(array[cut:])])
    assert whole.absolute(array).tolist() == split.tolist()


def test_a_fixed_rate_needs_no_time_column(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("v;w\n1;2\nx;2\n3;4\n")
    mapping = Mapping(signals={"v": SignalColumn()}, time=TimeColumn(kind="rate", rate_hz=4.0))
    blocks, counts, _ = read(path, mapping, start=START)
    assert joined(blocks)[0].tolist() == [START, START + 250_000, START + 500_000]
    assert counts["bad_cells"] == 1
    assert log_is_relative(path, mapping)


def test_only_times_from_the_start_are_relative(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    mapping = Mapping(signals={"v": SignalColumn()})
    for cell_, relative in (("12.5", True), ("1709251200", False), ("10:00:00", False), ("2024-03-01", False)):
        path.write_text(f"t_s,v\n{cell_},1\n")
        assert log_is_relative(path, mapping) is relative
