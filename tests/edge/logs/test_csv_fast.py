"""The fast CSV reader gives what the exact one gives, on plain, odd and damaged logs."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logs import MAPPED, START, mutate, outcome, read
from tickover.logs.formats import csv_fast
from tickover.logs.mapping import Mapping


def both_ways(path: Path, mapping: Mapping, monkeypatch: pytest.MonkeyPatch) -> tuple[object, object]:
    fast = outcome(path, mapping)
    with monkeypatch.context() as patch:
        patch.setattr(csv_fast, "parse", lambda block, plan: None)
        return fast, outcome(path, mapping)


def moment(offset: int, unit: str) -> str:
    return str(np.datetime64(START + offset, "us").astype(f"datetime64[{unit}]"))


TIME_STYLES: dict[str, Callable[[int], str]] = {
    "iso": lambda row: moment(row * 250_000, "us"),
    "iso zone": lambda row: moment(row * 1_000_000, "s") + "Z",
    "space": lambda row: moment(row * 1_000_000, "s").replace("T", " "),
    "time of day": lambda row: moment(row * 250_000 - 2_000_000, "ms")[11:],
    "epoch": lambda row: repr(START / 1e6 + row * 0.1),
    "epoch ms": lambda row: str(START // 1000 + row),
    "seconds": lambda row: f"{row / 8:.3f}",
}
CELLS = ["", "1", "-2.5", "0.1", "1e-3", "89.0", "214.25", "nan", "179.769e306", "+7", ".5", "3."]
ODD = [
    *CELLS,
    " 4",
    "x",
    "1e999",
    "inf",
    '"5"',
    "1_0",
    "0x1",
    "1d3",
    "--1",
    "1 2",
    "\t6",
    "é",
    "٣",
    "-",
    "1,",
    "#",
    "\r",
]


def log_text(rng: random.Random, style: str, odd: float) -> bytes:
    delimiter, end = rng.choice(",;"), rng.choice(["\n", "\n", "\r\n"])
    order = rng.choice([["time", "a", "b", "c"], ["a", "time", "c", "b"], ["c", "b", "a", "time"]])
    lines = [delimiter.join(order)]
    for row in range(rng.randrange(1, 12)):
        cells = {name: rng.choice(ODD if rng.random() < odd else CELLS) for name in "abc"}
        cells["time"] = TIME_STYLES[style](row)
        lines.append(delimiter.join(cells[name] for name in order))
    return (end.join(lines) + end).encode()


@pytest.mark.parametrize("style", TIME_STYLES)
@pytest.mark.parametrize("odd", [0.0, 0.05])
def test_the_fast_reader_equals_the_exact_one(
    style: str, odd: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.csv"
    rng = random.Random(f"{style} {odd}")
    for _ in range(100):
        path.write_bytes(log_text(rng, style, odd))
        fast, exact = both_ways(path, MAPPED, monkeypatch)
        assert fast == exact, path.read_bytes()


@pytest.mark.parametrize("style", TIME_STYLES)
def test_plain_logs_take_the_fast_way(style: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.csv"
    path.write_text("time,a,b,c\n" + "".join(f"{TIME_STYLES[style](row)},1.5,text,\n" for row in range(12)))
    taken: list[bool] = []
    parse = csv_fast.parse
    monkeypatch.setattr(csv_fast, "parse", lambda *args: [table := parse(*args), taken.append(table is not None)][0])
    read(path, MAPPED)
    assert taken == [True]


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_fast_reader_equals_the_exact_one_on_mutated_logs(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = random.Random(seed)
    path = tmp_path_factory.getbasetemp() / "mutated.csv"
    path.write_bytes(mutate(rng, bytearray(log_text(rng, rng.choice(list(TIME_STYLES)), 0.01))))
    with pytest.MonkeyPatch.context() as monkeypatch:
        fast, exact = both_ways(path, MAPPED, monkeypatch)
    assert fast == exact, path.read_bytes()
