"""Delivered alerts are kept for a while and told again by command, the same under the same ids."""

import time
from pathlib import Path

import pytest

from broker import Broker, wait_until
from daemon_process import Daemon, Truck, Watcher, alerts_in, as_told, drive, replayed
from tickover.storage.store import (
    Bounds,
    Change,
    Message,
    Store,
)

ROWS = drive(200)


def per_id(watcher: Watcher, vehicle: str) -> dict[str, int]:
    """How often each alert of a vehicle was told."""
    ids = [alert.alert_id for alert in alerts_in(watcher.of(f"{vehicle}/alert/"))]
    return {one: ids.count(one) for one in ids}


def test_delivered_alerts_are_told_again_on_request_also_after_a_kill(
    broker: Broker, tmp_path: Path, watcher: Watcher
) -> None:
    wanted = as_told([alert for name in ("t1", "t2") for alert in replayed(ROWS, name)])
    with Daemon(tmp_path / "daemon", broker.port, outbox={"keep_s": 3600}) as daemon:
        for name in ("t1", "t2"):
            with Truck(broker, name) as truck:
                truck.send(ROWS)
        watcher.expect(wanted)
        wait_until(lambda: watcher.answer("status")["result"]["outbox"] == 0, 10, "all are delivered")
        assert watcher.answer("replay", "t1", since=time.time() + 60)["result"] == {"messages": 0}
        daemon.kill()
        daemon.start()
        count = len(replayed(ROWS))
        assert watcher.answer("replay", "t1", since=time.time() - 3600)["result"] == {"messages": count}
        wait_until(lambda: set(per_id(watcher, "t1").values()) == {2}, 10, "those of t1 twice")
        assert set(per_id(watcher, "t2").values()) == {1}
        wait_until(lambda: watcher.answer("status")["result"]["outbox"] == 0, 10, "all are delivered")
        assert watcher.answer("replay", since="2020-01-01T00:00:00Z")["result"] == {"messages": 2 * count}
        wait_until(lambda: set(per_id(watcher, "t2").values()) == {2}, 10, "those of t2 too")
        watcher.expect(wanted)
        assert "expected since" in watcher.answer("replay", since="yesterday")["error"]
        assert "expected since" in watcher.answer("replay")["error"]


def test_without_keeping_there_is_nothing_to_tell_again(broker: Broker, tmp_path: Path, watcher: Watcher) -> None:
    with Daemon(tmp_path / "daemon", broker.port):
        assert "outbox.keep_s is 0" in watcher.answer("replay", since=0)["error"]


def test_what_is_to_be_told_again_is_pending_in_order_on_disk_and_kept_anew(tmp_path: Path) -> None:
    store = Store(tmp_path, Bounds(keep_s=10))
    messages = [Message(f"id{n}", f"tickover/v1/t{n}/alert/anomaly", b"x") for n in (1, 2, 10)]
    store.commit(Change(messages=messages))
    store.commit(Change(delivered=[1, 2, 3]), time=5_000_000)
    assert store.kept(5_000_001, "") == 0
    assert store.kept(5_000_000, "tickover/v1/t1/") == 1, "t10 is another vehicle"
    store.commit(Change(resend=[(0, "")]), time=6_000_000)
    store.close()
    again = Store(tmp_path, Bounds(keep_s=10))
    assert [message.id for message in again.pending()] == ["id1", "id2", "id10"]
    again.commit(Change(delivered=[1, 2, 3]), time=12_000_000)
    again.commit(Change(messages=[Message("id4", "t", b"x")], delivered=[4]), time=21_000_000)
    assert again.kept(0, "") == 4, "their time began again at the second delivery"
    again.close()


@pytest.mark.parametrize("delivered_too", [False, True])
def test_a_delivery_and_the_wish_for_it_in_one_commit_send_it_again(tmp_path: Path, delivered_too: bool) -> None:
    store = Store(tmp_path, Bounds(keep_s=10))
    store.commit(Change(messages=[Message("id1", "t", b"x")]))
    store.commit(Change(delivered=[1] if delivered_too else [], resend=[(0, "")]), time=1)
    assert [message.id for message in store.pending()] == ["id1"]
    store.close()
