"""SIGKILL at random moments while a log plays; tests/bench/faults_sigkill.py does it a thousand times."""

import os
from pathlib import Path

import pytest

from broker import Broker, broker  # noqa: F401  (a fixture)
from faults.campaigns import kill_daemon
from faults.gateway import Ear

KILLS = int(os.environ.get("TICKOVER_KILLS", "50"))
LONGEST_S = 45.0


@pytest.mark.slow
def test_random_sigkill_while_a_log_plays(quick_folder: Path, broker: Broker) -> None:  # noqa: F811
    ear = Ear(broker)
    kills = kill_daemon(quick_folder, broker, ear, KILLS, LONGEST_S)
    assert kills.kills >= KILLS // 2, "a slow machine may do fewer than asked, not none"
    assert kills.result.wanted > 100
    assert kills.result.good, (kills.result, kills.troubles)
    ear.close()
