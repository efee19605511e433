"""What a broker or a gateway does to the order of readings: deliver again, drain a backlog in between, set a clock
back.

The fleet with the demo's model and trip, which has an episode. Alerts are compared with those of the trip alone.
"""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paths import ROOT
from tickover.core.pipeline import Pipeline
from tickover.core.seen import PAGE, Room, Seen, keys_of
from tickover.core.values import SECOND, Alert, EndReason, Phase
from tickover.daemon.events import rows_of
from tickover.daemon.fleet import Fleet
from tickover.daemon.fleet_state import without
from tickover.daemon.late import REPLAYED
from tickover.logs.reading import load_mapping, read_log
from tickover.model.detector import Detector

DEMO = ROOT / "deploy" / "demo"
DETECTOR = Detector.load(DEMO / "truck.onnx")
HOUR = 3600 * SECOND
LATE = f"anomaly{REPLAYED}"
Row = tuple[int, list[float]]


def demo_rows(count: int) -> list[Row]:
    """The first rows of the trip, in order."""
    found: list[Row] = []
    mapping, trip = load_mapping(DEMO / "mapping.toml"), DEMO / "trip.csv.gz"
    for block in read_log(trip, mapping, vehicle="t1", counts=Counter(), on_bad=pytest.fail):
        assert block.signals == DETECTOR.manifest.names
        found += zip(block.time.tolist(), block.values.tolist(), strict=True)
    return found[:count]


TRIP = demo_rows(5000)


def new_fleet(window: int = HOUR, late: bool = False) -> Fleet:
    streams = {LATE: Pipeline(DETECTOR, name=LATE, sensors_of=())} if late else {}
    return Fleet({"anomaly": Pipeline(DETECTOR)}, DETECTOR.manifest.names, None, 0, window, streams)


def run(fleet: Fleet, rows: list[Row], at_once: int = 500) -> list[Alert]:
    alerts = []
    for first in range(0, len(rows), at_once or 1):
        part = rows[first : first + at_once]
        fleet.apply(rows_of("t1", [time for time, _ in part], [values for _, values in part]))
        alerts += fleet.pump().alerts
    return alerts


@pytest.fixture(scope="module")
def alone() -> list[Alert]:
    alerts = run(new_fleet(), TRIP)
    assert len({alert.episode_id for alert in alerts}) >= 2
    return alerts


def drained(rows: list[Row], behind: int, every: int, burst: int = 1) -> list[Row]:
    """After every few rows some that the same truck stored long before."""
    mixed, at = [], 0
    for number, row in enumerate(rows, 1):
        mixed.append(row)
        if number % every == 0:
            mixed += [(time - behind, values) for time, values in rows[at : at + burst]]
            at += burst
    return mixed


def readings(rows: int) -> int:
    return rows * len(DETECTOR.manifest.names)


@pytest.mark.parametrize(("every", "burst"), [(5, 1), (1, 1), (7, 55)])
def test_a_backlog_drained_between_current_readings_is_late_and_changes_no_alert(alone, every, burst) -> None:
    fleet, rows = new_fleet(), TRIP[:3500]
    assert run(fleet, drained(rows, 5 * HOUR, every, burst)) == [a for a in alone if a.time <= rows[-3][0]]
    old = sum(len(rows[at * burst : (at + 1) * burst]) for at in range(len(rows) // every))
    assert 0 <= readings(old) - fleet.counts["late"] <= readings(burst), "the last ones are still held"
    assert not fleet.counts["clock_back"]
    assert fleet.signal_counts["oil_temp"]["late"] * readings(1) == fleet.counts["late"]


def test_a_drain_in_large_pieces_takes_one_for_a_clock_and_then_learns(alone) -> None:
    """100 rows without a current one between them are what a clock that was set back looks like; once."""
    fleet = new_fleet()
    found = run(fleet, drained(TRIP, 9 * HOUR, 300, 100))
    assert fleet.counts["clock_back"] == 1
    starts = [alert.start for alert in found]
    later = {alert.start for alert in alone if alert.start > TRIP[1500][0]}
    assert later
    assert all(any(abs(start - other) < 60 * SECOND for other in starts) for start in later), starts


def test_late_replay_runs_them_beside_under_a_name_of_their_own(alone) -> None:
    fleet, rows = new_fleet(late=True), TRIP[:4800]
    found = run(fleet, drained(rows, 5 * HOUR, 1))
    assert [alert for alert in found if alert.detector != LATE] == [a for a in alone if a.time <= rows[-3][0]]
    beside = {alert.time + 5 * HOUR for alert in found if alert.detector == LATE}
    wanted = {alert.time for alert in alone if alert.detector == "anomaly" and alert.time <= rows[-4][0]}
    assert beside == wanted, "the same, five hours before"
    assert not {alert.alert_id for alert in found if alert.detector == LATE} & {alert.alert_id for alert in alone}
    assert fleet.counts["late"] == 0
    assert fleet.counts["replayed"] > 0


def test_an_episode_of_late_readings_ends_when_the_drain_is_over() -> None:
    fleet = new_fleet(late=True)
    start = next(alert.start for alert in run(new_fleet(), TRIP) if alert.phase is Phase.START)
    fault = [row for row in TRIP if row[0] <= start + 30 * SECOND]
    now = TRIP[-1][0] + 9 * HOUR
    rows = drained([(now + number * SECOND, TRIP[0][1]) for number in range(2 * len(fault))], 0, 10**9)
    mixed = [row for pair in zip(rows, fault, strict=False) for row in pair] + rows[len(fault) :]
    ends = [alert.reason for alert in run(fleet, mixed) if alert.detector == LATE and alert.phase is Phase.END]
    assert ends == [EndReason.END_OF_LOG]
    assert not fleet.is_open("t1") or any(True for _ in ends)


@pytest.mark.parametrize("seed", range(4))
def test_rolled_back_readings_are_repeats_and_never_an_alert_of_another_id(alone, seed) -> None:
    """25 times the broker delivers the last minutes again, each time more or fewer of them, some without an end."""
    chance, fleet, sent, repeated = random.Random(seed), new_fleet(), [], 0
    for first in range(0, len(TRIP), 200):
        sent += TRIP[first : first + 200]
        within = [row for row in TRIP[: first + 200] if row[0] > TRIP[first + 199][0] - HOUR]
        again = chance.randrange(1, len(within))
        piece = within[-again:][: chance.randrange(1, again + 1)]
        sent += piece
        repeated += len(piece)
    assert run(fleet, sent, chance.choice([1, 77, 5000])) == alone
    assert fleet.counts["repeated"] == readings(repeated)
    assert not fleet.counts["clock_back"] + fleet.counts["late"]


def test_a_roll_back_beyond_the_window_is_late(alone) -> None:
    fleet = new_fleet(window=600 * SECOND)
    assert run(fleet, [*TRIP[:4000], *TRIP[1000:]]) == alone
    assert fleet.counts["late"] + fleet.counts["repeated"] == readings(3000)
    assert fleet.counts["late"] >= readings(2000)
    assert not fleet.counts["clock_back"]


@pytest.mark.parametrize("step", [200 * SECOND, 1800 * SECOND, 5 * HOUR, 9000 * HOUR])
def test_a_clock_that_was_set_back_goes_on_from_there(step) -> None:
    fleet = new_fleet()
    run(fleet, TRIP[:2000])
    new = [(time - step, values) for time, values in TRIP[2000:2060]]
    run(fleet, new)
    assert not fleet.counts["clock_back"], "59 s"
    assert fleet.newest("t1") == TRIP[1999][0]
    run(fleet, [(time - step, values) for time, values in TRIP[2060:2062]])
    assert fleet.counts["clock_back"] == 1
    assert fleet.newest("t1") == TRIP[2061][0] - step
    assert not fleet.counts["late"] + fleet.counts["repeated"], "the held ones are run"


def test_a_parked_trucks_values_after_a_step_back_are_no_repeats() -> None:
    """Once the clock was set back, the same values at the same times as before are new."""
    fleet, parked = new_fleet(), TRIP[0][1]
    run(fleet, [(time, parked) for time, _ in TRIP[:1000]])
    run(fleet, [(time + SECOND // 2, parked) for time, _ in TRIP[500:600]])
    assert fleet.counts["clock_back"] == 1
    run(fleet, [(time, parked) for time, _ in TRIP[600:900]])
    assert fleet.counts["repeated"] == 0


ROWS = st.lists(
    st.tuples(st.sampled_from("noors"), st.integers(1, 90), st.sampled_from([40, 300, 4000])), min_size=1, max_size=8
)


@given(ROWS, st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_how_rows_are_cut_and_where_the_daemon_is_killed_never_matter(pieces, data) -> None:
    """Journal entries are run again in other pieces; a state with its pages stands for all before it."""
    sent: list[Row] = []
    at = 0
    for kind, count, back in pieces:
        part = TRIP[at : at + count]
        if kind == "r":
            sent += sent[-back:][:count]
            continue
        sent += [(time - back * SECOND * (kind != "n"), values) for time, values in part]
        at += count
    whole, parts = new_fleet(late=True), new_fleet(late=True)
    alerts = run(whole, sent, len(sent))
    found, stored, left = [], {}, sent
    while left:
        size = data.draw(st.integers(1, len(left)))
        found += run(parts, left[:size], size)
        left = left[size:]
        if data.draw(st.booleans()):
            state, counts = parts.state("t1"), parts.counts
            stored |= parts.pages("t1", everything=False)
            parts = new_fleet(late=True)
            parts.restore("t1", state, stored.get)
            assert parts.counts.total() == 0 <= counts.total()
    for fleet, told in ((whole, alerts), (parts, found)):
        told += run(fleet, TRIP[at : at + 300])
    assert {alert.alert_id: alert for alert in found} == {alert.alert_id: alert for alert in alerts}
    own = [without(fleet.state("t1"), ["anomaly"]) for fleet in (whole, parts)]
    assert own[0] == own[1]


def test_a_page_that_is_lost_costs_what_is_in_it() -> None:
    fleet, again = new_fleet(), new_fleet()
    run(fleet, TRIP[:2000])
    again.restore("t1", fleet.state("t1"), lambda number: None)
    run(again, TRIP[1990:2000])
    assert again.counts["repeated"] == readings(10), "the open page is in the state"
    assert np.isfinite(again.newest("t1"))


def test_stored_pages_are_read_again_and_not_held() -> None:
    """As with pages in memory, byte for byte, also after a restart; none is held."""
    held, fleet, stored = new_fleet(), new_fleet(), {}
    fleet.reads_pages(lambda vehicle, number: stored.get((vehicle, number)))
    for one in (held, fleet):
        for first in range(0, 2000, 500):
            run(one, TRIP[first : first + 500])
            pages = one.pages("t1", everything=False)
            stored |= {("t1", number): page for number, page in pages.items()}
    assert len(stored) == 2000 // PAGE
    assert fleet.held_pages == 0 < held.held_pages
    state = fleet.state("t1")
    assert state == held.state("t1")
    again = new_fleet()
    again.reads_pages(lambda vehicle, number: stored.get((vehicle, number)))
    again.restore("t1", state)
    for one in (held, fleet, again):
        run(one, [*TRIP[1990:2060], *TRIP[200:900], *TRIP[2060:2070]])
        assert one.counts["repeated"] == readings(710)
        assert one is held or one.held_pages == 1, "the one that is not stored yet"
    assert fleet.state("t1") == held.state("t1") == again.state("t1")
    assert set(fleet.pages("t1", everything=True)) == set(held.pages("t1", everything=True))


def test_stored_pages_that_are_lost_cost_what_is_in_them() -> None:
    fleet, lost = new_fleet(), set()
    stored: dict[tuple[str, int], bytes] = {}
    fleet.reads_pages(lambda vehicle, number: None if number in lost else stored.get((vehicle, number)))
    run(fleet, TRIP[:2000])
    stored |= {("t1", number): page for number, page in fleet.pages("t1", everything=False).items()}
    lost |= {1}
    run(fleet, [*TRIP[: 3 * PAGE], *TRIP[2000:2010]])
    assert fleet.counts["late"] == readings(PAGE)
    assert fleet.counts["repeated"] == readings(2 * PAGE)
    assert 1 not in fleet.pages("t1", everything=True)


def test_memory_is_bounded() -> None:
    """A million rows, each a millisecond, with a window that never ends: no more than 2 MB."""
    seen = Seen(10**6 * SECOND)
    time = np.arange(10**6, dtype=np.int64) * 1000
    for first in range(0, len(time), 1000):
        part = time[first : first + 1000]
        seen.add(part, keys_of(part, np.ones((1000, 1))))
        seen.forget(int(part[-1]))
    assert len(seen.pages) * PAGE * 8 <= 2_000_000
    assert seen.known(time[-1000:], keys_of(time[-1000:], np.ones((1000, 1))), int(time[-1])).all()


def test_a_fleet_shares_its_memory() -> None:
    """Forty vehicles that would each fill it: never more than there is room for, and a part for each."""
    room = Room(80)
    fleet = [Seen(10**6 * SECOND, room) for _ in range(40)]
    for number, seen in enumerate(fleet):
        for first in range(0, 100 * PAGE, 5 * PAGE):
            time = np.arange(first, first + 5 * PAGE, dtype=np.int64)
            seen.add(time, keys_of(time, np.full((len(time), 1), float(number))))
            seen.forget(int(time[-1]))
        assert room.pages == sum(len(one.pages) for one in fleet) <= room.most
    assert {len(seen.pages) for seen in fleet} == {2}
    for seen in fleet:
        seen.clear()
    assert room.pages == 0
