"""Ticks against a slow oracle: one reading at a time, plain dicts, no arrays."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from oracle_arrivals import ArrivalsOracle
from tickover.core import arrivals, seen, tick_state
from tickover.core.manifest import Signal
from tickover.core.resample import MAX_OPEN_VALUES, Ticks
from tickover.core.values import Readings, TickBlock
from tickover.errors import StateError

PERIOD, GAP, LATENESS = 10, 100, 25
SIGNALS = (
    Signal(name="a", low=-100, high=100, hold_s=30e-6),
    Signal(name="b", low=-100, high=100, aggregation="mean"),
    Signal(name="c", low=-100, high=100, aggregation="max", hold_s=1.0),
)
NAMES = tuple(signal.name for signal in SIGNALS)


class Oracle:
    """The rules of ``tickover.core.resample``, reading by reading."""

    def __init__(self, window=0):
        self.out, self.counts, self.trip = [], Counter(), -1
        self.arrivals = ArrivalsOracle(max(GAP, LATENESS), window)
        self.begin()

    def begin(self):
        self.watermark, self.closed = None, -math.inf
        self.open, self.last_tick, self.last_time, self.held = defaultdict(dict), None, None, {}
        self.outside = defaultdict(list)

    def row(self, time, cells):
        self.arrivals.row(time, [cells.get(name, math.nan) for name in NAMES])
        for time, values, anew in self.arrivals.out:
            if anew:
                self.counts["clock_back"] += 1
                self.close_all()
                self.begin()
            self.take(time, dict(zip(NAMES, values, strict=True)))
        self.arrivals.out.clear()

    def take(self, time, cells):
        late = time // PERIOD < self.closed
        cells = {name: value for name, value in cells.items() if not math.isnan(value)}
        if cells and not late:
            self.open[time]
        for signal in SIGNALS:
            value = cells.get(signal.name)
            if value is None:
                continue
            if math.isinf(value):
                self.counts["not_finite"] += 1
            elif not signal.low <= value <= signal.high:
                self.counts["out_of_range"] += 1
                if not late:
                    self.outside[time // PERIOD, signal.name].append(value)
            elif late:
                self.counts["late"] += 1
            else:
                self.keep(self.open[time], signal.name, value)
        self.advance(time)

    def keep(self, kept, name, value):
        if name in kept:
            self.counts["duplicate"] += 1
            self.counts["conflict"] += kept[name] != value
            value = max(kept[name], value)
        kept[name] = value

    def advance(self, time):
        self.watermark = time if self.watermark is None else max(time, self.watermark)
        self.closed = max(self.closed, (self.watermark - LATENESS) // PERIOD)
        self.close()

    def flush(self):
        self.arrivals.give_up()
        self.counts += self.arrivals.counts
        self.close_all()

    def close_all(self):
        if self.open:
            self.closed = max(self.closed, max(self.open) // PERIOD + 1)
        self.close()

    def close(self):
        for tick in sorted({time // PERIOD for time in self.open}):
            if tick < self.closed:
                times = sorted(time for time in self.open if time // PERIOD == tick)
                self.emit(tick, times, [self.open.pop(time) for time in times])

    def emit(self, tick, times, cells):
        if self.last_time is None or times[0] - self.last_time > GAP:
            self.trip, self.held = self.trip + 1, {}
        else:
            for empty in range(self.last_tick + 1, tick):
                self.write(empty, {})
        seen = defaultdict(list)
        for time, kept in zip(times, cells, strict=True):
            for name, value in kept.items():
                seen[name].append(value)
                self.held[name] = (time, value)
        self.write(tick, seen)
        self.last_tick, self.last_time = tick, times[-1]

    def write(self, tick, seen):
        row = []
        for signal in SIGNALS:
            values, held = seen.get(signal.name), self.held.get(signal.name)
            if values:
                row.append(
                    {"last": values[-1], "mean": sum(values) / len(values), "max": max(values)}[signal.aggregation]
                )
            elif held and tick * PERIOD - held[0] <= round(signal.hold_s * 1e6):
                row.append(held[1])
            else:
                row.append(math.nan)
        worst = [
            max(
                self.outside.pop((tick, signal.name), [math.nan]),
                key=lambda value, signal=signal: (max(signal.low - value, value - signal.high), value),
            )
            for signal in SIGNALS
        ]
        self.out.append((tick * PERIOD, self.trip, row, worst))


def rows_of(block: TickBlock):
    return [row[:3] for row in with_outside(block)]


def with_outside(block: TickBlock):
    outside = np.full_like(block.values, np.nan) if block.outside is None else block.outside
    arrays = (block.time, block.trip, block.values, outside)
    return list(zip(*(array.tolist() for array in arrays), strict=True))


def same(found, expected):
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    for place in (2, 3):
        ours, theirs = ([row[place] for row in rows] for rows in (found, expected))
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-5, equal_nan=True)


def block_of(rows) -> Readings:
    times = np.array([time for time, _ in rows], np.int64)
    values = np.array([[cells.get(name, math.nan) for name in NAMES] for _, cells in rows]).reshape(
        len(rows), len(NAMES)
    )
    return Readings("truck", NAMES, times, values)


def new_ticks(window: int = 0) -> Ticks:
    return Ticks("truck", SIGNALS, PERIOD, GAP, LATENESS, window)


def run(rows, sizes=None, resume=False, window=0):
    """Ticks of rows cut into blocks, optionally through saved state after every block; and the counts."""
    ticks, out, counts, at = new_ticks(window), [], Counter(), 0
    for size in sizes or [len(rows)]:
        out += with_outside(ticks.add(block_of(rows[at : at + size])))
        at += size
        if resume:
            saved = ticks.state()
            counts += ticks.counts
            ticks = new_ticks(window)
            ticks.restore(saved)
    out += with_outside(ticks.flush())
    return out, counts + ticks.counts


def oracle(rows, window=0):
    slow = Oracle(window)
    for time, cells in rows:
        slow.row(time, cells)
    slow.flush()
    return slow.out, +slow.counts


VALUES = st.sampled_from([1.0, 2.0, -3.5, 7.25, 100.0, 101.0, 140.0, -120.0, math.nan, math.inf, -math.inf])
CELLS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3)
STEPS = st.one_of(st.integers(-30, 40), st.sampled_from([0, 10, 95, 100, 101, 130, -100, -101, -400, 5000]))


@st.composite
def streams(draw):
    """Rows whose times wander: in order, late, repeated, past gaps and back."""
    steps = draw(st.lists(st.tuples(STEPS, CELLS), min_size=1, max_size=60))
    time, rows = draw(st.integers(-500, 500)), []
    for step, cells in steps:
        time += step
        rows.append((time, cells))
    return rows


@st.composite
def drained(draw):
    """Rows each 10 us, pieces of an older store between them, and pieces of what was sent before once more."""
    time, sent = draw(st.integers(-500, 500)), []
    for kind, count in draw(st.lists(st.tuples(st.sampled_from("nnnors"), st.integers(1, 30)), min_size=1, max_size=8)):
        back = draw(st.sampled_from([300, 800, 3000]))
        if kind == "r" and sent:
            first = draw(st.integers(0, len(sent) - 1))
            sent += sent[first : first + 2 * count]
            continue
        time -= back if kind == "s" else 0
        start = time - back if kind == "o" else time
        sent += [(start + 10 * row, {"a": float(start % 7 + row % 3)}) for row in range(count)]
        time += 10 * count if kind != "o" else 0
    return sent


@st.composite
def cuts(draw, rows):
    """Block sizes that add up to the rows."""
    sizes, left = [], len(rows)
    while left:
        sizes.append(draw(st.integers(1, left)))
        left -= sizes[-1]
    return sizes


@pytest.fixture(autouse=True)
def small_numbers(monkeypatch):
    """So that a few rows are enough for every rule of `tickover.core.arrivals`."""
    for module, numbers in (
        (
            arrivals,
            {"BACK_ROWS": 3, "BACK_SPAN": 40, "DOUBT": 2, "DOUBT_ENDS": 2000, "AT_ONCE": 7, "MAX_HELD_VALUES": 30},
        ),
        (seen, {"PAGE": 1, "BUCKET": 15, "BUCKETS": 100}),
    ):
        for name, number in numbers.items():
            monkeypatch.setattr(module, name, number)


WINDOWS = st.sampled_from([0, 300, 900])


@given(st.one_of(streams(), drained()), WINDOWS)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_blocks_equal_the_slow_oracle(rows, window):
    found, counts = run(rows, window=window)
    expected, wanted = oracle(rows, window)
    same(found, expected)
    assert {k: v for k, v in counts.items() if k != "missing" and v} == wanted


@given(st.data(), st.one_of(streams(), drained()), st.booleans(), WINDOWS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_block_sizes_and_saved_state_change_nothing(data, rows, resume, window):
    whole, counts = run(rows, window=window)
    parts, counted = run(rows, data.draw(cuts(rows)), resume, window)
    np.testing.assert_equal(parts, whole)
    assert +counted == +counts


@given(st.data(), st.lists(st.tuples(st.integers(0, 35), CELLS), min_size=1, max_size=40))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_order_of_arrival_inside_the_lateness_window_does_not_matter(data, steps):
    time, rows = 0, []
    for step, cells in steps:
        time += step
        rows.append((time, cells))
    delays = data.draw(st.lists(st.integers(0, LATENESS), min_size=len(rows), max_size=len(rows)))
    shuffled = [row for _, row in sorted(zip(delays, rows, strict=True), key=lambda pair: pair[1][0] + pair[0])]
    found, counts = run(shuffled)
    expected, _ = run(rows)
    np.testing.assert_equal(found, expected)
    assert not counts["late"]


@given(st.data(), streams())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_readings_delivered_twice_are_counted_and_change_nothing(data, rows):
    rows = sorted(rows, key=lambda row: row[0])
    twice = [row for row in rows for _ in range(data.draw(st.integers(1, 2)))]
    found, counts = run(twice)
    expected, before = run(rows)
    np.testing.assert_equal(found, expected)
    assert counts["conflict"] == before["conflict"] or counts["duplicate"] > before["duplicate"]


def test_advance_closes_ticks_but_never_makes_empty_ones():
    ticks = new_ticks()
    assert rows_of(ticks.add(block_of([(5, {"a": 1.0})]))) == []
    assert rows_of(ticks.advance(34)) == []
    assert [row[0] for row in rows_of(ticks.advance(35))] == [0]
    assert rows_of(ticks.advance(90)) == []
    emitted = rows_of(ticks.add(block_of([(62, {"a": 2.0}), (75, {"a": 2.0}), (105, {"a": 2.0})])))
    assert [row[0] for row in emitted] == [10, 20, 30, 40, 50, 60, 70]
    assert ticks.counts["late"] == 0
    late = ticks.add(block_of([(79, {"a": 2.0})]))
    assert (len(late.time), ticks.counts["late"]) == (0, 1)


def test_advance_past_the_gap_limit_ends_the_trip_at_the_next_reading():
    ticks = new_ticks()
    ticks.add(block_of([(5, {"a": 1.0})]))
    first = rows_of(ticks.advance(1000))
    ticks.add(block_of([(1000, {"a": 2.0})]))
    assert [row[1] for row in first + rows_of(ticks.flush())] == [0, 1]


def test_restart_begins_a_trip_at_any_time():
    ticks = new_ticks()
    out = rows_of(ticks.add(block_of([(5, {"a": 1.0}), (15, {"a": 1.5})])))
    ticks.restart()
    out += rows_of(ticks.add(block_of([(5, {"b": 2.0})])))
    out += rows_of(ticks.flush())
    np.testing.assert_equal(
        out, [(0, 0, [1.0, math.nan, math.nan]), (10, 0, [1.5, math.nan, math.nan]), (0, 1, [math.nan, 2.0, math.nan])]
    )
    assert not ticks.counts["clock_back"]


def test_one_reading_from_the_future_does_not_blind_the_truck():
    ticks = new_ticks()
    rows = [(time, {"a": 1.0}) for time in range(0, 1000, 10)]
    rows.insert(50, (10**15, {"a": 1.0}))
    found = rows_of(ticks.add(block_of(rows))) + rows_of(ticks.flush())
    assert {time for time, _, _ in found} == set(range(0, 1000, 10)) | {10**15}
    assert ticks.counts["clock_back"] == 1


def test_open_readings_are_bounded_and_overflow_is_counted():
    """A burst of a million times inside one tick keeps the first of them, whatever the block sizes."""
    kept = MAX_OPEN_VALUES // 16
    signals = tuple(Signal(name=f"s{i}", aggregation="mean") for i in range(16))
    time = np.arange(kept + 500, dtype=np.int64)
    values = np.full((len(time), 16), np.nan)
    values[:, 0] = time
    for size in (1 << 20, 20_001):
        ticks = Ticks("truck", signals, 10**6, 10**7, 0)
        for at in range(0, len(time), size):
            ticks.add(Readings("truck", ticks.names, time[at : at + size], values[at : at + size]))
        ticks.add(Readings("truck", ticks.names, time[:1], values[:1]))
        assert (ticks.counts["overflow"], ticks.counts["duplicate"]) == (500, 1)
        assert ticks.flush().values[0, 0] == np.float32(np.arange(kept).mean())


def test_other_columns_are_arranged_by_name_and_strangers_counted():
    ticks = new_ticks()
    ticks.add(Readings("truck", ("b", "x", "a"), np.array([5]), np.array([[2.0, 9.0, 1.0]])))
    np.testing.assert_equal(ticks.flush().values.tolist(), [[1.0, 2.0, math.nan]])
    assert ticks.counts["not_in_model"] == 1


def test_impossible_times_are_counted():
    ticks = new_ticks()
    ticks.add(block_of([(2**62, {"a": 1.0}), (-(2**62), {"a": 1.0, "b": 1.0}), (5, {"a": 1.0})]))
    assert (ticks.counts["bad_time"], len(ticks.flush().time)) == (3, 1)


def test_signal_counts_name_the_signal():
    ticks = new_ticks()
    ticks.add(block_of([(5, {"a": 1.0, "b": 999.0}), (15, {"b": math.inf, "c": 1.0})]))
    ticks.flush()
    assert ticks.signal_counts["out_of_range"].tolist() == [0, 1, 0]
    assert ticks.signal_counts["not_finite"].tolist() == [0, 1, 0]
    assert ticks.signal_counts["missing"].tolist() == [0, 2, 1]


@pytest.mark.parametrize("cut", [0, 1, 40, -1])
def test_damaged_state_is_refused(cut):
    ticks = new_ticks()
    ticks.add(block_of([(5, {"a": 1.0})]))
    with pytest.raises(StateError, match="damaged"):
        new_ticks().restore(ticks.state()[:cut])


@pytest.mark.parametrize("field", ["held_time", "held_value", "open_values", "outside_low"])
def test_state_with_a_number_too_few_is_refused(field):
    ticks = new_ticks()
    ticks.add(block_of([(5, {"a": 1.0})]))
    saved = tick_state.decode(ticks.state(), ticks.names, PERIOD)
    shorter = structs.replace(saved, **{field: getattr(saved, field)[8:] or bytes(8)})
    with pytest.raises(StateError, match="damaged"):
        new_ticks().restore(tick_state.encode(shorter))


def test_state_of_other_signals_is_refused():
    other = Ticks("truck", SIGNALS[:2], PERIOD, GAP, LATENESS)
    with pytest.raises(StateError, match="expected signals a, b each 10 us, got a, b, c each 10 us"):
        other.restore(new_ticks().state())
