"""What is written beside the results as work goes on: a vehicle's alerts, then the mark that it is done.

Each file is replaced whole, and the mark holds the digest of the alerts: whatever is killed when, a vehicle is either
done or run again. All lie in the folder of results, which every machine that works must see.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from tickover.errors import TickoverError
from tickover.jobs.backfill.task import VERSION, Result, Split, SplitTask, Task, file_id
from tickover.storage.files import read_bytes, replace_file

DONE: Final = "done"
"""Alerts and marks of vehicles that were run."""
SPLIT: Final = "split"
"""Marks of logs of several vehicles, and their readings vehicle by vehicle until all were run."""
STATES: Final = "states"
LOCK: Final = ".lock"
STATE_SUFFIX: Final = ".state"
LONGEST_FILE: Final = 200
MAX_MARK: Final = 64 << 20
READ_BYTES: Final = 1 << 20
T = TypeVar("T", Result, Split)


@contextlib.contextmanager
def hold(out: Path) -> Iterator[None]:
    """Make the folder of results, and let no other back-fill write into it meanwhile; TickoverError when one does.

    A folder that was made here goes again when an error leaves it empty.
    """
    is_new = not out.exists()
    try:
        for name in (DONE, SPLIT):
            (out / name).mkdir(parents=True, exist_ok=True)
        handle = os.open(out / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise TickoverError(f"--out {out}: cannot be written: {error.strerror or error}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise TickoverError(
            f"--out {out}: another back-fill writes there; wait for it, or name another folder"
        ) from error
    except BaseException:
        if is_new:
            _drop_if_empty(out)
        raise
    finally:
        os.close(handle)


def _drop_if_empty(out: Path) -> None:
    with contextlib.suppress(OSError):
        if {path.name for path in out.rglob("*")} <= {DONE, SPLIT, LOCK}:
            shutil.rmtree(out)


def alerts_file(out: Path, id_: str) -> Path:
    """Where a vehicle's alerts are, a JSON object a line."""
    return out / DONE / f"{id_}.alerts.jsonl"


def state_file(out: Path, vehicle: str) -> Path:
    """Where a vehicle's last state is."""
    return out / STATES / f"{given_name(vehicle)}{STATE_SUFFIX}"


def given_name(vehicle: str) -> str:
    """What a file with a vehicle's state or verdicts is called, without its suffix.

    What a path cannot hold is escaped as in a URL; a name too long for a file gets that of its results.
    """
    name = quote(vehicle, safe=" @+,;()[]{}!$'&~=#")
    return name if len(name) <= LONGEST_FILE else file_id(vehicle)


def mark_done(out: Path, id_: str, result: Result) -> None:
    """Say that a vehicle was run; its alerts are there already."""
    _write(out / DONE / f"{id_}.json", result)


def done(out: Path, task: Task) -> Result | None:
    """What came of a vehicle before; None when it is to be run (again)."""
    found = found_before(out, task.id)
    if found is None or found.digest != task.digest or not found.is_whole:
        return None
    return found if found.sealed == sealed(alerts_file(out, task.id)) else None


def found_before(out: Path, id_: str) -> Result | None:
    """The mark of a vehicle as it is, whatever it was run on."""
    return _read(out / DONE / f"{id_}.json", Result)


def mark_split(out: Path, task: SplitTask, split: Split) -> None:
    """Say that a log was split."""
    _write(out / SPLIT / f"{task.id}.json", split)


def was_split(out: Path, task: SplitTask) -> Split | None:
    """What a log holds of which vehicle, from before; None when it is to be split (again)."""
    found = _read(out / SPLIT / f"{task.id}.json", Split)
    return found if found is not None and found.digest == task.digest and not found.why else None


def drop_spools(out: Path) -> None:
    """Remove the readings of logs that were split; the marks stay."""
    for path in (out / SPLIT).iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def sealed(path: Path) -> str:
    """Digest of a file; empty when it is not there."""
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while data := file.read(READ_BYTES):
                found.update(data)
    except OSError:
        return ""
    return found.hexdigest()


def _write(path: Path, body: Result | Split) -> None:
    with replace_file(path) as file:
        file.write(msgspec.json.encode(body))


def _read(path: Path, kind: type[T]) -> T | None:
    """None for what is not there, damaged, or of another version."""
    try:
        found = msgspec.json.decode(read_bytes(path, MAX_MARK), type=kind)
    except (OSError, ValueError, msgspec.DecodeError, RecursionError):
        return None
    return found if found.version == VERSION else None
