"""What a commit writes when the file turns out to be damaged under it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from daemon_process import MODEL
from tickover.core.seen import PAGE
from tickover.core.values import SECOND
from tickover.daemon.announcer import Announcer
from tickover.daemon.committer import Committer
from tickover.daemon.config import Config, Dedup, Model, State
from tickover.daemon.events import Advance, Event, Reset, Rows
from tickover.daemon.outbox import Outbox
from tickover.daemon.recovery import all_pages, open_fleet, page_name
from tickover.messages.topics import Topics
from tickover.payloads.base import Input
from tickover.storage.database import DamagedError
from tickover.storage.store import FILE, Store
from tickover.transports.mqtt.link import Link
from tickover.transports.mqtt.settings import Broker

TRUCKS = ("quiet", "busy")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        broker=Broker(client_id="c"),
        inputs=(Input(topic="t", vehicle="v"),),
        models=(Model(path=str(MODEL)),),
        state=State(folder=str(tmp_path)),
    )


def test_a_file_found_damaged_by_a_checkpoint_gets_every_state_again(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, fleet = Store(tmp_path), open_fleet(config).fleet
    outbox = Outbox(store, None, refused_retry_s=60)  # type: ignore[arg-type]
    committer = Committer(config.state, Link(config.broker), store, fleet, outbox)
    announcer = Announcer(Topics("base", "node"), lambda _: False)

    def drive(truck: str, second: int) -> None:
        event = Advance(truck, second * SECOND)
        fleet.apply(event)
        committer.journal(event)

    for truck in TRUCKS:
        drive(truck, 1)
    committer.commit(0, announcer, checkpoint=True)
    drive("busy", 2)
    write = store._write

    def write_on_damage(*_: Any) -> None:
        monkeypatch.setattr(store, "_write", write)
        for file in (FILE, f"{FILE}-wal"):
            (tmp_path / file).write_bytes(b"?" * 8192)
        raise DamagedError("bits have flipped")

    monkeypatch.setattr(store, "_write", write_on_damage)
    committer.commit(0, announcer, checkpoint=True)
    assert store.durable
    assert store.vehicles() == ["busy"], "the quiet truck had no news"
    assert committer.due(waiting=False)
    committer.commit(0, announcer)
    assert store.vehicles() == sorted(TRUCKS)
    assert not committer.due(waiting=False)
    store.close()


def test_pages_that_the_window_has_left_behind_go_with_the_state_and_a_reset_takes_all(
    config: Config, tmp_path: Path
) -> None:
    config = replace(config, dedup=Dedup(window=600.0))
    store, fleet = Store(tmp_path), open_fleet(config).fleet
    committer = Committer(
        config.state,
        Link(config.broker),
        store,
        fleet,
        Outbox(store, None, refused_retry_s=60),  # type: ignore[arg-type]
    )
    announcer = Announcer(Topics("base", "node"), lambda _: False)
    fleet.reads_pages(lambda vehicle, number: store.page(page_name(vehicle, number)))

    def take(event: Event) -> list[str]:
        fleet.apply(event)
        fleet.pump()
        committer.journal(event)
        committer.commit(0, announcer, checkpoint=True)
        return [name for (name,) in store._db.execute("SELECT name FROM meta WHERE name LIKE 'seen/%' ORDER BY name")]

    names: list[str] = []
    for part in range(8):
        time = (1_700_000_000 + PAGE * part + np.arange(PAGE)) * SECOND
        values = np.tile(np.arange(PAGE, dtype=float)[:, None], len(fleet.columns))
        for truck in TRUCKS:
            names = take(Rows(truck, time.astype("<i8").tobytes(), values.astype("<f8").tobytes()))
    kept = [7 - place for place in range(4)]  # 600 s are less than three pages of 256 s, and one lies on the border
    assert set(names) <= {page_name(truck, number) for truck in TRUCKS for number in kept}
    assert len(names) >= 4
    left = take(Reset("busy"))
    assert left == [name for name in names if name.startswith(all_pages("quiet"))]
    store.close()
