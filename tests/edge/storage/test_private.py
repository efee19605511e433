"""A state folder is for its user alone, also one that an earlier release left open."""

import os
import stat
from pathlib import Path

import pytest

from tickover.storage import private

START = "tickover.sqlite"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_for_its_user_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        private.create(tmp_path / "var" / "state")
    finally:
        os.umask(before)
    assert mode(tmp_path / "var" / "state") == 0o700
    assert mode(tmp_path / "var") == 0o777, "its parents are not ours to close"


def test_what_others_could_read_is_closed_and_told(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    for name in ("tickover.sqlite", "tickover.sqlite-wal", "tickover.sqlite.model-7"):
        (folder / name).touch()
        (folder / name).chmod(0o644)
    (folder / "tickover.sqlite-shm").touch(mode=0o600)
    told = private.tighten(folder, START)
    assert len(told) == 4
    assert f"{folder} could be read by others (mode 0755); it is 0700 now" in told
    assert mode(folder) == 0o700
    assert {mode(path) for path in folder.iterdir()} == {0o600}
    assert private.tighten(folder, START) == []


def test_a_folder_with_other_files_stays_as_it_is_and_that_is_told(tmp_path: Path) -> None:
    """``state.folder = "/tmp"`` must not close everybody's folder."""
    (tmp_path / "letter.txt").touch(mode=0o644)
    (tmp_path / "tickover.sqlite").touch()
    (tmp_path / "tickover.sqlite").chmod(0o644)
    tmp_path.chmod(0o755)
    told = private.tighten(tmp_path, START)
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / "letter.txt") == 0o644
    assert mode(tmp_path / "tickover.sqlite") == 0o600
    assert "name a folder of its own" in told[-1]
    assert "'letter.txt'" in told[-1]


def test_a_link_is_found_and_never_followed(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "state", tmp_path / "passwords"
    folder.mkdir()
    elsewhere.touch()
    elsewhere.chmod(0o644)
    (folder / "tickover.sqlite-wal").symlink_to(elsewhere)
    assert private.links(folder, START) == [folder / "tickover.sqlite-wal"]
    private.tighten(folder, START)
    assert mode(elsewhere) == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give a file away")
def test_a_file_of_somebody_else_in_the_way_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "tickover.sqlite").touch()
    (folder / "tickover.sqlite").chmod(0o666)
    os.chown(folder, 1234, 1234)
    os.chown(folder / "tickover.sqlite", 1234, 1234)
    tmp_path.chmod(0o755)
    for parent in [tmp_path, *tmp_path.parents][:4]:
        if parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o055)
    child = os.fork()
    if not child:
        os.setuid(4321)
        told = private.tighten(folder, START)
        os._exit(0 if len(told) == 2 and all("cannot be closed" in line for line in told) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
