"""Sensor episodes: through the whole pipeline with a detector that finds everything calm, and cut into any blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from tickover.core.manifest import Budget, Chart, EpisodePolicy, Manifest, Network, SensorPolicy, Signal, StandsAt
from tickover.core.pipeline import Pipeline
from tickover.core.policy import SensorOverrides, Settings
from tickover.core.values import SECOND, EndReason, Phase, Readings, Scores, Severity
from tickover.core.watch import Watch

NAMES = ("rpm", "speed", "volts", "ambient", "lamp")
SIGNALS = (
    Signal(name="rpm", low=0, high=8000, hold_s=2.0),
    Signal(name="speed", low=0, high=250, hold_s=2.0, frozen_s=120.0),
    Signal(name="volts", unit="V", low=11.0, high=16.0, hold_s=2.0, spn=168),
    Signal(name="ambient", low=-50, high=60, hold_s=2.0),
    Signal(name="lamp", low=0, high=3, hold_s=2.0, constant=0.0),
)
HOUR = 3600


class Calm:
    """A detector that expects 1 of every signal and finds nothing."""

    digest = "ef" * 32

    def __init__(self, signals=SIGNALS, sensors=None, **policy):
        self.manifest = Manifest(
            name="calm",
            signals=signals,
            tick_period_s=1.0,
            gap_limit_s=30.0,
            lateness_s=1.0,
            states=(),
            warm_up_ticks=0,
            charts=(Chart(name="volts.fast", signals=("volts",), kind="ewma", limit=2.0, bound=8.0, clears_s=9.0),),
            kinds={"ewma": "running mean"},
            false_alarms=Budget(episodes=1, per_s=3600),
            episodes=EpisodePolicy(**policy),
            sensors=sensors or SensorPolicy(),
            network=Network(cell="gru", arch="autoencoder", hidden=1, bottleneck=1),
        )

    def new_state(self):
        return np.zeros(0, np.float32)

    def reset_trip(self, state):
        return state

    def run_batch(self, states, X):
        shape = X.shape[:2]
        score = np.where(np.isnan(X).all(axis=2), np.float32(np.nan), np.float32(0.1))
        return states, Scores(score, np.full((*shape, 1), 0.1, np.float32), np.ones_like(X))


def drive(seconds, seed=0):
    """A truck at work at 1 Hz: columns of ``NAMES``; ambient is slow, the lamp is off."""
    random = np.random.default_rng(seed)
    return np.column_stack(
        [
            1500 + 50 * random.normal(size=seconds).cumsum() % 800,
            np.round(60 + random.normal(size=seconds).cumsum() % 40),
            np.round(14 + 0.05 * random.normal(size=seconds), 2),
            20 + np.arange(seconds) // 900,
            np.zeros(seconds),
        ]
    )


def told(table, begin=0.0, pipeline=None, keep=False, settings_=None):
    """Alerts and rows (score, open) of a table at 1 Hz from ``begin``; rows without any value are not sent."""
    pipeline = pipeline or Pipeline(Calm(), settings_)
    rows = ~np.isnan(table).all(axis=1)
    time = (np.flatnonzero(rows) + begin) * SECOND
    pipeline.feed(Readings("t", NAMES, time.astype(np.int64), table[rows]))
    outputs = pipeline.pump() if keep else pipeline.flush()
    alerts = [alert for output in outputs for alert in output.alerts]
    score = np.concatenate([output.scored.scores.score for output in outputs] or [[]])
    open_ = np.concatenate([output.scored.open for output in outputs] or [[]])
    return alerts, score, open_


def starts(alerts):
    return [(alert.detector, alert.time // SECOND) for alert in alerts if alert.phase is Phase.START]


def test_a_truck_at_work_raises_none():
    alerts, score, open_ = told(drive(2 * HOUR))
    assert not alerts
    assert not open_.any()
    assert score.max() < 1


@pytest.mark.parametrize("volts", [10.9, 10.5, 6.0, 0.0, -1e30, 16.5, 1e30])
def test_readings_out_of_range_alert_within_a_minute_and_stay_open_to_the_end(volts):
    table = drive(1800)
    table[900:, 2] = volts
    alerts, score, open_ = told(table)
    assert [alert.detector for alert in alerts] == ["sensor.out_of_range.volts"] * len(alerts)
    first, last = alerts[0], alerts[-1]
    assert 900 <= first.time / SECOND <= 930
    assert 900 <= first.start / SECOND <= 905
    assert first.severity is Severity.CRITICAL
    assert (last.phase, last.reason) == (Phase.END, EndReason.END_OF_LOG)
    (named,) = first.signals
    assert (named.signal, named.direction, named.spn) == ("volts", "low" if volts < 11 else "high", 168)
    assert named.observed == pytest.approx(volts, rel=1e-6)
    assert first.freeze_frame.observed[-1][2] == pytest.approx(volts, rel=1e-6)
    over = np.flatnonzero(score >= 1)
    assert over[0] == first.time / SECOND
    assert len(over) == len(table) - over[0]
    assert (open_ == (score >= 1)).all()


def test_the_further_out_of_range_the_worse():
    table, level = drive(1800), []
    for volts in (10.9, 9.0, 5.0, 0.0):
        table[900:, 2] = volts
        level.append(told(table)[0][0].peak)
    assert level == sorted(level)
    assert len(set(level)) == 4


def test_a_glitch_out_of_range_raises_none_also_from_one_trip_to_the_next():
    table = drive(1800)
    table[100:103, 2] = 0.0
    table[700:704, 2] = 30.0
    table[1000, 2] = 0.0
    assert not told(table)[0]
    pipeline = Pipeline(Calm())
    table = drive(300)
    table[-7:, 2] = 0.0
    assert not told(table, pipeline=pipeline, keep=True)[0]
    table = drive(300)
    table[:7, 2] = 0.0
    assert not told(table, begin=2 * HOUR, pipeline=pipeline)[0]


def test_a_sensor_that_comes_back_into_range_recovers_once_and_a_second_fault_is_another_episode():
    table = drive(3600)
    table[600:1800, 2] = 5.0
    table[2400:2500, 2] = 5.0
    alerts = told(table)[0]
    ends = [(alert.reason, alert.time // SECOND) for alert in alerts if alert.phase is Phase.END]
    assert [reason for reason, _ in ends] == [EndReason.RECOVERED] * 2
    assert 1829 <= ends[0][1] <= 1840
    assert [time // 100 for _, time in starts(alerts)] == [6, 24]
    assert len({alert.episode_id for alert in alerts}) == 2
    assert len({alert.alert_id for alert in alerts}) == len(alerts)


def test_a_sensor_that_is_unplugged_is_told_within_a_minute_until_it_is_back():
    table = drive(3600)
    table[600:2600, 0] = np.nan
    alerts, score, _ = told(table)
    assert [alert.detector for alert in alerts] == ["sensor.no_data.rpm"] * 2
    start, end = alerts
    assert 600 < start.time / SECOND <= 660
    assert start.severity is Severity.WARNING
    assert start.signals[0].observed is None
    assert (end.reason, end.time // SECOND // 10) == (EndReason.RECOVERED, 262)
    assert (score[700:2590] >= 1).all()
    assert (score[:600] < 1).all()
    assert (score[2700:] < 1).all()


@pytest.mark.parametrize(("raised", "after"), [(600.0, 45), (900.0, 900)])
def test_a_signal_that_always_came_at_once_is_missed_soon_unless_the_policy_waits_for_longer(raised, after):
    table = drive(1800)
    table[:, 0] = np.nan
    signals = (structs.replace(SIGNALS[0], unseen_s=45.0), *SIGNALS[1:])
    calm = Calm(signals, SensorPolicy(unseen_s=raised))
    start = told(table, pipeline=Pipeline(calm))[0][0]
    assert start.detector == "sensor.no_data.rpm"
    assert after - 5 <= start.time / SECOND <= after + 15


def test_a_sensor_that_is_out_of_range_and_then_gone_ends_as_no_data_and_goes_on_as_no_data():
    table = drive(1800)
    table[600:900, 2] = 5.0
    table[900:, 2] = np.nan
    alerts = told(table)[0]
    assert [detector for detector, _ in starts(alerts)] == ["sensor.out_of_range.volts", "sensor.no_data.volts"]
    assert [alert.reason for alert in alerts if alert.phase is Phase.END] == [EndReason.NO_DATA, EndReason.END_OF_LOG]


def test_a_sensor_that_stands_while_its_companions_move_is_frozen():
    table = drive(3600)
    table[600:2000, 1] = table[600, 1]
    alerts = told(table)[0]
    assert [alert.detector for alert in alerts] == ["sensor.frozen.speed"] * 2
    assert 720 <= alerts[0].time / SECOND <= 735
    assert 595 <= alerts[0].start / SECOND <= 610
    assert alerts[1].reason is EndReason.RECOVERED


@pytest.mark.parametrize(("value", "after"), [(20.0, 240), (90.0, 900), (150.0, 240)])
def test_a_signal_is_frozen_sooner_at_a_level_where_it_always_moved_on(value, after):
    steps = [StandsAt(above=at, frozen_s=limit) for at, limit in ((0.0, 240.0), (60.0, 900.0), (120.0, 240.0))]
    speed = structs.replace(SIGNALS[1], frozen_s=900.0, frozen_at=tuple(steps))
    table = drive(3600)
    table[600:2000, 1] = value
    alerts = told(table, pipeline=Pipeline(Calm((SIGNALS[0], speed, *SIGNALS[2:]))))[0]
    [(detector, time)] = starts(alerts)
    assert detector == "sensor.frozen.speed"
    assert 600 + after <= time <= 600 + after + 15


def test_without_a_limit_from_training_only_a_lively_signal_that_stands_for_hours_is_frozen():
    table = drive(4 * HOUR)
    table[HOUR:, 0] = table[HOUR, 0]
    table[HOUR:, 3] = 24  # ambient stands as long
    alerts = told(table)[0]
    assert [detector for detector, _ in starts(alerts)] == ["sensor.frozen.rpm"]
    assert alerts[0].time / SECOND >= 3 * HOUR
    table[HOUR:, 0] = 0.0
    assert not told(table)[0], "a signal at rest may stand"


def test_a_lamp_that_comes_on_is_told_within_a_minute_and_a_flicker_is_not():
    table = drive(1800)
    table[300:303, 4] = 1.0
    table[900:, 4] = 1.0
    alerts = told(table)[0]
    assert [detector for detector, _ in starts(alerts)] == ["sensor.departed_constant.lamp"]
    assert 900 <= alerts[0].time / SECOND <= 930
    assert alerts[0].severity is Severity.MAJOR
    assert (alerts[0].signals[0].observed, alerts[0].signals[0].expected) == (1.0, 0.0)
    assert alerts[-1].reason is EndReason.END_OF_LOG


def test_a_lamp_that_flashes_is_told_within_a_minute_and_stays_told():
    table = drive(1800)
    table[900::2, 4] = 1.0
    alerts = told(table)[0]
    assert [detector for detector, _ in starts(alerts)] == ["sensor.departed_constant.lamp"]
    assert 900 <= alerts[0].time / SECOND <= 960
    assert alerts[-1].reason is EndReason.END_OF_LOG


def test_a_bulb_check_at_each_of_many_starts_of_the_engine_is_no_fault():
    table = drive(7200)
    for second in range(0, 7200, 120):
        table[second : second + 4, 4] = 1.0
    assert not told(table)[0]


def test_readings_out_of_range_some_of_the_time_are_one_episode_and_seldom_ones_none():
    random = np.random.default_rng(8)
    for share, expected in ((0.3, ["sensor.out_of_range.volts"]), (0.03, [])):
        table = drive(3000)
        table[1000:2000, 2] = np.where(random.random(1000) < share, 0.0, table[1000:2000, 2])
        alerts = told(table)[0]
        assert [detector for detector, _ in starts(alerts)] == expected
        if expected:
            assert 1000 <= alerts[0].time / SECOND <= 1060
            assert alerts[-1].reason is EndReason.RECOVERED
            assert 2000 <= alerts[-1].time / SECOND <= 2060


def test_all_signals_missing_at_once_is_silence():
    table = drive(3600)
    table[600:1200] = np.nan
    table[2000:2025] = np.nan
    assert not told(table)[0]


def test_a_source_that_falls_silent_takes_its_signals_along_and_raises_none():
    """The ignition is off: the battery's voltage and the outside temperature go on."""
    table = drive(3600)
    table[600:, [0, 1, 4]] = np.nan
    assert not told(table)[0]


def test_a_week_of_parked_and_driven_legs_raises_none():
    """Cold starts with late signals, ignition off, nights, a parked weekend with a telematics unit that goes on."""
    pipeline, random, day = Pipeline(Calm()), np.random.default_rng(5), 24 * HOUR
    alerts = []
    for number in range(7):
        begin = number * day + 7 * HOUR
        for leg in range(0 if number in (5, 6) else 6):
            table = drive(int(random.integers(180, 500)), seed=10 * number + leg)
            table[: int(random.integers(5, 120)), 3] = np.nan  # a sensor that is slow to start
            table[-6:, 2] = 9.0  # the voltage sinks as the engine stops
            table[:4, 2] = 8.0  # and at cranking
            table[:3, 4] = 1.0  # the lamp's own test
            alerts += told(table, begin, pipeline, keep=True)[0]
            rest = int(random.integers(60, 1500))
            parked = np.full((rest, 5), np.nan)  # engine off: speed 0, the rest silent but for the battery
            parked[:, 2] = np.round(12.6 + 0.02 * random.normal(size=rest), 2)
            parked[: rest // 2, 1] = 0.0
            alerts += told(parked, begin + len(table), pipeline, keep=True)[0]
            begin += len(table) + rest + 1
        parked = np.full((3 * HOUR, 5), np.nan)
        parked[::60, 2] = 12.5
        parked[::60, 3] = np.round(random.normal(5, 1, 180))
        alerts += told(parked, begin + HOUR, pipeline, keep=True)[0]
    assert not alerts, starts(alerts)


def test_an_unplugged_sensor_is_one_episode_over_stops_and_nights_and_is_told_again():
    pipeline, alerts = Pipeline(Calm(update_every_s=300)), []
    for leg in range(12):
        table = drive(600, seed=leg)
        table[100 if leg == 0 else 0 :, 2] = np.nan
        alerts += told(table, leg * 3 * HOUR, pipeline, keep=True)[0]
    alerts += told(drive(600), 50 * HOUR, pipeline)[0]
    assert [alert.phase for alert in alerts][:1] + [alert.phase for alert in alerts][-1:] == [Phase.START, Phase.END]
    assert all(alert.phase is Phase.UPDATE for alert in alerts[1:-1])
    assert len(alerts) >= 10
    assert alerts[-1].reason is EndReason.RECOVERED
    assert len({alert.episode_id for alert in alerts}) == 1


def test_a_sensor_that_was_never_read_is_told_after_a_longer_time_even_in_short_legs():
    pipeline, alerts = Pipeline(Calm()), []
    for leg in range(5):
        table = drive(240, seed=leg)
        table[:, 2] = np.nan
        alerts += told(table, leg * HOUR, pipeline, keep=True)[0]
    assert starts(alerts)[0][0] == "sensor.no_data.volts"
    assert starts(alerts)[0][1] > 2 * HOUR


def test_a_muted_signal_a_kind_left_out_and_a_signal_of_another_model_raise_none():
    table = drive(1800)
    table[900:, 2] = 0.0
    assert not told(table, settings_=Settings(sensitivity={"volts": 0.0}))[0]
    assert not told(table, settings_=Settings(sensors=SensorOverrides(kinds=("no_data",))))[0]
    assert not told(table, pipeline=Pipeline(Calm(), sensors_of={"rpm"}))[0]
    assert told(table, settings_=Settings(sensors=SensorOverrides(outside_s=200.0)))[0][0].time > 1090 * SECOND


def test_a_clock_that_is_put_back_ends_open_episodes():
    pipeline = Pipeline(Calm())
    table = drive(600)
    table[300:, 2] = 0.0
    alerts = told(table, 10 * HOUR, pipeline, keep=True)[0]
    alerts += told(table, 0, pipeline)[0]
    phases = [(alert.phase, alert.reason) for alert in alerts]
    assert phases == [
        (Phase.START, None),
        (Phase.END, EndReason.NO_DATA),
        (Phase.START, None),
        (Phase.END, EndReason.END_OF_LOG),
    ]
    assert len({alert.episode_id for alert in alerts}) == 2


POLICY = SensorPolicy(outside_s=3, departed_s=3, stale_s=6, unseen_s=12, frozen_s=15, update_every_s=20)
CELL = st.sampled_from(["calm"] * 6 + ["gone", "out", "off", "still"])


@st.composite
def streams(draw):
    """A table of ``NAMES`` in which signals fail for a while, with gaps in time."""
    seconds = draw(st.integers(20, 150))
    table = drive(seconds, draw(st.integers(0, 5)))
    for _ in range(draw(st.integers(0, 6))):
        column, begin = draw(st.integers(0, 4)), draw(st.integers(0, seconds - 1))
        rows = slice(begin, begin + draw(st.integers(1, 60)))
        how = draw(CELL)
        if how == "gone":
            table[rows, column] = np.nan
        elif how == "out":
            table[rows, column] = draw(st.sampled_from([-1e4, 1e4]))
        elif how == "off":
            table[rows, column] = 1.5
        elif how == "still":
            table[rows, column] = table[begin, column]
    time, steps = 0, draw(st.lists(st.sampled_from([1] * 30 + [3, 50, -200]), min_size=seconds, max_size=seconds))
    times = []
    for step in steps:
        time += step
        times.append(time)
    return table, np.array(times, np.int64) * SECOND


def run(table, times, sizes, resume=False):
    """Alerts and rows of readings cut into blocks, optionally through saved state after each."""
    detector = Calm(sensors=POLICY, close_after_s=8, hold_off_s=10, freeze_frame_ticks=3)
    pipeline, outputs, at = Pipeline(detector), [], 0
    for size in sizes:
        pipeline.feed(Readings("t", NAMES, times[at : at + size], table[at : at + size]))
        at += size
        outputs += pipeline.pump()
        if resume and "t" in pipeline.vehicles:
            saved, pipeline = pipeline.state("t"), Pipeline(detector)
            pipeline.restore("t", saved)
    outputs += pipeline.flush()
    alerts = [alert for output in outputs for alert in output.alerts]
    rows = [
        row
        for output in outputs
        for row in zip(
            output.scored.ticks.time.tolist(),
            output.scored.scores.score.tolist(),
            output.scored.open.tolist(),
            strict=True,
        )
    ]
    return alerts, rows


@given(st.data(), streams(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_blocks_and_saved_state_change_nothing(data, stream, resume):
    table, times = stream
    sizes, left = [], len(table)
    while left:
        sizes.append(data.draw(st.integers(1, min(left, 40))))
        left -= sizes[-1]
    whole, parts = run(table, times, [len(table)]), run(table, times, sizes, resume)
    np.testing.assert_equal(parts[1], whole[1])
    assert parts[0] == whole[0]


@given(streams())
@settings(max_examples=100, deadline=None)
def test_episodes_are_whole(stream):
    """Every start has an end, ids are unique, an open episode's severity never falls."""
    table, times = stream
    alerts, _ = run(table, times, [len(table)])
    assert len({alert.alert_id for alert in alerts}) == len(alerts)
    ranks = list(Severity)
    for episode in {alert.episode_id for alert in alerts}:
        mine = [alert for alert in alerts if alert.episode_id == episode]
        assert [alert.sequence for alert in mine] == list(range(len(mine)))
        assert mine[0].phase is Phase.START
        assert mine[-1].phase is Phase.END
        found = [ranks.index(alert.severity) for alert in mine]
        assert found == sorted(found)


def test_a_state_from_before_there_were_sensor_episodes_starts_them_anew():
    watch = Watch(Calm().manifest, "ef" * 32, "t")
    episodes, sensors, record = watch.state()
    assert sensors
    assert record
    Watch(Calm().manifest, "ef" * 32, "t").restore(episodes, b"")
