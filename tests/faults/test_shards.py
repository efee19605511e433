"""A shard of a fleet moves while trucks send; the long run is tests/bench/faults_shards.py."""

from pathlib import Path

import pytest

from broker import MOSQUITTO
from faults import shards


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (apt install mosquitto)")
def test_a_shard_moves_under_load_and_no_alert_is_lost_or_new(tmp_path: Path) -> None:
    figures = shards.run(tmp_path, shards=2, vehicles=20, seconds=120, speed=0)
    assert figures["good"], figures
    assert figures["vehicles_moved"]
