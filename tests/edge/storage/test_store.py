"""The store keeps what it committed, survives damage and a failing disk, and says so."""

import gc
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from small_disk import SmallDisk
from tickover.errors import ConfigError
from tickover.storage.database import PAGE_BYTES
from tickover.storage.store import (
    FILE,
    Bounds,
    Change,
    Message,
    Store,
)


def message(name: str, severity: int = 0, size: int = 10) -> Message:
    return Message(name, f"t/{name}", name.encode().ljust(size, b"."), severity)


SQLITE_WAITS_S = 5.0
"""How long sqlite3 waits for a lock by itself."""


def filled(folder: Path, rows: int = 20) -> Store:
    store = Store(folder)
    for row in range(rows):
        store.commit(Change(journal=f"input {row}".encode() * 20, messages=[message(f"a{row}")]))
    store.commit(Change(states={"t1": b"state" * 100}, retained={"alarm/x": b"on"}, meta={"mode": b"m"}))
    return store


def test_what_was_committed_is_there_after_a_reopen(tmp_path: Path) -> None:
    filled(tmp_path).close()
    store = Store(tmp_path)
    assert [seq for seq, _ in store.journal()] == list(range(1, 21))
    assert store.state("t1") == (20, b"state" * 100)
    assert [m.id for m in store.pending()] == [f"a{row}" for row in range(20)]
    assert (store.retained(), store.meta("mode"), store.seq) == ({"alarm/x": b"on"}, b"m", 20)
    assert store.durable
    assert not store.quarantined


def test_a_checkpoint_forgets_the_journal_but_not_the_count(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.commit(Change(states={"t1": b"new"}, forget_journal=True))
    store.close()
    store = Store(tmp_path)
    assert list(store.journal()) == []
    assert store.seq == 20
    store.commit(Change(journal=b"next"))
    assert list(store.journal()) == [(21, b"next")]


def test_an_empty_state_ends_what_was_before(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.commit(Change(states={"t1": b"", "t2": b"state"}))
    assert (store.state("t1"), store.vehicles()) == ((20, b""), ["t2"])
    assert [store.has_seen(name) for name in ("t1", "t2", "t3")] == [True, True, False]
    store.close()
    store = Store(tmp_path)
    assert (store.state("t1"), store.vehicles(), store.quarantined) == ((20, b""), ["t2"], [])


def test_the_outbox_keeps_order_and_knows_an_id_once(tmp_path: Path) -> None:
    store = filled(tmp_path, 3)
    store.commit(Change(messages=[message("a1"), message("b")]))
    assert [m.id for m in store.pending()] == ["a0", "a1", "a2", "b"]
    first = store.pending()[0]
    store.commit(Change(delivered=[first.n]))
    assert [m.id for m in store.pending(limit=1)] == ["a1"]
    assert store.rows == 3


def test_delivered_messages_are_kept_for_the_configured_time(tmp_path: Path) -> None:
    store = Store(tmp_path, Bounds(keep_s=10))
    store.commit(Change(messages=[message("a"), message("b")]))
    store.commit(Change(delivered=[store.pending()[0].n]), time=0)
    assert (store.rows, store.depth()) == (2, 1)
    store.commit(Change(delivered=[store.pending()[0].n]), time=11_000_000)
    assert store.rows == 1


def test_overflow_drops_the_lowest_severity_first_then_the_oldest(tmp_path: Path) -> None:
    store = Store(tmp_path, Bounds(rows=100))
    for number in range(100):
        store.commit(Change(messages=[message(f"m{number}", severity=number % 2)]))
    store.commit(Change(messages=[message("last", severity=1)]))
    left = store.pending(limit=200)
    assert len(left) == store.rows == 95
    assert store.dropped == 6
    assert next(m.id for m in left if m.severity == 0) == "m12"
    assert left[-1].id == "last"


def test_overflow_in_bytes(tmp_path: Path) -> None:
    store = Store(tmp_path, Bounds(bytes=10_000))
    for number in range(20):
        store.commit(Change(messages=[message(f"m{number}", size=1000)]))
    assert store.bytes <= 10_000
    assert store.dropped == 20 - store.depth()


def test_what_overflow_dropped_stays_counted_over_restarts(tmp_path: Path) -> None:
    for run in range(3):
        store = Store(tmp_path, Bounds(rows=10))
        for number in range(10):
            store.commit(Change(messages=[message(f"m{run}-{number}")]))
        store.close()
    assert Store(tmp_path).dropped == 30 - store.rows


def test_a_cleared_alarm_stays_until_the_broker_has_heard(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.commit(Change(forget=["alarm/x"]))
    assert store.retained() == {"alarm/x": b"on"}, "an alarm that is on is not forgotten"
    store.commit(Change(retained={"alarm/x": b""}))
    assert store.retained() == {"alarm/x": b""}
    store.commit(Change(forget=["alarm/x"]))
    assert store.retained() == {}


def test_an_alarm_cleared_while_the_disk_was_away_stays_cleared(tmp_path: Path) -> None:
    """The file, unread at the start, still has it standing."""
    (tmp_path / "state").mkdir()
    filled(tmp_path / "state").close()
    (tmp_path / "state").rename(tmp_path / "away")
    (tmp_path / "state").touch()
    store = Store(tmp_path / "state")
    assert not store.durable
    store.commit(Change(retained={"alarm/x": b""}))
    store.commit(Change(forget=["alarm/x"]))
    (tmp_path / "state").unlink()
    (tmp_path / "away").rename(tmp_path / "state")
    assert store.retry(Change())
    assert store.vehicles() == [], "inputs followed the state that nobody has run"
    assert store.retained() == {"alarm/x": b""}
    store.commit(Change(forget=["alarm/x"]))
    assert store.retained() == {}


def test_the_count_goes_on_after_every_state_when_the_disk_comes_back(tmp_path: Path) -> None:
    """Else the next inputs of a vehicle asleep would pass for ones that its state includes."""
    (tmp_path / "state").mkdir()
    store = filled(tmp_path / "state")
    store.commit(Change(forget_journal=True))
    store.close()
    (tmp_path / "state").rename(tmp_path / "away")
    (tmp_path / "state").touch()
    store = Store(tmp_path / "state")
    store.commit(Change(journal=b"x", states={"t2": b"new"}))
    (tmp_path / "state").unlink()
    (tmp_path / "away").rename(tmp_path / "state")
    assert store.retry(Change(states={"t2": b"new"}, forget_journal=True))
    assert store.vehicles() == ["t1", "t2"]
    assert store.seq >= 20


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_never_stops_the_start(tmp_path: Path, seed: int) -> None:
    filled(tmp_path).close()
    path, rng = tmp_path / FILE, random.Random(seed)
    content = bytearray(path.read_bytes())
    if seed % 4 == 0:
        del content[rng.randrange(len(content)) :]
    for _ in range(seed % 4 * 3):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    store = Store(tmp_path)
    assert store.durable
    good = {f"a{row}" for row in range(20)}
    assert {m.id for m in store.pending()} <= good
    intact = len(list(store.journal())) == 20 and store.depth() == 20
    assert intact or (store.quarantined and store.wants_checkpoint) or seed % 4 == 0
    store.commit(Change(journal=b"on we go"))
    store.close()
    assert Store(tmp_path).durable


def test_a_bad_crc_is_noticed_and_the_readable_outbox_is_kept(tmp_path: Path) -> None:
    filled(tmp_path).close()
    path = tmp_path / FILE
    content = path.read_bytes()
    assert b"input 7" in content
    path.write_bytes(content.replace(b"input 7input 7", b"input 7inpux 7", 1))
    store = Store(tmp_path)
    assert [p.name for p in store.quarantined] == [f"{FILE}.damaged-0"]
    assert store.wants_checkpoint
    assert store.depth() == 20
    assert list(store.journal()) == []


def damage(folder: Path, statement: str) -> None:
    """Change a row of the closed store, and leave its CRC as it was."""
    with closing(sqlite3.connect(folder / FILE)) as db, db:
        assert db.execute(statement).rowcount


def break_a_page(folder: Path, table: str) -> None:
    """The first page of a table's tree cannot be read."""
    with closing(sqlite3.connect(folder / FILE)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    with (folder / FILE).open("r+b") as file:
        file.seek((page - 1) * PAGE_BYTES)
        file.write(b"?" * PAGE_BYTES)


@pytest.fixture
def sleepers(tmp_path: Path) -> Path:
    """The folder of a store with two states, a journal behind them, and what tells which messages they include."""
    store = filled(tmp_path)
    store.commit(Change(states={"t2": b"other"}, meta={"taken/0": b"page"}, forget_journal=True, settled=True))
    store.commit(Change(journal=b"input 21"))
    assert store.settled
    store.close()
    return tmp_path


def test_one_bad_state_costs_no_other(sleepers: Path) -> None:
    damage(sleepers, "UPDATE state SET body = x'00' WHERE vehicle = 't1'")
    for quarantined in (True, False):
        store = Store(sleepers)
        assert bool(store.quarantined) is quarantined
        assert store.vehicles() == ["t2"]
        assert store.state("t2") == (20, b"other")
        assert store.state("t1") == (22, b""), "what the journal has of it is over"
        assert list(store.journal()) == [(21, b"input 21")]
        assert store.meta("taken/0") == b"page"
        assert store.lost == ["t1"] * quarantined
        store.close()
    store = Store(sleepers)
    store.commit(Change(journal=b"its first input"))
    assert [seq for seq, _ in store.journal()][-1] >= 22


@pytest.mark.parametrize("table", ["journal", "meta"])
def test_no_state_is_kept_when_what_followed_it_may_be_gone(sleepers: Path, table: str) -> None:
    damage(sleepers, f"UPDATE {table} SET body = x'00' WHERE crc = (SELECT max(crc) FROM {table})")
    store = Store(sleepers)
    assert store.quarantined
    assert (store.vehicles(), list(store.journal()), store.meta("taken/0")) == ([], [], None)
    assert store.depth() == 20


@pytest.mark.parametrize("table", ["journal", "state", "outbox"])
def test_named_values_outlive_a_broken_page_and_states_do_not(sleepers: Path, table: str) -> None:
    break_a_page(sleepers, table)
    store = Store(sleepers)
    assert store.quarantined
    assert store.meta("mode") == b"m"
    assert (store.vehicles(), list(store.journal()), store.meta("taken/0")) == ([], [], None)
    assert store.retained() == {"alarm/x": b"on"}


def test_a_damaged_log_stays_as_it_is_and_no_state_is_kept(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    store = filled(tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "killed")
    store.close()
    log = tmp_path / "killed" / f"{FILE}-wal"
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 1
    log.write_bytes(content)
    store = Store(tmp_path / "killed")
    assert store.quarantined[0].with_name(f"{store.quarantined[0].name}-wal").read_bytes() == content
    assert 0 < store.depth() < 20
    assert store.vehicles() == []


def test_a_new_or_salvaged_store_is_not_settled_until_somebody_says_so(sleepers: Path) -> None:
    damage(sleepers, "UPDATE outbox SET body = x'00' WHERE n = 3")
    for _ in range(2):
        store = Store(sleepers)
        assert not store.settled, "a crash in between changes nothing"
        store.close()
    store = Store(sleepers)
    store.commit(Change(settled=True))
    store.close()
    assert Store(sleepers).settled


def test_a_store_whose_version_cannot_be_read_goes_aside_with_its_named_values(tmp_path: Path) -> None:
    """Nobody knows what they mean; messages and alarm topics are kept."""
    store = filled(tmp_path)
    store.commit(Change(meta={"version": b"two"}))
    store.close()
    store = Store(tmp_path)
    assert store.quarantined
    assert (store.meta("mode"), store.vehicles(), store.depth()) == (None, [], 20)
    store.close()
    assert not Store(tmp_path).quarantined


def test_a_store_of_a_later_release_is_refused_and_not_touched(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.commit(Change(meta={"version": b"3", "writer": b"0.9.7"}))
    store.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match=r"version 3, written by tickover 0\.9\.7; expected version 1 to 2") as error:
        Store(tmp_path)
    assert f"`tickover state {tmp_path}` says how" in str(error.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_later_release_may_have_other_tables_and_is_refused_all_the_same(tmp_path: Path) -> None:
    """To an earlier one its rows look damaged; they are not."""
    store = filled(tmp_path)
    store.commit(Change(meta={"version": b"3"}))
    store.close()
    with closing(sqlite3.connect(tmp_path / FILE)) as db, db:
        db.execute("UPDATE state SET crc = crc + 1")
        db.execute("CREATE TABLE more (a)")
    with pytest.raises(ConfigError, match="a store of version 3"):
        Store(tmp_path)
    assert list(tmp_path.glob("*.damaged*")) == []


def test_a_store_of_an_earlier_version_is_taken_over_and_kept_as_it_was(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.commit(Change(meta={"version": b"1"}))
    store.close()
    store = Store(tmp_path)
    assert store.upgraded == tmp_path / f"{FILE}.version-1"
    assert (store.meta("version"), store.depth(), store.quarantined) == (b"2", 20, [])
    vehicles = store.vehicles()
    store.close()
    with closing(sqlite3.connect(store.upgraded)) as db:
        assert db.execute("SELECT body FROM meta WHERE name = 'version'").fetchone() == (b"1",)
        assert [row[0] for row in db.execute("SELECT vehicle FROM state WHERE body != x'' ORDER BY 1")] == vehicles
    again = Store(tmp_path)
    assert again.upgraded is None
    again.close()


def test_a_full_disk_is_said_and_left_and_returned_to(small_disk: SmallDisk) -> None:
    store = Store(small_disk.folder)
    store.commit(Change(messages=[message("before")], states={"asleep": b"z"}))
    small_disk.fill()
    for number in range(30):
        store.commit(Change(journal=bytes(3000), messages=[message(f"during{number}", size=3000)]))
    assert not store.durable
    assert "full" in (store.problem or "")
    assert store.state("asleep") == (0, b"z"), "a sleeping vehicle can still be woken"
    assert [m.id for m in store.pending(limit=2)] == ["before", "during0"]
    store.commit(Change(delivered=[store.pending()[0].n]))
    assert not store.retry(Change(states={"t1": b"full"}, forget_journal=True))
    small_disk.free()
    assert store.retry(Change(states={"t1": b"full"}, forget_journal=True))
    store.close()
    store = Store(small_disk.folder)
    assert store.durable
    assert [m.id for m in store.pending()] == [f"during{number}" for number in range(30)]
    assert store.state("t1") == (30, b"full")
    assert store.state("asleep") is not None
    assert list(store.journal()) == []


def test_a_file_that_another_program_holds_stops_nothing_for_long(tmp_path: Path) -> None:
    filled(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute("BEGIN EXCLUSIVE")
        begin = time.monotonic()
        store = Store(tmp_path)
        assert not store.retry(Change(forget_journal=True))
        took = time.monotonic() - begin
        assert "locked" in (store.problem or "")
    assert took < SQLITE_WAITS_S, "each of two tries waited as long as sqlite3 does by itself"
    assert store.retry(Change(forget_journal=True))
    store.close()


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Without the collector of cycles, which would close a lost connection some time."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_attempts_on_a_full_disk_leave_no_lock_behind(small_disk: SmallDisk) -> None:
    """Each attempt opens the file anew and fails in the middle of writing more than the disk holds."""
    store = Store(small_disk.folder)
    store.commit(Change(journal=bytes(600_000)))
    for _ in range(3):
        assert not store.retry(Change(states={"t1": bytes(600_000)}, forget_journal=True))
        assert "full" in (store.problem or "")
    assert store.retry(Change(states={"t1": b"small"}, forget_journal=True))
    store.close()


def test_a_disk_that_is_read_only_at_the_start(small_disk: SmallDisk) -> None:
    small_disk.remount("ro")
    store = Store(small_disk.folder)
    store.commit(Change(journal=b"x", messages=[message("a")]))
    assert not store.durable
    small_disk.remount("rw")
    assert store.retry(Change(forget_journal=True))
    store.close()
    assert [m.id for m in Store(small_disk.folder).pending()] == ["a"]


def test_an_unfinished_transaction_leaves_nothing(tmp_path: Path) -> None:
    store = filled(tmp_path, 2)
    with pytest.raises(AttributeError):
        store.commit(Change(journal=b"x", messages=[message("new"), None]))  # type: ignore[list-item]
    assert (store.seq, store.rows) == (2, 2)
    assert [m.id for m in store.pending()] == ["a0", "a1"]
