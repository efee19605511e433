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


def test_a_status_counts_once_our_own_has_come_back() -> None:
    presence = Presence(Topics("tickover", "gateway"), "me")
    for state in ("stopped", "online", "offline"):
        assert not presence.has_double(status(state, "before"))
    assert not presence.met_within(60)
    assert not presence.has_double(status("online", "me"))
    assert presence.has_double(status("online", "other"))
    assert not presence.has_double(status("stopped", "other"))
    assert presence.met_within(60)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"state":"online"}', b"\xff"])
def test_what_is_no_status_is_nobodys(body: bytes) -> None:
    presence = Presence(Topics("tickover", "gateway"), "me")
    presence.has_double(status("online", "me"))
    assert not presence.has_double(body)
