"""The history of the page: a row an alert, bounded, durable, one page at a time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tickover.errors import StateError
from tickover.storage.history import AlertRow, History, Mark, NoticeRow

BOUNDS = {"episodes": 50, "alerts": 100, "notices": 20}


def row(number: int, phase: str = "start", *, episode: int | None = None, time: int | None = None) -> AlertRow:
    at = 1000 * number if time is None else time
    end = at if phase == "end" else None
    name = f"e{number if episode is None else episode}"
    reason = "recovered" if end else None
    return AlertRow(
        f"a{number}", name, "truck", "anomaly", "kind", 1, phase, 0, at, end, reason, 2.0, 1.5, at, b"body %d" % number
    )


def test_an_alert_that_comes_twice_is_one_row() -> None:
    history = History(None)
    assert history.add_alert(row(1))
    assert not history.add_alert(row(1))
    assert [alert[0] for alert in history.course("e1")] == ["a1"]


def test_an_episode_keeps_its_first_and_newest_body_whatever_the_order() -> None:
    history = History(None)
    for one in (row(1, time=10), row(3, "end", episode=1, time=30), row(2, "update", episode=1, time=20)):
        assert history.add_alert(one)
    summary, first, newest = history.episode("e1") or pytest.fail("no episode")
    assert (first, newest) == (b"body 1", b"body 3")
    assert (summary["phase"], summary["end"], summary["alerts"]) == ("end", 30, 3)
    assert [alert[0] for alert in history.course("e1")] == ["a1", "a2", "a3"]


def test_every_table_is_bounded_and_neither_open_episodes_nor_verdicts_are_pruned() -> None:
    history = History(None, BOUNDS)
    history.add_alert(row(0))
    history.add_alert(row(1, "end"))
    history.add_mark(Mark(5, "e1", "truck", "anomaly", "verdict", "real", "", None, "alice"))
    for number in range(2, 400):
        history.add_alert(row(number, "end"))
        history.add_notice(NoticeRow(f"n{number}", "truck", "reset", True, number, ""))
    kept = {one["id"] for one in history.episodes(limit=1000)}
    assert len(kept) <= BOUNDS["episodes"]
    assert {"e0", "e1", "e399"} <= kept
    assert len(history.notices("truck", 1000)) <= BOUNDS["notices"]
    assert sum(len(history.course(f"e{number}")) for number in range(400)) <= BOUNDS["alerts"]


def store_and_die(folder: str) -> None:
    history = History(Path(folder))
    history.add_alert(row(1))
    history.queue("hook", "a1", b"x")
    history.commit()
    history.add_alert(row(2))
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_was_committed_is_there_after_a_kill_and_the_rest_is_not(tmp_path: Path) -> None:
    script = "import os, sys; sys.path[:0] = sys.argv[2:]; import test_history as t; t.store_and_die(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "state"), str(Path(__file__).parent)],
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == -9, done.stderr
    history = History(tmp_path / "state")
    assert [one["id"] for one in history.episodes()] == ["e1"]
    assert [id for _, id, _ in history.waiting("hook", 10)] == ["a1"]
    history.close()


def test_a_second_page_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    first = History(tmp_path)
    with pytest.raises(StateError, match="another tickover web uses it"):
        History(tmp_path)
    first.close()
    History(tmp_path).close()


def test_a_history_of_a_later_release_is_left_alone(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.set_meta("version", "99")
    history.close()
    with pytest.raises(StateError, match="of version 99, expected 1"):
        History(tmp_path)


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"cannot use .*/file/web\.sqlite: (Not a directory|File exists)"):
        History(tmp_path / "file")
