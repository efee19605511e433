"""Recorded trips never leave their folder by a symbolic link."""

import gzip
from pathlib import Path

import pytest

from tickover.errors import LogError
from tickover.logs.trip_files import TripFiles
from tickover.storage.files import replace_file

DATA = b'{"time": 1}\n'
START = 1_700_000_000_000_000


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The folder to record into."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder that is none of the recorder's business, with a file that looks like a trip cut short."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "20200101T000000Z.jsonl.gz").write_bytes(gzip.compress(DATA) + b"half")
    (folder / ".x.jsonl.gz.1.tmp").write_bytes(b"unfinished")
    return folder


def test_files_behind_a_link_are_not_counted_repaired_or_removed(out: Path, elsewhere: Path) -> None:
    before = {path.name: path.read_bytes() for path in elsewhere.iterdir()}
    (out / "t1").symlink_to(elsewhere)
    (out / "t2").mkdir()
    (out / "t2" / "20200101T000000Z.jsonl.gz").symlink_to(elsewhere / "20200101T000000Z.jsonl.gz")
    files = TripFiles(out, 1)
    assert files.total == 0
    files.make_room(set())
    assert {path.name: path.read_bytes() for path in elsewhere.iterdir()} == before


def test_a_link_in_a_vehicles_place_is_refused(out: Path, elsewhere: Path) -> None:
    (out / "t1").symlink_to(elsewhere)
    files = TripFiles(out, 10**6)
    with pytest.raises(LogError, match="t1: expected a folder, found a symbolic link"):
        files.create("t1", START, "jsonl")
    assert len(list(elsewhere.iterdir())) == 2


def test_a_folder_that_becomes_a_link_is_refused(out: Path, elsewhere: Path) -> None:
    files = TripFiles(out, 10**6)
    path = files.create("t1", START, "jsonl")
    files.append(path, DATA)
    path.parent.rename(out.parent / "moved")
    path.parent.symlink_to(elsewhere)
    with pytest.raises(LogError, match="symbolic link"):
        files.append(path, DATA)
    assert len(list(elsewhere.iterdir())) == 2


def test_a_file_that_becomes_a_link_is_not_written_through(out: Path, tmp_path: Path) -> None:
    files = TripFiles(out, 10**6)
    path = files.create("t1", START, "jsonl")
    size = files.append(path, DATA)
    target = tmp_path / "passwords"
    target.write_bytes(b"x" * size)
    path.unlink()
    path.symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        files.append(path, DATA)
    assert target.read_bytes() == b"x" * size


def test_a_dangling_link_under_the_next_name_is_left_alone(out: Path, tmp_path: Path) -> None:
    files = TripFiles(out, 10**6)
    first = files.create("t1", START, "jsonl")
    files = TripFiles(out, 10**6)
    first.symlink_to(tmp_path / "nothing")
    path = files.create("t1", START, "jsonl")
    assert path != first
    files.append(path, DATA)
    assert not (tmp_path / "nothing").exists()


def test_a_temporary_name_that_is_a_link_is_not_written_through(tmp_path: Path, monkeypatch) -> None:
    """The name is known beforehand: it holds the process's number."""
    monkeypatch.setattr("os.getpid", lambda: 7)
    target = tmp_path / "passwords"
    target.write_text("root")
    (tmp_path / ".report.7.tmp").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"), replace_file(tmp_path / "report") as file:
        file.write(b"x")
    assert target.read_text() == "root"
