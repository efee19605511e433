"""SIGKILL on entering system calls of a short run: no alert is lost or changed, wherever it hits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import Broker, broker  # noqa: F401  (a fixture)
from faults.broken import launcher
from faults.kill_points import KillPoints
from faults.recording import STRACE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(STRACE is None, reason="strace is not installed (apt install strace)"),
]
WORKERS = 3


@pytest.fixture
def points(quick_folder: Path, broker: Broker) -> Iterator[KillPoints]:  # noqa: F811
    one = KillPoints(quick_folder, broker)
    yield one
    one.close()


def test_sigkill_at_syncs_writes_and_sends_loses_and_changes_no_alert(points: KillPoints) -> None:
    """Every second sync, and some writes and sends; tests/bench/faults_kill_points.py takes them all."""
    counts = points.reference()
    assert counts["fdatasync"] > 10
    chosen = [("fdatasync", number) for number in range(2, counts["fdatasync"] + 1, 2)]
    chosen += [("pwrite64", counts["pwrite64"] * share // 5) for share in range(1, 5)]
    chosen += [("sendto", number) for number in (2, 4, 7, 12, 30)]
    campaign = points.run(chosen, WORKERS)
    assert campaign.bad == {}
    assert len(campaign.results) >= len(chosen) * 3 // 4, campaign.missed


def test_the_same_harness_finds_a_daemon_that_acknowledges_before_it_commits(
    quick_folder: Path,
    broker: Broker,  # noqa: F811
) -> None:
    """In the middle of a commit's writes; at the sync after them, a killed process has lost nothing yet."""
    points = KillPoints(quick_folder, broker, launcher=launcher("acknowledge_first"), patience=4)
    campaign = points.run([("pwrite64", number) for number in (100, 140, 180)], WORKERS)
    assert campaign.bad
    points.close()
