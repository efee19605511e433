"""Rows of before that a whole fleet holds at once: bounded in all, those that waited longest let go, and counted."""

import pytest

from fleet_histories import START, detector, trip
from tickover.core.pipeline import Pipeline
from tickover.core.values import SECOND
from tickover.daemon import events, held_rows
from tickover.daemon.events import Entry, GiveUp, rows_of
from tickover.daemon.fleet import Fleet
from tickover.daemon.held_rows import HeldRows
from tickover.daemon.late import REPLAYED

SIGNALS = detector().manifest.names
TRIP = [((START + second) * SECOND, values) for second, values in enumerate(trip().tolist())]
LATE = f"anomaly{REPLAYED}"
ROW = held_rows.ROW_BYTES + held_rows.VALUE_BYTES * len(SIGNALS)
HELD = 20
TRUCKS = [f"t{number}" for number in range(6)]


@pytest.fixture(autouse=True)
def _small(monkeypatch) -> None:
    """Room for the rows of four trucks and a half."""
    monkeypatch.setattr(held_rows, "MOST_BYTES", 4 * HELD * ROW + HELD // 2 * ROW)


def new_fleet(*, late: bool = False) -> Fleet:
    streams = {LATE: Pipeline(detector(), name=LATE, sensors_of=())} if late else {}
    return Fleet({"anomaly": Pipeline(detector())}, SIGNALS, None, 0, 3600 * SECOND, streams)


def readings(rows: int) -> int:
    return rows * len(SIGNALS)


def behind(vehicle: str, at: int = 0, count: int = HELD) -> events.Rows:
    """Rows of an hour before."""
    rows = TRIP[at : at + count]
    return rows_of(vehicle, [time - 3600 * SECOND for time, _ in rows], [values for _, values in rows])


def led(*, late: bool = False) -> Fleet:
    fleet = new_fleet(late=late)
    for truck in TRUCKS:
        fleet.apply(rows_of(truck, [time for time, _ in TRIP[:50]], [values for _, values in TRIP[:50]]))
    fleet.pump()
    return fleet


def test_who_held_no_more_for_longest_lets_go_first() -> None:
    fleet = led()
    for truck in TRUCKS[:4]:
        fleet.apply(behind(truck))
        assert not fleet.holds_too_much()
    fleet.apply(behind(TRUCKS[0], HELD, 1))  # it waits for less long than the others now
    fleet.apply(behind(TRUCKS[4]))
    assert fleet.holds_too_much() == [TRUCKS[1]]
    fleet.apply(GiveUp(TRUCKS[1]))
    assert not fleet.holds_too_much()
    assert fleet.counts["crowded_out"] == readings(HELD)
    assert not fleet.counts["late"]
    for truck in TRUCKS:  # what the others held is late, once
        fleet.apply(rows_of(truck, [TRIP[50][0]], [TRIP[50][1]]))
    assert fleet.counts["late"] == readings(4 * HELD + 1)


def test_a_truck_that_let_go_still_finds_its_clock_set_back() -> None:
    fleet = led()
    for truck in TRUCKS:
        fleet.apply(behind(truck))
        for vehicle in fleet.holds_too_much():
            fleet.apply(GiveUp(vehicle))
    fleet.apply(behind(TRUCKS[0], HELD, 70))
    assert fleet.counts["clock_back"] == 1


def test_late_rows_that_are_let_go_run_in_their_stream() -> None:
    fleet = led(late=True)
    fleet.apply(behind(TRUCKS[0]))
    fleet.apply(GiveUp(TRUCKS[0]))
    assert fleet.counts["replayed"] == readings(HELD)
    assert not fleet.counts["crowded_out"]


def test_forgotten_vehicles_hold_nothing_and_restored_ones_hold_again() -> None:
    fleet, again = led(), new_fleet()
    for truck in TRUCKS[:4]:
        fleet.apply(behind(truck))
    state = {truck: fleet.state(truck) for truck in TRUCKS}
    fleet.forget(TRUCKS[0])
    fleet.apply(behind(TRUCKS[4]))
    assert not fleet.holds_too_much()
    for truck in TRUCKS[:4]:
        again.restore(truck, state[truck])
    again.restore(TRUCKS[4], state[TRUCKS[4]])
    again.apply(behind(TRUCKS[4]))
    assert again.holds_too_much() == [TRUCKS[0]]


def test_run_again_from_the_journal_it_comes_to_the_same() -> None:
    """However the rows of several vehicles lie between the events, each vehicle's own are in order."""
    fleet, again = led(), led()
    mine = [behind("t0"), GiveUp("t0"), behind("t0", HELD, 30)]
    for event in mine:
        fleet.apply(event)
    entry = Entry(fleet.columns, [behind("t1"), *mine[:2], behind("t2"), mine[2]])
    for event in events.decode(events.encode(entry)).events:
        again.apply(event)
    assert fleet.state("t0") == again.state("t0")


def test_nothing_held_costs_nothing() -> None:
    held = HeldRows(3)
    held.note("a", 0)
    assert held.too_many() == []
