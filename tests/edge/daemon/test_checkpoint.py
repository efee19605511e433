"""A checkpoint of many vehicles goes through them over several commits; a crash after any of them loses nothing."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import fleet_histories as histories
from tickover.core.ledger import Verdict
from tickover.daemon import checkpoint
from tickover.daemon.announcer import Announcer
from tickover.daemon.checkpoint import JOURNAL_LEAST, LEAST, SPREAD_S, Checkpoint
from tickover.daemon.committer import Committer
from tickover.daemon.config import State
from tickover.daemon.events import Event, Judge, Reset
from tickover.daemon.outbox import Outbox
from tickover.daemon.recovery import Keeper, Opened
from tickover.messages.topics import Topics
from tickover.storage.store import FILE, Store
from tickover.transports.mqtt.link import Link
from tickover.transports.mqtt.settings import Broker

TRUCKS = [f"t{number}" for number in range(1000)]


class Life:
    """A fleet with its store, as the daemon's engine runs them."""

    def __init__(self, folder: Path, seed: int) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.store, self.fleet = folder, Store(folder), histories.new_fleet(seed)
        self.keeper = Keeper(self.store, Opened(self.fleet, {}, {}))
        link, outbox = Link(Broker(client_id="c")), Outbox(self.store, None, 60)  # type: ignore[arg-type]
        self.committer = Committer(State(folder=str(folder)), link, self.store, self.fleet, outbox)
        self.announcer = Announcer(Topics("base", "node"), lambda _: False)
        self.keeper.replay_journal()

    def apply(self, event: Event) -> None:
        self.keeper.wake(event.vehicle)
        self.fleet.apply(event)
        self.committer.journal(event)
        if isinstance(event, Reset):
            self.commit()  # as after every command

    def commit(self) -> None:
        self.fleet.pump()
        for vehicle in self.committer.commit(0, self.announcer):
            self.fleet.forget(vehicle)

    def states(self) -> dict[str, bytes]:
        return {vehicle: self.fleet.state(vehicle) for vehicle in self.fleet.vehicles}

    def after_a_crash(self, folder: Path, seed: int) -> "Life":
        """Another life that begins with what is on disk now."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(self.folder / f"{FILE}{suffix}", folder / f"{FILE}{suffix}")
        return Life(folder, seed)


@pytest.mark.parametrize("seed", [0, 3, 4])
def test_after_a_crash_in_the_middle_all_is_as_it_was(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "LEAST", 1)
    monkeypatch.setattr(checkpoint, "JOURNAL_ROWS", 5)
    random, life = np.random.default_rng(seed), Life(tmp_path / "life", seed)
    under_way = forgotten = 0
    names = ("a", "b", "c", "d", "e")
    for step in histories.history(seed, 80, vehicles=names):
        if not isinstance(step, str | tuple):
            life.apply(step)
        elif isinstance(step, tuple) and step[0] == histories.SLEEP:
            life.committer.sleep(step[1])
        elif isinstance(step, tuple):
            life.apply(Judge(step[1], "", Verdict.FALSE))
        else:
            life.commit()
            under_way += life.committer._checkpoint.upto is not None
            forgotten += life.store._db.execute("SELECT min(seq) FROM journal").fetchone()[0] not in (None, 1)
            if random.random() < 0.3:
                again = life.after_a_crash(tmp_path / "again", seed)
                for vehicle in life.fleet.vehicles:
                    assert again.keeper.wake(vehicle)
                assert {name: again.fleet.state(name) for name in life.fleet.vehicles} == life.states()
                assert not again.keeper.lost
                again.store.close()
            if random.random() < 0.05:
                life.store.close()
                life = Life(life.folder, seed)
    assert under_way >= 3
    assert forgotten >= 3
    life.store.close()


def begun(count: int) -> Checkpoint:
    one = Checkpoint(every_s=600.0, now=0.0)
    for truck in TRUCKS[:count]:
        one.changed(truck)
    one.begin(7, TRUCKS, now=0.0)
    return one


def test_few_vehicles_go_with_one_commit() -> None:
    one = begun(LEAST)
    assert len(one.share(0.1)) == LEAST
    assert one.is_last
    one.wrote(TRUCKS[:LEAST], 1000)
    assert one.upto is None
    assert not one.dirty


@pytest.mark.parametrize("commits_a_second", [0.2, 1.0, 10.0])
def test_many_go_with_several_and_are_done_in_time(commits_a_second: float) -> None:
    one, now, shares = begun(1000), 0.0, list[int]()
    while one.upto is not None:
        now += 1 / commits_a_second
        share = one.share(now)
        shares.append(len(share))
        one.wrote(share, 10 * len(share))
    assert sum(shares) == 1000
    assert len(shares) >= 5
    assert now <= SPREAD_S
    assert max(shares) <= max(LEAST, 1000 / SPREAD_S / commits_a_second + 1)


def test_what_changes_while_one_is_under_way_is_for_the_next() -> None:
    one = begun(1000)
    first = one.share(0.1)
    one.wrote(first, 10)
    one.changed(first[0])
    one.journalled(3 * JOURNAL_LEAST, 5)
    assert not one.is_due(0.2), "one is under way"
    while one.upto is not None:
        share = one.share(0.3)
        one.wrote(share, 10)
    assert one.dirty == {first[0]}
    assert one.is_due(0.4), "the journal since then stays, and counts"


def test_one_that_is_given_up_leaves_all_to_be_written() -> None:
    one = begun(300)
    one.share(0.1)
    one.give_up()
    assert one.upto is None
    assert one.dirty == frozenset(TRUCKS[:300])
