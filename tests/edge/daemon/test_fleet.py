"""The fleet between intake and pipelines: event time, silence and staleness, also over clocks that leap."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from daemon_process import MODEL, SIGNALS, START, drive
from tickover.core.gate import Gate
from tickover.core.pipeline import Pipeline
from tickover.core.policy import SensorOverrides, Settings
from tickover.core.values import SECOND
from tickover.daemon.events import Advance, Reset, rows_of
from tickover.daemon.fleet import Fleet
from tickover.daemon.fleet_state import without
from tickover.daemon.late import REPLAYED
from tickover.daemon.latest import Live
from tickover.messages.notices import Kind, Notice
from tickover.model.detector import Detector

DETECTOR = Detector.load(MODEL)
STALE_S, YEARS_S = 20, 10 * 365 * 86_400
WHOLE = [27.0, 49.0, 39.0]
NO_COOLANT = [np.nan, 49.0, 39.0]


def new_fleet(window_s: int = 0, late: bool = False) -> Fleet:
    streams = {f"anomaly{REPLAYED}": Pipeline(DETECTOR, name=f"anomaly{REPLAYED}", sensors_of=())} if late else {}
    return Fleet({"anomaly": Pipeline(DETECTOR)}, SIGNALS, None, STALE_S * SECOND, window_s * SECOND, streams)


def feed(fleet: Fleet, rows: list[tuple[float, list[float]]]) -> list[Notice]:
    """One event."""
    fleet.apply(rows_of("t1", [round(time * SECOND) for time, _ in rows], [values for _, values in rows]))
    return fleet.pump().notices


def leap() -> list[tuple[float, list[float]]]:
    """1970, now, ten years on, and now for as long as it takes to tell that the clock came back."""
    starts = ((0, 30), (START, 30), (START + YEARS_S, 30), (START + 60, 61))
    return [(start + second, WHOLE) for start, seconds in starts for second in range(seconds)]


def test_a_vehicles_event_time_comes_back_with_its_clock() -> None:
    fleet = new_fleet()
    feed(fleet, leap())
    assert fleet.newest("t1") == (START + 120) * SECOND
    fleet.apply(Advance("t1", fleet.newest("t1") + 40 * SECOND))
    fleet.pump()
    assert fleet.newest("t1") == (START + 160) * SECOND


def test_a_signal_that_goes_quiet_after_the_leap_is_told() -> None:
    fleet = new_fleet()
    assert feed(fleet, leap()) == []
    assert feed(fleet, [(START + 121 + s, NO_COOLANT) for s in range(15)]) == []
    (notice,) = feed(fleet, [(START + 136 + s, NO_COOLANT) for s in range(15)])
    assert notice.active
    assert notice.time == (START + 150) * SECOND
    assert "coolant" in notice.text


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, START, START + YEARS_S]), st.integers(0, 90), st.lists(st.booleans(), min_size=3)
        ),
        min_size=2,
        max_size=12,
    ),
    st.data(),
)
def test_how_rows_are_cut_into_events_never_matters(
    draws: list[tuple[int, int, list[bool]]], data: st.DataObject
) -> None:
    """A journal is run again in larger pieces than it was written in."""
    rows = [
        (float(start + second), [value if heard else np.nan for value, heard in zip(WHOLE, seen, strict=False)])
        for start, second, seen in draws
    ]
    cut = data.draw(st.integers(1, len(rows) - 1))
    whole, parts = new_fleet(), new_fleet()
    feed(whole, rows)
    feed(parts, rows[:cut])
    feed(parts, rows[cut:])
    own = [without(fleet.state("t1"), ["anomaly"]) for fleet in (whole, parts)]
    assert own[0] == own[1]


def test_the_newest_tick_is_that_of_the_clock_that_came_back_and_stays_known_in_sleep() -> None:
    fleet, live = new_fleet(), Live({"anomaly": SIGNALS})
    assert live.newest == 0
    for part in range(6):
        feed_and_note(fleet, live, leap()[part * 30 : part * 30 + 30])
    assert live.newest == (START + 118) * SECOND
    live.forget("t1")
    assert live.newest == (START + 118) * SECOND


def feed_and_note(fleet: Fleet, live: Live, rows: list[tuple[float, list[float]]]) -> None:
    fleet.apply(rows_of("t1", [round(time * SECOND) for time, _ in rows], [values for _, values in rows]))
    live.note(fleet.pump().pumped)


def test_signals_of_other_models_and_of_the_gate_are_no_models_drops_and_change_no_alert() -> None:
    columns = ("oil", *reversed(SIGNALS), "ignition")
    alone, mixed = (
        new_fleet(),
        Fleet({"anomaly": Pipeline(DETECTOR)}, columns, Gate("ignition > 0"), STALE_S * SECOND),
    )
    rows = drive(200)
    times = [round(time * SECOND) for time, _ in rows]
    for fleet, beside in ((alone, {}), (mixed, {"oil": 1.0, "ignition": 1.0})):
        shown = [[{**values, **beside}.get(name, np.nan) for name in fleet.columns] for _, values in rows]
        fleet.apply(rows_of("t1", times, shown))
    alerts = [fleet.pump().alerts for fleet in (alone, mixed)]
    assert alerts[0]
    assert alerts[0] == alerts[1]
    assert alone.tick_counts() == mixed.tick_counts()


LATE = [*((START + second, WHOLE) for second in range(30)), *((START + 25 + n / 100, WHOLE) for n in range(30))]
"""30 rows of three readings are late."""


@pytest.mark.parametrize(
    "drop",
    [
        lambda fleet: fleet.forget("t1"),
        lambda fleet: fleet.apply(Reset("t1")),
        lambda fleet: fleet.renew(["anomaly"]),
        lambda fleet: fleet.restore("t1", fleet.state("t1")),
    ],
    ids=["sleep", "reset", "another model", "wake"],
)
def test_counts_never_fall(drop: Callable[[Fleet], None]) -> None:
    fleet = Fleet({"anomaly": Pipeline(DETECTOR)}, SIGNALS, Gate("rpm > 0"), 0)
    feed(fleet, [(START, [27.0, 0.0, 39.0]), *LATE])
    before = fleet.counts
    assert (before["gated"], before["late"]) == (1, 90)
    drop(fleet)
    fleet.pump()
    assert fleet.counts == before
    feed(fleet, [(START + 100, WHOLE), *((START + 96 + n / 100, WHOLE) for n in range(5))])
    assert fleet.counts["late"] == before["late"] + 15


def test_what_an_earlier_run_counted_does_not_count() -> None:
    fleet = new_fleet()
    feed(fleet, LATE)
    fleet.count_from_now()
    assert not fleet.counts
    feed(fleet, [(START + 25.5, WHOLE)])
    assert fleet.counts == {"late": 3}


def test_a_signal_that_is_sent_seldom_may_be_quiet_for_as_long_as_in_training() -> None:
    seldom = Detector.load(MODEL)
    first = structs.replace(seldom.manifest.signals[0], hold_s=2.0, stale_s=70.0)
    seldom.manifest = structs.replace(seldom.manifest, signals=(first, *seldom.manifest.signals[1:]))
    settings = Settings(sensors=SensorOverrides(kinds=()))
    fleet = Fleet({"anomaly": Pipeline(seldom, settings)}, SIGNALS, None, STALE_S * SECOND)
    found = []
    for second in range(180):
        row = [WHOLE[0] if second < 10 else np.nan, WHOLE[1] if second < 90 else np.nan, WHOLE[2]]
        found += [(one.time // SECOND - START, one.text) for one in feed(fleet, [(START + second, row)])]
    assert found == [(82, f"no readings of {SIGNALS[0]}"), (110, f"no readings of {SIGNALS[0]}, {SIGNALS[1]}")]


def test_a_signal_that_is_not_read_is_told_once() -> None:
    """By an episode of its sensor where a model watches it, else by the notice."""
    kinds = SensorOverrides(kinds=("no_data",), stale_s=8.0)
    for settings, by_notice in ((Settings(sensors=kinds), False), (None, True)):
        fleet = Fleet({"anomaly": Pipeline(DETECTOR, settings)}, SIGNALS, None, STALE_S * SECOND)
        alerts, notices = [], []
        random = np.random.default_rng(0)
        for second in range(180):
            values = np.round(random.normal(WHOLE, 0.3), 3).tolist()
            rows = [(START + second, [np.nan, *values[1:]] if second >= 60 else values)]
            fleet.apply(rows_of("t1", [round(time * SECOND) for time, _ in rows], [row for _, row in rows]))
            outcome = fleet.pump()
            notices += outcome.notices
            alerts += [alert for alert in outcome.alerts if alert.detector == "sensor.no_data.coolant"]
        assert bool([notice for notice in notices if notice.kind is Kind.STALE_SIGNAL]) is by_notice
        assert bool(alerts) is not by_notice
