"""One cause on many trucks, or on many signals, is one notice; nothing is lost by waiting for the others."""

import json
import re
import time
from pathlib import Path

from broker import Broker, wait_until
from daemon_process import Daemon, Truck, Watcher
from tickover.daemon.stale_groups import LEAST, UPDATE_S, WINDOW_S, StaleGroups
from tickover.messages.notices import Kind, Notice

BUS = "no readings of boost, oil"
AGAIN = "all signals are read again"


def stale(vehicle: str, text: str = BUS, when: int = 1) -> Notice:
    return Notice(vehicle, Kind.STALE_SIGNAL, text != AGAIN, when, text)


def tell(groups: StaleGroups, now: float, *notices: Notice) -> list[Notice]:
    """Take them at once, and what is told when the window is over."""
    for notice in notices:
        groups.take(notice, now)
    assert not notices or not groups.due(now)
    return list(groups.release(now + WINDOW_S)) if groups.due(now + WINDOW_S) else []


def test_a_hundred_trucks_behind_one_gateway_are_one_notice() -> None:
    groups = StaleGroups("depot")
    (told,) = tell(groups, 0.0, *(stale(f"t{number:03}", when=number) for number in range(100)))
    assert (told.vehicle, told.active, told.time) == ("depot", True, 99)
    assert told.text.startswith(f"{BUS} on 100 vehicles (t000, t001, t002, t003, t004 and 95 more): look at")


def test_signals_that_go_one_after_another_are_one_notice() -> None:
    steps = [f"no readings of {', '.join('abcdef'[: count + 1])}" for count in range(6)]
    assert tell(StaleGroups("depot"), 0.0, *(stale("t1", text, when) for when, text in enumerate(steps))) == [
        stale("t1", steps[-1], 5)
    ]


def test_fewer_are_told_as_they_are() -> None:
    notices = [stale(f"t{number}") for number in range(LEAST - 1)]
    groups = StaleGroups("depot")
    assert tell(groups, 0.0, *notices) == notices
    over = [stale(notice.vehicle, AGAIN, 2) for notice in notices]
    assert tell(groups, 10.0, *over) == over


def test_what_came_and_went_meanwhile_is_not_told() -> None:
    assert tell(StaleGroups("depot"), 0.0, stale("t1"), stale("t1", AGAIN, 2)) == []


def test_a_group_is_told_again_once_a_minute_and_its_end_at_once() -> None:
    groups = StaleGroups("depot")
    tell(groups, 0.0, *(stale(f"t{number}") for number in range(10)))
    assert tell(groups, 5.0, stale("t10"), stale("t0", AGAIN)) == []
    told = []
    for second in range(int(2 * UPDATE_S)):
        told += list(groups.release(10.0 + second)) if groups.due(10.0 + second) else []
    assert [notice.text.split(" (")[0] for notice in told] == [f"{BUS} on 10 vehicles"]
    end = tell(groups, 200.0, *(stale(f"t{number}", AGAIN, 9) for number in range(11)))
    assert [(notice.vehicle, notice.active) for notice in end] == [("depot", False)]


def test_another_cause_begins_at_once() -> None:
    groups = StaleGroups("depot")
    tell(groups, 0.0, *(stale(f"t{number}") for number in range(5)))
    (told,) = tell(groups, 5.0, *(stale(f"u{number}", "no readings of rpm") for number in range(3)))
    assert f"{BUS} on 5 vehicles" in told.text
    assert "no readings of rpm on 3 vehicles" in told.text


def test_one_that_was_told_alone_joins_and_its_own_alarm_ends() -> None:
    groups = StaleGroups("depot")
    tell(groups, 0.0, stale("t0"))
    told = tell(groups, 5.0, *(stale(f"t{number}", when=2) for number in range(4)))
    assert [(notice.vehicle, notice.active) for notice in told] == [("t0", False), ("depot", True)]


def test_a_restart_loses_nothing_and_tells_nothing_twice() -> None:
    groups = StaleGroups("depot")
    for number in range(4):
        groups.take(stale(f"t{number}"), 0.0)
    again = StaleGroups("depot", groups.encode())
    assert again.due(0.0)
    told = list(again.release(0.0))
    assert [notice.vehicle for notice in told] == ["depot"]
    third = StaleGroups("depot", again.encode())
    third.resume(["depot"])
    assert not third.due(10.0)


def test_alarms_of_a_release_without_groups_end() -> None:
    groups = StaleGroups("depot")
    groups.resume(["t1"])
    assert tell(groups, 0.0, stale("t1", AGAIN)) == [stale("t1", AGAIN)]


def test_a_vehicle_that_begins_anew_leaves_its_group() -> None:
    groups = StaleGroups("depot")
    tell(groups, 0.0, *(stale(f"t{number}") for number in range(3)))
    for number in range(3):
        groups.forget(f"t{number}")
    assert groups.due(1.0)
    assert [notice.active for notice in groups.release(1.0)] == [False]


def test_many_trucks_through_a_real_daemon(tmp_path: Path, broker: Broker) -> None:
    """All lose two signals at once; a kill before the notice is told changes nothing."""
    start, trucks = 1_700_000_000, [f"v{number}" for number in range(8)]
    senders = {name: Truck(broker, name) for name in trucks}
    watcher = Watcher(broker, "tickover/#")
    daemon = Daemon(tmp_path / "one", broker.port, state={"commit_s": 0.1}, vehicles={"stale_s": 5})
    with daemon.start():
        for sender in senders.values():
            sender.send([(start + second, {"rpm": 800.0, "coolant": 80.0, "speed": 1.0}) for second in range(5)])
            sender.send([(start + second, {"rpm": 800.0}) for second in range(5, 15)])
        time.sleep(0.3)
        daemon.kill()
        daemon.start()
        wait_until(lambda: bool(watcher.of("/alert/stale_signal")), 20, "the notice")
        time.sleep(WINDOW_S)
        (told,) = (json.loads(body) for body in watcher.of("/alert/stale_signal"))
        # On a busy machine some of the eight come after the window; they join, and are told a minute later.
        assert re.match(r"no readings of coolant, speed on [3-8] vehicles \(v", told["data"]["text"])
        assert watcher.of("gateway/alarm/stale_signal")
        for sender in senders.values():
            sender.send([(start + second, {"rpm": 8.0, "coolant": 8.0, "speed": 1.0}) for second in range(15, 20)])
        wait_until(lambda: watcher.notices("stale_signal") == [True, False], 20, "the end")
        wait_until(lambda: watcher.of("gateway/alarm/stale_signal")[-1:] == [b""], 5, "cleared")
    for sender in senders.values():
        sender.close()
    watcher.close()
