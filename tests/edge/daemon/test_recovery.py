"""Starting from a store: each model's state lives and dies alone, awake or asleep, whatever crash came between."""

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from daemon_process import MODEL, OTHER_MODEL, SIGNALS, drive
from tickover.core.values import SECOND, EndReason, Phase
from tickover.daemon import recovery
from tickover.daemon.config import Config, Model, State
from tickover.daemon.events import Entry, Reset, encode, rows_of
from tickover.daemon.recovery import Keeper, Opened, load_by_child, models_change, open_fleet
from tickover.errors import ModelError
from tickover.messages.alerts import encode_alert
from tickover.payloads.base import Input
from tickover.storage.store import FILE, Change, Store
from tickover.transports.mqtt.settings import Broker

THIRD_MODEL = MODEL.with_name("rnn_seq2seq.onnx")
ROWS = drive(80)


def opened(**models: Path) -> Opened:
    """A fleet of these detectors."""
    return open_fleet(
        Config(
            broker=Broker(client_id="c"),
            inputs=(Input(topic="t", vehicle="v"),),
            models=tuple(Model(path=str(path), detector=name) for name, path in models.items()),
            state=State(folder="unused"),
        )
    )


def rows(vehicle: str, first: int, last: int) -> Entry:
    time = [round(stamp * SECOND) for stamp, _ in ROWS[first:last]]
    values = [[shown.get(name, float("nan")) for name in SIGNALS] for _, shown in ROWS[first:last]]
    return Entry(SIGNALS, [rows_of(vehicle, time, values)])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Vehicle ``awake`` has a state and a journal behind it, ``asleep`` a state; both have alarms of both detectors."""
    before = opened(anomaly=MODEL, forecast=OTHER_MODEL)
    store = Store(tmp_path)
    store.commit(Change(meta=models_change(before.digests).meta, settled=True))
    entries = [rows("awake", 0, 30), rows("asleep", 0, 50), rows("awake", 30, 50)]
    alerts = []
    for number, entry in enumerate(entries):
        before.fleet.apply(entry.events[0])
        alerts += before.fleet.pump().alerts
        states = {name: before.fleet.state(name) for name in before.fleet.vehicles} if number < 2 else {}
        store.commit(Change(journal=encode(entry), states=states, forget_journal=number < 2))
    store.commit(
        Change(
            retained={
                f"base/v1/{a.vehicle}/alarm/{a.detector}": encode_alert(a) for a in alerts if a.phase is not Phase.END
            }
        )
    )
    assert len(store.retained()) == 4
    return store


def restarted(store: Store, now: Opened) -> Keeper:
    keeper = Keeper(store, now)
    keeper.replay_journal()
    return keeper


def wake_all(keeper: Keeper, now: Opened) -> dict[str, dict[str, bytes]]:
    """Vehicle and detector to saved state."""
    for vehicle in ("awake", "asleep"):
        keeper.wake(vehicle)
    assert not keeper.lost
    pipelines = now.fleet._pipelines
    return {v: {name: one.state(v) for name, one in pipelines.items()} for v in ("awake", "asleep")}


def test_with_the_same_models_nothing_changes(store: Store) -> None:
    keeper = restarted(store, opened(anomaly=MODEL, forecast=OTHER_MODEL))
    assert not keeper.changed


def test_a_long_journal_tells_how_far_it_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "ENTRIES_AT_ONCE", 2)
    for second in range(50, 60):
        store.commit(Change(journal=encode(rows("awake", second, second + 1))))
    told: list[int] = []
    Keeper(store, opened(anomaly=MODEL, forecast=OTHER_MODEL)).replay_journal(told.append)
    assert told == list(range(2, store.entries() + 1, 2))
    assert store.entries() == 11


def test_alarms_that_stand_without_a_state_are_nobodys(store: Store) -> None:
    alarms = {f"base/v1/{vehicle}/alarm/anomaly": b"on" for vehicle in ("awake", "asleep", "gone")}
    own = ["base/v1/node/alarm/durability", "base/v1/node/alarm/taken_over"]
    store.commit(Change(retained={**alarms, own[0]: b"on"}))
    keeper = restarted(store, opened(anomaly=MODEL, forecast=OTHER_MODEL))
    assert keeper.ownerless(own) == {"base/v1/gone/alarm/anomaly"}
    assert set(keeper.lost) == {"gone"}


def hurt(store: Store, vehicle: str) -> Store:
    """Its state loses a bit; the store is opened again."""
    store.close()
    with closing(sqlite3.connect(store.folder / FILE)) as db, db:
        assert db.execute("UPDATE state SET crc = crc + 1 WHERE vehicle = ?", (vehicle,)).rowcount
    return Store(store.folder)


@pytest.mark.parametrize(("bad", "good"), [("asleep", "awake"), ("awake", "asleep")])
def test_a_bad_state_costs_one_vehicle(store: Store, bad: str, good: str) -> None:
    """The other goes on as if nothing had been; the one begins with its next reading, again after a crash."""
    models = {"anomaly": MODEL, "forecast": OTHER_MODEL}
    whole = opened(**models)
    wanted = wake_all(restarted(store, whole), whole)
    store = hurt(store, bad)
    now = opened(**models)
    keeper = restarted(store, now)
    assert set(keeper.lost) == {bad}
    assert not keeper.wake(bad), "what the journal has of it began in the middle"
    assert keeper.wake(good)
    assert {name: one.state(good) for name, one in now.fleet._pipelines.items()} == wanted[good]
    assert keeper.ownerless([]) == {f"base/v1/{bad}/alarm/{name}" for name in models}

    entry, fresh = rows(bad, 50, 80), opened(**models)
    store.commit(Change(journal=encode(entry)))
    fresh.fleet.apply(entry.events[0])
    fresh.fleet.pump()
    store.close()
    again = opened(**models)
    restarted(Store(store.folder), again)
    assert again.fleet.state(bad) == fresh.fleet.state(bad)


def test_readings_committed_with_a_reset_are_run_again(store: Store) -> None:
    models = {"anomaly": MODEL, "forecast": OTHER_MODEL}
    entry, fresh = rows("awake", 50, 80), opened(**models)
    fresh.fleet.apply(entry.events[0])
    fresh.fleet.pump()
    store.commit(Change(journal=encode(Entry(SIGNALS, [Reset("awake"), *entry.events])), states={"awake": b""}))
    now = opened(**models)
    restarted(store, now)
    assert now.fleet.state("awake") == fresh.fleet.state("awake")


@pytest.mark.parametrize("crash", [False, True], ids=["whole", "crash before the checkpoint"])
def test_a_changed_model_starts_afresh_and_the_other_goes_on(store: Store, crash: bool) -> None:
    kept = opened(anomaly=MODEL, forecast=OTHER_MODEL)
    wanted = wake_all(restarted(store, kept), kept)
    for _ in range(1 + crash):
        now = opened(anomaly=THIRD_MODEL, forecast=OTHER_MODEL)
        keeper = restarted(store, now)
        assert keeper.changed == {"anomaly"}
        change, ends = keeper.renew()
        store.commit(change)
    assert {(end.vehicle, end.detector) for end in ends} == {("awake", "anomaly"), ("asleep", "anomaly")}
    assert {end.reason for end in ends} == {EndReason.MODEL_CHANGED}

    found, fresh = wake_all(keeper, now), opened(anomaly=THIRD_MODEL)
    for vehicle in wanted:
        assert found[vehicle]["forecast"] == wanted[vehicle]["forecast"]
        assert found[vehicle]["anomaly"] == fresh.fleet._pipelines["anomaly"].state(vehicle)


def test_a_model_that_goes_and_comes_back_knows_nothing_of_before(store: Store) -> None:
    """Its episodes were ended; a state from the time before would tell of them again."""
    without = opened(forecast=OTHER_MODEL)
    keeper = restarted(store, without)
    assert keeper.changed == {"anomaly"}
    change, ends = keeper.renew()
    assert len(ends) == 2
    change.states |= {name: without.fleet.state(name) for name in without.fleet.vehicles}
    change.meta, change.forget_journal = models_change(without.digests).meta, True
    store.commit(change)

    again = opened(anomaly=MODEL, forecast=OTHER_MODEL)
    keeper = restarted(store, again)
    assert keeper.changed == {"anomaly"}
    store.commit(keeper.renew()[0])
    wake_all(keeper, again)
    assert not any(again.fleet._pipelines["anomaly"].is_open(vehicle) for vehicle in ("awake", "asleep"))


def test_a_start_has_its_model_checked_elsewhere_or_where_that_cannot_be_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise PermissionError("no more processes")

    checked = load_by_child(str(MODEL), 40)
    monkeypatch.setattr(subprocess, "Popen", none)
    assert load_by_child(str(MODEL), 40).digest == checked.digest
    with pytest.raises(ModelError, match=r"models\.memory_mb"):
        load_by_child(str(MODEL), 0)
