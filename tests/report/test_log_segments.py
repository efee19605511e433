"""Logs that count from their own start are drawn apart, however their ticks come out of the pipeline."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import paths

pytest.importorskip("jinja2", reason="the report extra is not installed")
pytest.importorskip("plotly", reason="the report extra is not installed")

from reported import alert, manifest
from tickover.cli import root
from tickover.core.values import (
    SECOND,
    Alert,
    Contribution,
    Phase,
    ScoredTicks,
    Scores,
    TickBlock,
)
from tickover.jobs.log_segments import Segment, Segments
from tickover.report import Report

MODEL = paths.MODELS / "gru_autoencoder.onnx"
MANIFEST = manifest(("boost", "coolant"), ("fast",))
BLAME = Contribution("boost", "kPa", "boost.fast", 3.0, 1.0, "high", 9.0, 1.0)
BEGIN = 2
"""Each log's episode lasts from this tick to the log's last."""


def ticks_of(lengths: list[int], vehicle: str = "van") -> ScoredTicks:
    """Logs of so many ticks, one after another, each from second 0."""
    number = np.repeat(np.arange(len(lengths)), lengths)
    time = np.concatenate([np.arange(length) for length in lengths]) * SECOND
    values = np.random.default_rng(1).normal(0, 1, (len(time), 2)).astype(np.float32)
    scores = Scores(values[:, 0], values, values + 1)
    return ScoredTicks(TickBlock(vehicle, time, number, values), scores, np.zeros(len(time), bool))


def episode(number: int, length: int, vehicle: str = "van") -> list[tuple[int, Alert]]:
    """The alerts of a log's episode, each with its tick."""
    at = ((Phase.START, BEGIN), (Phase.END, length - 1))
    return [
        (tick, alert(phase, BLAME, vehicle=vehicle, number=number, start=BEGIN * SECOND, time=tick * SECOND))
        for phase, tick in at
    ]


def draw(report: Report, segments: Iterable[Segment]) -> None:
    for segment in segments:
        named = segment.under_its_name()
        report.add(named.scored, named.alerts)


def outputs(lengths: list[int], block: int, late: int) -> Iterator[tuple[int, slice]]:
    """The log being read, and which ticks come out: the last ``late`` of a log only when more is read."""
    out = begun = 0
    for number, length in enumerate(lengths):
        for read in (*range(block, length, block), length):
            upto = begun + max(0, read - late)
            yield number, slice(out, upto)
            out = upto
        begun += length
    yield len(lengths) - 1, slice(out, begun)


@given(lengths=st.lists(st.integers(5, 60), min_size=2, max_size=4), block=st.integers(1, 70), late=st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_the_page_is_that_of_each_log_added_by_itself(lengths: list[int], block: int, late: int) -> None:
    whole, begins = ticks_of(lengths), np.cumsum([0, *lengths]).tolist()
    apart, together = (Report(MANIFEST, each="log") for _ in range(2))
    alerts: list[tuple[int, Alert]] = []
    for number, (begin, length) in enumerate(zip(begins, lengths, strict=False)):
        mine = whole.at(slice(begin, begin + length))
        name = f"{number}.csv"
        told = [replace(one, vehicle=name) for _, one in episode(number, length)]
        apart.add(replace(mine, ticks=replace(mine.ticks, vehicle=name)), told)
        alerts += [(begin + tick, one) for tick, one in episode(number, length)]
    segments = Segments()
    for number, cut in outputs(lengths, block, late):
        told = [one for tick, one in alerts if cut.start <= tick < cut.stop]
        draw(together, segments.cut(whole.at(cut), told, f"{number}.csv"))
    assert together.html() == apart.html()


def test_an_end_that_is_told_with_the_next_log_stays_with_its_own() -> None:
    report = Report(MANIFEST, each="log")
    segments = Segments()
    draw(report, segments.cut(ticks_of([20]), [episode(0, 20)[0][1]], "a.csv"))
    late = replace(episode(0, 20)[1][1], time=120 * SECOND)
    draw(report, segments.cut(ticks_of([5]), [late], "b.csv"))
    [story] = report.episodes
    assert (story.vehicle, story.end) == ("a.csv", late.end)


def test_replay_draws_logs_that_count_from_their_start_apart(tmp_path: Path) -> None:
    logs = [tmp_path / folder / "trip.csv" for folder in ("monday", "tuesday")]
    for log in logs:
        log.parent.mkdir()
        log.write_text("t_s,coolant,rpm,speed\n" + "".join(f"{row},80,900,0\n" for row in range(90)))
    page = tmp_path / "page.html"
    result = CliRunner().invoke(root, ["replay", str(MODEL), *map(str, logs), "--report", str(page)])
    assert result.exit_code == 0, result.output
    assert drawn(page.read_text(encoding="utf-8")) == [str(log) for log in logs]


def test_replay_names_the_log_above_its_alerts(tmp_path: Path) -> None:
    logs = [tmp_path / name for name in ("short.csv", "monday.csv", "tuesday.csv")]
    for log, ticks in zip(logs, (5, 400, 400), strict=True):
        log.write_text(
            "t_s,coolant,rpm,speed\n" + "".join(f"{t},{-30 if t > 200 else 80},900,0\n" for t in range(ticks))
        )
    lines = lines_of(*logs)
    assert [line for line in lines if "truck-1" not in line] == ["monday.csv:", "tuesday.csv:"]
    tuesday = lines.index("tuesday.csv:")
    for told in (lines[1:tuesday], lines[tuesday + 1 :]):
        assert " START " in told[0]
        assert " END " in told[-1]


def lines_of(*logs: Path) -> list[str]:
    result = CliRunner().invoke(root, ["replay", str(MODEL), *map(str, logs)])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def drawn(page: str) -> list[str]:
    packed = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert packed
    return [track["name"] for track in json.loads(packed[1])["vehicles"]]


def test_the_page_speaks_of_logs() -> None:
    report = Report(MANIFEST, each="log")
    segments = Segments()
    for number in range(2):
        draw(report, segments.cut(ticks_of([20]), [one for _, one in episode(number, 20)], f"{number}.csv"))
    page = report.html()
    assert drawn(page) == ["0.csv", "1.csv"]
    assert '<th scope="col">Log</th>' in page
    assert "Vehicle" not in page.split('<script type="application/json"')[0]
