"""The report's pyramid and windows: bounded, and a function of the ticks alone."""

import base64
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickover.core.chart_signals import ChartSignals
from tickover.core.values import (
    SECOND,
    Alert,
    EndReason,
    FreezeFrame,
    Phase,
    ScoredTicks,
    Scores,
    Severity,
    TickBlock,
)
from tickover.report.packing import MISSING, pack_values
from tickover.report.pyramid import Pyramid
from tickover.report.windows import LEAD_TICKS, LENGTH_TICKS, SHORTEST_TICKS, TAIL_TICKS, Windows

SIGNALS = 3
OWNER = np.array([0, 1, 0, 1])
"""Signal 2 has no chart."""
LOOKS = ChartSignals(np.eye(SIGNALS, dtype=bool)[OWNER])


def scored(seconds: list[int], seed: int = 0) -> ScoredTicks:
    """Ticks at these seconds with values that depend on the second only, some of them missing."""
    values, expected, chart = [], [], []
    for second in seconds:
        rng = np.random.default_rng([seed, second])
        row = rng.normal(size=(2, SIGNALS)).astype(np.float32)
        row[rng.random(row.shape) < 0.2] = np.nan
        values.append(row[0])
        expected.append(row[1])
        chart.append(rng.uniform(0, 2, len(OWNER)).astype(np.float32))
    shape = (len(seconds), SIGNALS)
    charts = np.array(chart, np.float32).reshape(len(seconds), len(OWNER))
    score = charts.max(axis=1) if seconds else np.empty(0, np.float32)
    time = np.array(seconds, np.int64) * SECOND
    ticks = TickBlock("truck", time, np.zeros(len(seconds), np.int64), np.array(values, np.float32).reshape(shape))
    return ScoredTicks(ticks, Scores(score, charts, np.array(expected, np.float32).reshape(shape)), score > 1)


def naive(whole: ScoredTicks, capacity: int) -> tuple[int, dict[int, dict[str, np.ndarray]]]:
    """The smallest width that fits and what each bucket holds, tick by tick."""
    width = SECOND
    while len({int(time) // width for time in whole.ticks.time}) > capacity:
        width *= 2
    level = LOOKS.highest(whole.scores.chart)
    found = {}
    for index in sorted({int(time) // width for time in whole.ticks.time}):
        rows = [row for row, time in enumerate(whole.ticks.time) if int(time) // width == index]
        values = whole.ticks.values[rows]
        wanted = whole.scores.expected[rows].astype(np.float64)
        found[index] = {
            "score": np.fmax.reduce(whole.scores.score[rows]),
            "low": np.fmin.reduce(values, axis=0),
            "high": np.fmax.reduce(values, axis=0),
            "level": np.fmax.reduce(level[rows], axis=0),
            "expected": np.array(
                [column[~np.isnan(column)].mean() if (~np.isnan(column)).any() else np.nan for column in wanted.T]
            ),
        }
    return width, found


@given(
    seconds=st.lists(st.integers(0, 5000), min_size=1, max_size=120, unique=True),
    cuts=st.lists(st.integers(0, 120), max_size=6),
    capacity=st.integers(1, 40),
    in_order=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_pyramid_equals_the_naive_one_however_the_ticks_were_cut(
    seconds: list[int], cuts: list[int], capacity: int, in_order: bool
) -> None:
    whole = scored(sorted(seconds) if in_order else seconds)
    pyramid = Pyramid(SECOND, LOOKS, capacity)
    edges = [0, *sorted(min(cut, len(seconds)) for cut in cuts), len(seconds)]
    for first, last in itertools.pairwise(edges):
        pyramid.add(whole.at(slice(first, last)))
    buckets = pyramid.buckets()
    width, wanted = naive(whole, capacity)
    assert pyramid.width == width
    assert buckets.index.tolist() == list(wanted)
    for name in ("score", "low", "high", "level", "expected"):
        expected = np.array([bucket[name] for bucket in wanted.values()])
        np.testing.assert_allclose(getattr(buckets, name), expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_an_empty_pyramid_is_empty_and_a_useless_one_is_refused() -> None:
    pyramid = Pyramid(SECOND, LOOKS, 8)
    pyramid.add(scored([]))
    assert pyramid.buckets().low.shape == (0, SIGNALS)
    with pytest.raises(ValueError, match="at least 1 bucket"):
        Pyramid(SECOND, LOOKS, 0)


def test_memory_does_not_grow_with_the_ticks() -> None:
    pyramid = Pyramid(SECOND, LOOKS, 64)
    block = scored(list(range(256)))
    for round_ in range(200):
        ticks = TickBlock("truck", block.ticks.time + round_ * 256 * SECOND, block.ticks.trip, block.ticks.values)
        pyramid.add(ScoredTicks(ticks, block.scores, block.open))
        assert sum(len(part.index) for part in pyramid._parts) <= 64 * 2 + 256
    assert len(pyramid.buckets().index) <= 64
    assert int(pyramid.buckets().expected_count.sum()) == 200 * int((~np.isnan(block.scores.expected)).sum())


def alert(episode: str, phase: Phase, start: int, time: int, peak: float = 2.0) -> Alert:
    ended = phase is Phase.END
    return Alert(
        alert_id=episode + phase,
        episode_id=episode,
        vehicle="truck",
        detector="anomaly",
        model_digest="",
        phase=phase,
        sequence=0,
        severity=Severity.MAJOR,
        reason=EndReason.RECOVERED if ended else None,
        start=start * SECOND,
        time=time * SECOND,
        end=time * SECOND if ended else None,
        score=peak,
        peak=peak,
        signals=(),
        freeze_frame=FreezeFrame((), (), (), (), ()),
        missing=0.0,
    )


@pytest.mark.parametrize("block", [1, 7, 5000])
def test_a_window_holds_every_tick_around_its_episode(block: int) -> None:
    """Lead, episode and tail, whether the start was told in the same block or later."""
    told = {605: alert("a", Phase.START, 600, 605), 700: alert("a", Phase.END, 600, 700)}
    whole = scored(list(range(1500)))
    windows = Windows(SECOND, 10_000)
    for first in range(0, 1500, block):
        alerts = [told[second] for second in range(first, first + block) if second in told]
        windows.add(whole.at(slice(first, first + block)), alerts)
    (kept,) = windows.kept()
    wanted = slice(600 - LEAD_TICKS, 700 + TAIL_TICKS + 1)
    np.testing.assert_array_equal(kept.time, whole.ticks.time[wanted])
    np.testing.assert_array_equal(kept.observed, whole.ticks.values[wanted])
    np.testing.assert_array_equal(kept.expected, whole.scores.expected[wanted])


def test_windows_keep_to_their_budget_and_the_worst_episodes_stay() -> None:
    windows = Windows(SECOND, 5 * SHORTEST_TICKS)
    size = 2 * LENGTH_TICKS
    for number in range(20):
        seconds = list(range(number * size, (number + 1) * size))
        peak = 9.0 if number == 3 else 2.0
        windows.add(scored(seconds), [alert(str(number), Phase.START, seconds[200], seconds[200], peak)])
        assert sum(len(kept.time) for kept in windows.kept()) <= 5 * SHORTEST_TICKS
    assert windows.dropped > 0
    assert any(kept.time[0] // SECOND // size == 3 for kept in windows.kept())


@given(st.lists(st.one_of(st.floats(-1e6, 1e6, width=32), st.just(float("nan")), st.just(float("inf"))), max_size=50))
def test_packed_values_come_back_within_half_a_step(numbers: list[float]) -> None:
    array = np.array(numbers, np.float32)
    packed = pack_values(array, array[::-1])
    codes = np.frombuffer(base64.b64decode(packed["codes"][0]), "<u2")
    np.testing.assert_array_equal(codes == MISSING, ~np.isfinite(array))
    back = packed["low"] + packed["step"] * codes.astype(np.float64)
    finite = np.isfinite(array)
    np.testing.assert_allclose(back[finite], array[finite], atol=packed["step"] * 0.501 + 1e-9)
