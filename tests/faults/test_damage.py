"""A damaged store never stops the start, goes aside, and is said aloud."""

from pathlib import Path
from typing import Any

import pytest

from daemon_process import MODEL
from faults.damage import damage
from faults.scripted import started, write_config
from tickover.daemon.modes import Mode
from tickover.daemon.recovery import META_MODELS
from tickover.storage.database import DamagedError
from tickover.storage.store import FILE


def test_flips_and_truncations_are_survived_and_said(quick_folder: Path) -> None:
    found = damage(quick_folder, 60)
    assert found.failed == []
    assert found.silent == []
    assert found.mixed == []
    assert found.said > 20


def test_modes_and_models_outlive_a_file_destroyed_under_the_daemon(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(quick_folder / "config.toml", quick_folder / "state", MODEL)
    with started(config) as (daemon, _):
        daemon.control.set_mode(Mode.SHELVED, "t1", 2**52)
        daemon.engine.commit()
        store = daemon.engine.store
        write = store._write

        def write_on_damage(*_: Any) -> None:
            monkeypatch.setattr(store, "_write", write)
            for file in (FILE, f"{FILE}-wal"):
                (quick_folder / "state" / file).write_bytes(b"?" * 8192)
            raise DamagedError("bits have flipped")

        monkeypatch.setattr(store, "_write", write_on_damage)
        daemon.engine.commit()
        daemon.engine.commit()
        assert store.quarantined
    with started(config) as (daemon, _):
        assert daemon.engine.is_shelved("t1")
        assert daemon.engine.store.meta(META_MODELS)
        assert not daemon.engine.store.quarantined
