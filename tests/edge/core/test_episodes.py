"""Episodes against a slow oracle that judges one tick at a time with plain numbers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickover.core.episode_alerts import episode_id
from tickover.core.episodes import Episodes
from tickover.core.manifest import (
    Budget,
    Chart,
    EpisodePolicy,
    Manifest,
    Network,
    Signal,
    StateTensor,
)
from tickover.core.values import (
    SECOND,
    EndReason,
    Phase,
    Scores,
    Severity,
    TickBlock,
)
from tickover.errors import StateError

SIGNALS = ("oil", "fuel")
CLEARS = 10
"""Ticks in which a chart clears."""
POLICY = EpisodePolicy(
    open_after_s=0, close_after_s=3, hold_off_s=5, no_data_s=6, update_every_s=8, freeze_frame_ticks=4
)


def manifest_of(policy: EpisodePolicy = POLICY, warm_up: int = 0) -> Manifest:
    """Two signals, a slow chart each and an energy chart of oil; 1 s ticks."""
    chart = {"limit": 1.0, "bound": 8.0, "clears_s": 10.0}
    return Manifest(
        name="test",
        signals=(Signal(name="oil", unit="kPa", spn=100), Signal(name="fuel", unit="L/h")),
        tick_period_s=1.0,
        gap_limit_s=4.0,
        lateness_s=0.0,
        states=(StateTensor(name="h", size=2, reset="trip"),),
        warm_up_ticks=warm_up,
        charts=(
            Chart(name="oil.slow", signals=("oil",), kind="ewma", **chart),
            Chart(name="fuel.slow", signals=("fuel",), kind="ewma", **chart),
            Chart(name="oil.energy", signals=("oil",), kind="ewms", **chart),
        ),
        false_alarms=Budget(episodes=1, per_s=3600),
        episodes=policy,
        network=Network(cell="gru", arch="autoencoder", hidden=1, bottleneck=1),
    )


def block_of(rows) -> tuple[TickBlock, Scores]:
    """Rows of (time in seconds, trip, oil present, fuel present, three chart levels); observed 1, expected 3."""
    time = np.array([row[0] * SECOND for row in rows], np.int64)
    trip = np.array([row[1] for row in rows], np.int64)
    present = np.array([row[2:4] for row in rows], bool).reshape(len(rows), 2)
    chart = np.array([row[4:7] for row in rows], np.float32).reshape(len(rows), 3)
    score = np.where(present.any(axis=1), chart.max(axis=1, initial=0), np.nan).astype(np.float32)
    values = np.where(present, np.float32(1), np.float32(np.nan))
    return TickBlock("truck", time, trip, values), Scores(score, chart, np.full((len(rows), 2), 3, np.float32))


def run(rows, sizes=None, policy=POLICY, warm_up=0, resume=False, sensitivity=None):
    """Feed rows in blocks, optionally through saved state after each; open flags and alerts."""

    def new():
        return Episodes(manifest_of(policy, warm_up), "ab" * 32, "truck", sensitivity=sensitivity)

    episodes, opens, alerts, at = new(), [], [], 0
    for size in sizes or [len(rows)]:
        open_, told = episodes.feed(*block_of(rows[at : at + size]))
        opens += open_.tolist()
        alerts += told
        at += size
        if resume:
            saved, episodes = episodes.state(), new()
            episodes.restore(saved)
    return opens, alerts + episodes.end(EndReason.END_OF_LOG)


class Oracle:
    """The rules in the docstring of ``tickover.core.episodes``, one tick at a time."""

    def __init__(self, policy, warm_up):
        self.policy, self.warm_up = policy, warm_up
        self.opens, self.alerts = [], []
        self.now = self.last = self.trip = self.shut = None
        self.age, self.carried = 0, {}

    def tick(self, row):
        time, trip, oil, fuel, *charts = row
        self.age = self.age + 1 if trip == self.trip else 0
        levels = [float(np.float32(level)) for level in charts]
        if trip != self.trip:
            following = self.trip is not None and time > self.last
            if following:
                self.carried = {i: [level, 0] for i, level in enumerate(levels) if level >= 1.0}
        warm = self.age >= self.warm_up
        fresh = [bool(oil and warm), bool(fuel and warm), bool(oil and warm)]
        self.release(levels, fresh)
        opening = [is_fresh and i not in self.carried for i, is_fresh in enumerate(fresh)]
        back = self.last is not None and time <= self.last
        if self.now and back:
            self.end("no_data", self.last)
        if back:
            self.shut = None
        if self.now and self.now["known"] + self.policy.no_data_s < time:
            self.end("no_data", self.now["known"] + self.policy.no_data_s)
        if self.now and self.now["told"] is None and trip != self.trip:
            self.now = None
        peak = max([level for level, is_fresh in zip(levels, fresh, strict=True) if is_fresh], default=-math.inf)
        over = any(level >= 1.0 for level, may_open in zip(levels, opening, strict=True) if may_open)
        if not self.now and over and (self.shut is None or time >= self.shut):
            self.now = {"start": time, "known": time, "witness": set(), "low": None, "peak": 0, "told": None, "sev": 0}
            self.now["over"] = set()
        if self.now:
            self.judge(time, levels, opening if self.now["told"] is None else fresh, fresh, peak)
        self.opens.append(bool(self.now and self.now["told"] is not None))
        if self.opens[-1]:
            self.now["last"] = time
        self.last, self.trip = time, trip

    def release(self, levels, fresh):
        for i in [*self.carried]:
            carried = self.carried[i]
            carried[1] += fresh[i]
            moved = levels[i] < 1.0 or levels[i] > carried[0] * np.float32(1.1)
            if (fresh[i] and moved) or carried[1] > CLEARS:
                del self.carried[i]

    def judge(self, time, levels, fresh, present, peak):
        now, policy = self.now, self.policy
        level = 1.0 if now["told"] is None else float(np.float32(policy.close_level))
        now["witness"] |= {i for i in range(3) if fresh[i] and levels[i] >= level}
        held = any(not fresh[i] and levels[i] >= level for i in now["witness"])
        high = any(fresh[i] and levels[i] >= level for i in range(3))
        if high:
            now["low"], now["known"] = None, time
        elif held or not any(fresh):
            if time - now["known"] >= policy.no_data_s:
                return self.end("no_data", time)
        else:
            now["low"] = time if now["low"] is None else now["low"]
            now["known"] = time
            if now["told"] is None:
                self.now = None
                return None
            if time - now["low"] >= policy.close_after_s:
                return self.end("recovered", time)
        now["peak"] = max(now["peak"], peak)
        severity = 2 if now["peak"] >= policy.critical_level else 1 if now["peak"] >= policy.major_level else 0
        joined = not self.over(levels, present) <= now["over"]
        if now["told"] is None:
            if high and time - now["start"] >= policy.open_after_s:
                self.tell("start", time, severity)
        elif severity > now["sev"] or joined or time - now["told"] >= policy.update_every_s:
            self.tell("update", time, severity)
        return None

    def over(self, levels, present):
        """The signals over their limit: oil has two charts."""
        self.levels_over = {SIGNALS[i % 2] for i in range(3) if present[i] and levels[i] >= 1.0}
        return self.levels_over

    def tell(self, phase, time, severity):
        self.now["told"], self.now["sev"] = time, severity
        self.now["over"] |= self.levels_over
        self.alerts.append((phase, None, self.now["start"], time, None, severity))

    def end(self, reason, time):
        now, self.now = self.now, None
        if now["told"] is not None:
            self.alerts.append(("end", reason, now["start"], time, now["last"], now["sev"]))
            self.shut = time + self.policy.hold_off_s


def plain(alert):
    """What the oracle knows of an alert, in seconds."""
    end = None if alert.end is None else alert.end / SECOND
    reason = alert.reason and alert.reason.value
    severity = list(Severity).index(alert.severity)
    return (alert.phase.value, reason, alert.start / SECOND, alert.time / SECOND, end, severity)


LEVELS = st.sampled_from([0.0, 0.5, 0.8, 0.9, 1.0, 1.5, 2.5, 5.0])
STEPS = st.sampled_from([1] * 12 + [7, 30, -20])


@st.composite
def streams(draw):
    """Ticks whose charts hold while their signal is missing, with gaps and clock jumps between trips."""
    rows, time, trip = [], 100, 0
    charts = [0.0, 0.0, 0.0]
    for step in draw(st.lists(STEPS, min_size=1, max_size=70)):
        time, trip = time + step, trip + (step != 1)
        oil, fuel = draw(st.sampled_from([(1, 1)] * 4 + [(0, 1), (1, 0), (0, 0)]))
        for place, present in enumerate((oil, fuel, oil)):
            if present and draw(st.integers(0, 2)) == 0:
                charts[place] = draw(LEVELS)
        rows.append((time, trip, oil, fuel, *charts))
    return rows


POLICIES = st.builds(
    EpisodePolicy,
    open_after_s=st.sampled_from([0, 0, 2]),
    close_after_s=st.sampled_from([0, 3]),
    hold_off_s=st.sampled_from([0, 5]),
    no_data_s=st.sampled_from([1, 6, 6.5]),
    update_every_s=st.sampled_from([1, 8]),
    freeze_frame_ticks=st.just(4),
)


@given(streams(), POLICIES, st.sampled_from([0, 0, 3]))
@settings(max_examples=400, deadline=None)
def test_blocks_equal_the_slow_oracle(rows, policy, warm_up):
    opens, alerts = run(rows, policy=policy, warm_up=warm_up)
    oracle = Oracle(policy, warm_up)
    for row in rows:
        oracle.tick(row)
    if oracle.now and oracle.now["told"] is not None:
        oracle.end("end_of_log", rows[-1][0])
    assert opens == oracle.opens
    assert [plain(alert) for alert in alerts] == oracle.alerts


@given(st.data(), streams(), POLICIES, st.booleans())
@settings(max_examples=200, deadline=None)
def test_block_sizes_and_saved_state_change_nothing(data, rows, policy, resume):
    sizes, left = [], len(rows)
    while left:
        sizes.append(data.draw(st.integers(1, left)))
        left -= sizes[-1]
    assert run(rows, sizes, policy, 2, resume) == run(rows, policy=policy, warm_up=2)


def steady(start, ticks, trip=0, oil=1, fuel=1, charts=(0.1, 0.1, 0.1)):
    """Ticks one second apart with the same charts."""
    return [(start + k, trip, oil, fuel, *charts) for k in range(ticks)]


def story(alerts):
    return [(alert.phase.value, alert.reason and alert.reason.value, alert.time // SECOND) for alert in alerts]


def test_an_episode_opens_updates_and_recovers_with_hysteresis():
    """Between the close level and the limit it stays open; under the close level for close_after_s it closes."""
    rows = steady(0, 5) + steady(5, 3, charts=(1.2, 0.1, 0)) + steady(8, 10, charts=(0.9, 0.1, 0)) + steady(18, 10)
    opens, alerts = run(rows)
    assert story(alerts) == [("start", None, 5), ("update", None, 13), ("end", "recovered", 21)]
    assert [k for k, is_open in enumerate(opens) if is_open] == list(range(5, 21))
    assert (alerts[-1].start, alerts[-1].end) == (5 * SECOND, 20 * SECOND)


def test_severity_rises_with_the_peak_and_says_so_at_once():
    rows = steady(0, 2, charts=(1.5, 0, 0)) + steady(2, 2, charts=(2.0, 0, 0)) + steady(4, 2, charts=(4.5, 0, 0))
    _, alerts = run(rows)
    assert [(a.phase.value, a.severity.value, a.time // SECOND) for a in alerts] == [
        ("start", "warning", 0),
        ("update", "major", 2),
        ("update", "critical", 4),
        ("end", "critical", 5),
    ]


def test_a_dying_sensor_neither_clears_its_alarm_nor_reopens_it():
    """Oil goes missing at its height; fuel is well throughout. The end is no_data, and the held chart opens nothing."""
    rows = steady(0, 3, charts=(3.0, 0.1, 0)) + steady(3, 60, oil=0, charts=(3.0, 0.1, 0))
    opens, alerts = run(rows)
    assert story(alerts) == [("start", None, 0), ("end", "no_data", 8)]
    assert not any(opens[8:])


def test_a_sensor_that_died_long_ago_does_not_keep_another_episode_open():
    rows = (
        steady(0, 3, charts=(3.0, 0.1, 0))
        + steady(3, 20, oil=0, charts=(3.0, 0.1, 0))
        + steady(23, 3, oil=0, charts=(3.0, 1.5, 0))
        + steady(26, 9, oil=0, charts=(3.0, 0.1, 0))
    )
    _, alerts = run(rows)
    assert story(alerts)[2:] == [("start", None, 23), ("end", "recovered", 29)]
    assert [c.signal for c in alerts[2].signals] == ["fuel"]


def test_a_missing_signal_that_comes_back_well_recovers():
    rows = steady(0, 3, charts=(3.0, 0, 0)) + steady(3, 4, oil=0, charts=(3.0, 0, 0)) + steady(7, 9)
    assert story(run(rows)[1]) == [("start", None, 0), ("update", None, 8), ("end", "recovered", 10)]


def test_warm_up_of_the_next_trip_is_no_evidence():
    """Charts stand still at 3.0 while the new trip warms up, though the signals are present: nothing may open."""
    rows = steady(0, 5, charts=(3.0, 0, 0)) + steady(100, 4, trip=1, charts=(3.0, 0, 0)) + steady(104, 9, trip=1)
    _, alerts = run(rows, warm_up=4)
    assert story(alerts) == [("start", None, 4), ("end", "no_data", 10)]


def test_a_short_stop_between_trips_does_not_end_an_episode_and_a_long_one_does():
    hot = (3.0, 0, 0)
    short = run(steady(0, 3, charts=hot) + steady(7, 3, trip=1, charts=hot))[1]
    assert story(short) == [("start", None, 0), ("update", None, 8), ("end", "end_of_log", 9)]
    long = run(steady(0, 3, charts=hot) + steady(50, 15, trip=1, charts=hot))[1]
    # What the chart still holds of the trip before opens nothing; that it is high when it could have cleared does.
    assert story(long)[:3] == [("start", None, 0), ("end", "no_data", 8), ("start", None, 60)]


def test_open_after_waits_and_forgets():
    policy = EpisodePolicy(open_after_s=2, close_after_s=3)
    hot, calm = (1.5, 0, 0), (0.1, 0, 0)
    rows = steady(0, 2, charts=hot) + steady(2, 1, charts=calm) + steady(3, 4, charts=hot)
    _, alerts = run(rows, policy=policy)
    assert next((a.phase.value, a.start // SECOND, a.time // SECOND) for a in alerts) == ("start", 3, 5)


def test_advance_ends_an_episode_without_any_tick():
    episodes = Episodes(manifest_of(), "ab" * 32, "truck")
    episodes.feed(*block_of(steady(0, 3, charts=(3.0, 0, 0))))
    assert episodes.advance(8 * SECOND) == []
    assert story(episodes.advance(8 * SECOND + 1)) == [("end", "no_data", 8)]
    assert episodes.advance(99 * SECOND) == []


def test_the_clock_put_back_ends_the_episode_and_the_next_has_another_id():
    hot = (3.0, 0, 0)
    _, alerts = run(steady(10, 3, charts=hot) + steady(10, 3, trip=1, charts=hot))
    assert story(alerts) == [
        ("start", None, 10),
        ("end", "no_data", 12),
        ("start", None, 10),
        ("end", "end_of_log", 12),
    ]
    assert alerts[0].episode_id == str(episode_id("truck", "ab" * 32, "anomaly", 10 * SECOND))
    assert len({alert.alert_id for alert in alerts}) == 4
    assert len({alert.episode_id for alert in alerts}) == 2


def test_sensitivity_scales_a_signals_charts_and_zero_mutes_it():
    rows = steady(0, 3, charts=(0.6, 0.1, 0.2))
    assert run(rows)[1] == []
    _, alerts = run(rows, sensitivity={"oil": 2.0})
    assert (alerts[0].score, alerts[0].peak) == (1.2, 1.2)
    assert run(steady(0, 3, charts=(9, 0.1, 9)), sensitivity={"oil": 0.0})[1] == []


def test_the_alert_names_signals_with_share_direction_and_expected_values():
    _, alerts = run(steady(0, 3, charts=(1.5, 0.5, 0.2)) + steady(3, 6, charts=(0.1, 0.1, 2.5)))
    oil, fuel = alerts[0].signals
    assert (oil.signal, oil.chart, oil.level, oil.share, oil.direction) == ("oil", "oil.slow", 1.5, 0.75, "low")
    assert (oil.unit, oil.observed, oil.expected) == ("kPa", 1.0, 3.0)
    assert (fuel.signal, fuel.share) == ("fuel", 0.25)
    assert (alerts[1].signals[0].chart, alerts[1].signals[0].direction) == ("oil.energy", "low")
    assert (alerts[-1].phase, alerts[-1].peak, alerts[-1].signals[0].level) == (Phase.END, 2.5, 2.5)


@pytest.mark.parametrize(
    ("observed", "direction"), [((1, 5), "unsteady"), ((1, 6), "unsteady"), ((4, 5), "high"), ((1, 2), "low")]
)
def test_a_signal_that_swings_around_its_expected_value_is_unsteady(observed, direction):
    ticks, scores = block_of(steady(0, 3) + steady(3, 1, charts=(0, 0, 2)))
    ticks.values[:, 0] = observed * 2
    _, alerts = Episodes(manifest_of(), "ab" * 32, "truck").feed(ticks, scores)
    assert alerts[0].signals[0].direction == direction


def test_the_freeze_frame_holds_the_last_ticks():
    rows = steady(0, 9) + steady(9, 1, fuel=0, charts=(1.5, 0.1, 0))
    _, alerts = run(rows)
    frame = alerts[0].freeze_frame
    assert frame.time == tuple(k * SECOND for k in (6, 7, 8, 9))
    assert frame.observed == ((1.0, 1.0),) * 3 + ((1.0, None),)
    assert frame.score == (0.1, 0.1, 0.1, 1.5)
    assert alerts[0].missing == 0.125


@pytest.mark.parametrize("state", [b"", b"\x00" * 20, b"junk"])
def test_damaged_state_is_refused(state):
    with pytest.raises(StateError, match="damaged"):
        Episodes(manifest_of(), "ab" * 32, "truck").restore(state)


def test_state_of_another_model_is_refused():
    state = Episodes(manifest_of(), "cd" * 32, "truck").state()
    with pytest.raises(StateError, match="expected vehicle truck and model abababababab, got truck and cdcdcdcdcdcd"):
        Episodes(manifest_of(), "ab" * 32, "truck").restore(state)


def test_a_glitch_at_the_end_of_a_trip_opens_nothing_at_the_start_of_the_next():
    """The chart is still high when the truck stops, holds over the stop, and then falls as it does with no fault."""
    falling = [(100 + k, 1, 1, 1, 2.0 * 0.9**k, 0, 0) for k in range(20)]
    glitch = [(10 + k, 0, 1, 1, level, 0, 0) for k, level in enumerate([0.0] * 5 + [3.0, 2.2])]

    def opened(rows):
        return [alert.time // SECOND for alert in run(rows, warm_up=3)[1] if alert.phase is Phase.START]

    assert opened(glitch + falling) == [15]
    rising = [(100 + k, 1, 1, 1, 2.0 + 0.3 * max(k - 3, 0), 0, 0) for k in range(20)]
    assert opened(glitch + rising) == [15, 104]


def test_an_episode_that_waits_to_open_at_the_end_of_a_trip_is_forgotten():
    policy = EpisodePolicy(open_after_s=5)
    rows = steady(10, 3, charts=(2.0, 0, 0)) + steady(100, 3, trip=1, charts=(3.0, 0, 0))
    assert run(rows, policy=policy)[1] == []


def test_another_signal_over_its_limit_and_a_rise_in_severity_are_updates_at_once():
    rows = steady(0, 5, charts=(1.2, 0, 0)) + steady(5, 2, charts=(1.2, 1.1, 0)) + steady(7, 2, charts=(1.2, 5.0, 1.1))
    policy = EpisodePolicy(update_every_s=1000)
    told_ = [(alert.phase.value, alert.time // SECOND) for alert in run(rows, policy=policy)[1]]
    assert told_ == [("start", 0), ("update", 5), ("update", 7), ("end", 8)]
    quiet = EpisodePolicy(update_every_s=1000, update_on_signal=False)
    told_ = [(alert.phase.value, alert.time // SECOND) for alert in run(rows, policy=quiet)[1]]
    assert told_ == [("start", 0), ("update", 7), ("end", 8)]
