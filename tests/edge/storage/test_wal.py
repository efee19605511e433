"""Damage in the write-ahead log is told from what a power cut leaves."""

import random
from pathlib import Path

import pytest

from tickover.storage.database import PAGE_BYTES
from tickover.storage.store import FILE, Change, Store
from tickover.storage.wal import FRAME_HEADER_BYTES, HEADER_BYTES, damage

LOG = f"{FILE}-wal"
FRAME = FRAME_HEADER_BYTES + PAGE_BYTES


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of 30 commits, as a killed process leaves it."""
    (tmp_path / "state").mkdir()
    store, chance = Store(tmp_path / "state"), random.Random(0)
    for _ in range(30):
        store.commit(Change(journal=chance.randbytes(chance.choice([10, 3000]))))
    copy = tmp_path / "wal"
    copy.write_bytes((tmp_path / "state" / LOG).read_bytes())
    store.close()
    return copy


def test_a_sound_log_and_none_are_sound(log: Path) -> None:
    assert damage(log, PAGE_BYTES) is None
    assert damage(log.with_name("absent"), PAGE_BYTES) is None
    log.write_bytes(b"")
    assert damage(log, PAGE_BYTES) is None


def test_any_flipped_bit_before_the_last_commit_is_found(log: Path) -> None:
    good, chance = log.read_bytes(), random.Random(1)
    last = max(at for at in starts(good)[:-1] if is_commit(good, at)) + FRAME
    places = [chance.randrange(last) for _ in range(200)]
    for place in places:
        if place % FRAME in range(HEADER_BYTES + 8, HEADER_BYTES + 16) or place in range(16, 24):
            continue  # salts: they say whose frame it is
        content = bytearray(good)
        content[place] ^= 1 << chance.randrange(8)
        log.write_bytes(content)
        assert damage(log, PAGE_BYTES), place


def test_what_a_power_cut_leaves_is_not_damage(log: Path) -> None:
    """Cut anywhere; or the newest transaction written in part and in any order."""
    good, chance = log.read_bytes(), random.Random(2)
    for _ in range(100):
        log.write_bytes(good[: chance.randrange(len(good))])
        assert damage(log, PAGE_BYTES) is None
    commits = [at for at in starts(good) if is_commit(good, at)]
    first = commits[-2] + FRAME
    for at in range(first, commits[-1] + 1, FRAME):
        content = bytearray(good)
        content[at : at + FRAME] = bytes(FRAME)
        log.write_bytes(content)
        assert damage(log, PAGE_BYTES) is None


def test_frames_of_an_earlier_round_are_not_damage(tmp_path: Path) -> None:
    """After a checkpoint SQLite writes from the front again and leaves the old frames behind."""
    store = Store(tmp_path)
    for _ in range(20):
        store.commit(Change(journal=bytes(3000)))
    store._db.execute("PRAGMA wal_checkpoint(FULL)")
    length = (tmp_path / LOG).stat().st_size
    store.commit(Change(journal=b"x"))
    assert (tmp_path / LOG).stat().st_size == length
    assert damage(tmp_path / LOG, PAGE_BYTES) is None
    store.close()


def starts(content: bytes) -> range:
    return range(HEADER_BYTES, len(content) - FRAME + 1, FRAME)


def is_commit(content: bytes, at: int) -> bool:
    return content[at + 4 : at + 8] != bytes(4)
