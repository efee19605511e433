"""A daemon that starts with a long queue: its own retained status comes behind it, and is nobody else's."""

import json
from pathlib import Path

import pytest

from broker import Broker, broker, wait_until
from daemon_process import START, Daemon, Truck, Watcher
from tickover.daemon.presence import Presence
from tickover.messages.topics import Topics

__all__ = ["broker"]
QUEUED = 10_000


@pytest.mark.slow
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_it_does_not_take_its_earlier_self_for_another(broker: Broker, tmp_path: Path, end: str) -> None:
    with Watcher(broker) as watcher, Truck(broker) as truck, Daemon(tmp_path, broker.port) as daemon:
        wait_until(lambda: bool(watcher.of("gateway/status")), 10, "online")
        getattr(daemon, end)()
        truck.send((START + n, {"rpm": 1.0}) for n in range(QUEUED))
        daemon.start(ready=False)
        wait_until(lambda: b'"rows"' in b"".join(watcher.of("gateway/health")), 20, "health")
        wait_until(lambda: watcher.answer("status")["result"]["rows"] >= QUEUED, 60, "the backlog is taken")
        wait_until(lambda: not watcher.answer("status")["result"]["outbox"], 10, "all is told")
        assert "another" not in daemon.text(), daemon.text()
        assert watcher.notices("taken_over") == []
        assert json.loads(watcher.of("gateway/status")[-1])["state"] == "online"


def status(state: str, instance: str) -> bytes:
    return json.dumps({"state": state, "instance": instance, "time": 1}).encode()


@pytest.fixture
def presence() -> Presence:
    return Presence(Topics("tickover", "gateway"), "me", earlier=["before"])


def test_a_status_counts_once_our_own_has_come_back(presence: Presence) -> None:
    for state in ("stopped", "online", "offline"):
        presence.hear(status(state, "unknown"))
        assert not presence.has_double
    assert not presence.met_within(60)
    presence.hear(status("online", "me"))
    presence.hear(status("online", "other"))
    assert presence.has_double
    presence.hear(status("stopped", "other"))
    assert not presence.has_double
    assert presence.met_within(60)


def test_a_status_counts_once_a_connection_was_cut(presence: Presence) -> None:
    presence.hear(status("online", "other"))
    presence.disconnected()
    assert not presence.has_double, "the broker was not there"
    presence.disconnected(cut=True)
    assert presence.has_double, "whichever of the two is handed over first"
    presence.gives_way()
    assert not presence.has_double
    presence.hear(status("online", "other"))
    assert presence.has_double, "it is still there after the wait"


def test_an_earlier_run_is_no_double(presence: Presence) -> None:
    presence.disconnected(cut=True)
    presence.hear(status("online", "before"))
    presence.hear(status("online", "me"))
    presence.hear(status("online", "before"))
    assert not presence.has_double


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"state":"online"}', b'{"state":"online","instance":5}', b"\xff"])
def test_what_is_no_status_is_nobodys(presence: Presence, body: bytes) -> None:
    presence.hear(status("online", "me"))
    presence.hear(body)
    assert not presence.has_double


@pytest.mark.slow
def test_a_double_is_found_before_the_backlog(broker: Broker, tmp_path: Path) -> None:
    """Two daemons of one name begin on a long queue, and one of them leaves while most of it still waits."""
    more = {"taken_over_wait_s": 60.0, "keepalive_s": 5}
    with Truck(broker) as truck, Daemon(tmp_path / "one", broker.port, broker=more) as one:
        other = Daemon(tmp_path / "other", broker.port, broker=more)
        one.stop()
        truck.send((START + n, {"rpm": 1.0}) for n in range(QUEUED))
        one.start(ready=False)
        other.start(ready=False)
        with other:
            told = "another daemon with this client ID is connected"
            wait_until(lambda: told in one.text() + other.text(), 30, "one gives way")
            assert (told in one.text()) != (told in other.text())
