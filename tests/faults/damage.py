"""A store file that is damaged: bits flipped, pieces overwritten, ends cut off. The daemon must start, and say so."""

import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from daemon_process import MODEL, drive
from faults.scripted import message, started, turn_until_idle, write_config
from tickover.storage.database import PAGE_BYTES
from tickover.storage.store import FILE
from tickover.storage.wal import FRAME_HEADER_BYTES, HEADER_BYTES

SLEEPERS = 20
"""Vehicles asleep, beside the one under way."""


@dataclass
class Damages:
    """What became of a number of damaged stores."""

    tries: int = 0
    unharmed: int = 0
    """All that was stored came back."""
    said: int = 0
    """Put aside, and told in a ``store_damaged`` alert."""
    kept: int = 0
    """Of these, how often vehicles kept their states."""
    mixed: list[str] = field(default_factory=list)
    """Of these, a vehicle had another state than the one that was committed."""
    torn: int = 0
    """The log's end was missing or damaged: just what a power cut leaves of a commit that was never acknowledged, so
    nothing can be said."""
    silent: list[str] = field(default_factory=list)
    """Something else was missing and nobody said so."""
    failed: list[str] = field(default_factory=list)
    """It did not start, or did not store any more."""

    @property
    def good(self) -> bool:
        return not (self.failed or self.silent or self.mixed)


@dataclass(frozen=True)
class Found:
    """What a start finds: alerts in the outbox, the state of each vehicle, and whether it says that there is damage."""

    alerts: frozenset[bytes]
    states: frozenset[bytes]
    said: bool


def make_state(folder: Path, checkpointed: bool) -> Path:
    """The state folder of a daemon that died with alerts in its outbox: in the file, or in the write-ahead log."""
    state, image = folder / "state", folder / ("file" if checkpointed else "wal")
    config = write_config(folder / "config.toml", state, MODEL)
    shutil.rmtree(state, ignore_errors=True)
    with started(config) as (daemon, link):
        daemon.connection.up = False
        link.inbox.clear()
        for number, row in enumerate(drive(200)):
            link.inbox.append(message(row, number + 1))
            daemon.turn(0)
        daemon.engine.commit()
        for number, row in enumerate(drive(SLEEPERS * 10), 1_000):
            link.inbox.append(message(row, number, topic=f"in/asleep-{number % SLEEPERS}"))
            daemon.turn(0)
        for vehicle in range(SLEEPERS):
            daemon.engine.committer.sleep(f"asleep-{vehicle}")
        daemon.engine.commit()
        if checkpointed:
            daemon.engine.store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copytree(state, image)
    return image


def damage_once(image: Path, folder: Path, chance: random.Random) -> tuple[str, bool]:
    """Copy the image into the folder and damage it there; what was done, and whether it may pass for a torn end."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(image, folder)
    path = folder / chance.choice([name.name for name in folder.iterdir() if name.stat().st_size])
    content = bytearray(path.read_bytes())
    before, at = bytes(content), chance.randrange(len(content))
    way = chance.choice(["flip", "flip", "flips", "zeros", "noise", "cut"])
    end = at + 1
    if way in ("flip", "flips"):
        places = [at] + [chance.randrange(len(content)) for _ in range(20 if way == "flips" else 0)]
        for place in places:
            content[place] ^= 1 << chance.randrange(8)
        end = min(places) + 1
    elif way == "cut":
        del content[at:]
        end = len(before)
    else:
        end = at + min(chance.choice([1, 100, 1024, 4096]), len(content) - at)
        content[at:end] = bytes(end - at) if way == "zeros" else chance.randbytes(end - at)
    path.write_bytes(content)
    torn = path.name.endswith("-wal") and not _follows_a_commit(before, end)
    return f"{image.name}: {way} of {path.name} at {at} of {len(before)}", torn


def _follows_a_commit(log: bytes, end: int) -> bool:
    """Whether a whole commit and one more frame lie behind this place."""
    frame = FRAME_HEADER_BYTES + PAGE_BYTES
    starts = range(HEADER_BYTES, len(log) - frame + 1, frame)
    return any(at >= end and log[at + 4 : at + 8] != bytes(4) for at in starts[:-1])


def damage(folder: Path, tries: int, seed: int = 0) -> Damages:
    """Damage, start, look, commit, start again; ``tries`` times."""
    images, chance, found = (
        [make_state(folder, checkpointed) for checkpointed in (True, False)],
        random.Random(seed),
        Damages(),
    )
    intact = {image: _held(folder, image) for image in images}
    for _ in range(tries):
        image = chance.choice(images)
        what, torn = damage_once(image, folder / "state", chance)
        found.tries += 1
        try:
            seen = _look(folder)
        except Exception as error:
            found.failed.append(f"{what}: {type(error).__name__}: {error}")
            continue
        found.said += seen.said
        found.kept += seen.said and bool(seen.states)
        if seen.said and not seen.states <= intact[image].states:
            found.mixed.append(what)
        if (seen.alerts, seen.states) == (intact[image].alerts, intact[image].states):
            found.unharmed += 1
        elif not seen.said and torn:
            found.torn += 1
        elif not seen.said:
            found.silent.append(what)
    return found


def _held(folder: Path, image: Path) -> Found:
    shutil.rmtree(folder / "state", ignore_errors=True)
    shutil.copytree(image, folder / "state")
    found = _look(folder)
    assert not found.said
    assert found.alerts
    assert len(found.states) == SLEEPERS + 1
    return found


def _look(folder: Path) -> Found:
    with started(folder / "config.toml") as (daemon, link):
        turn_until_idle(daemon, link)
        engine = daemon.engine
        for vehicle in engine.store.vehicles():
            engine.keeper.wake(vehicle)
        states = frozenset(engine.fleet.state(vehicle) for vehicle in engine.fleet.vehicles)
        said = bool(link.of("/alert/store_damaged"))
        assert engine.store.durable
        assert not said or list((folder / "state").glob(f"{FILE}.damaged-*")), "nothing is deleted"
        link.inbox.append(message((1_800_000_000.0, {"rpm": 49.0}), 60_000))
        turn_until_idle(daemon, link)
        assert 60_000 in link.acknowledged
    return Found(frozenset(link.of("/alert/anomaly")), states, said)
