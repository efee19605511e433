"""The clock of a truck that has lost its battery: 1970, then now, then ten years on, then now."""

from pathlib import Path

import pytest

from daemon_process import MODEL, START, drive
from faults.scripted import message, started, turn_until_idle, write_config
from tickover.core.arrivals import BACK_SPAN
from tickover.core.values import SECOND
from tickover.model.detector import Detector

YEARS_S = 10 * 365 * 86_400
SECONDS = 120


@pytest.mark.parametrize("clock", ["unsynced", "synced"])
def test_real_readings_are_scored_again_within_the_gap_limit(quick_folder: Path, clock: str) -> None:
    """1970 is refused and counted: it cannot be told from a wrong unit. Unsynced, the others are scored; synced, what
    is ahead of the clock is refused and changes nothing."""
    rows = drive(2 * SECONDS)
    real, later = rows[:SECONDS], rows[SECONDS:]
    leaps = [
        [(stamp - START, shown) for stamp, shown in real],
        real,
        [(stamp + YEARS_S, shown) for stamp, shown in real],
        later,
    ]
    manifest = Detector.load(MODEL).manifest
    limit = manifest.gap_limit_s + manifest.lateness_s + manifest.period / 1e6
    config = write_config(quick_folder / "config.toml", quick_folder / "state", MODEL, clock=clock)
    with started(config) as (daemon, link):
        packet_id = 0
        for number, part in enumerate(leaps):
            before = daemon.engine.live.ticks
            first = None
            for row in part:
                packet_id += 1
                link.inbox.append(message(row, packet_id))
                turn_until_idle(daemon, link)
                newest = daemon.engine.live.snapshot("t1").get("anomaly", {}).get("time", -1) / 1e6
                if first is None and part[0][0] // 1 <= newest <= row[0]:
                    first = row[0] - part[0][0]
            refused = {0: "bad_time", 2: "too_far_ahead" if clock == "synced" else ""}.get(number)
            if refused:
                assert daemon.engine.live.ticks == before
                assert daemon.engine.intake.counts[refused] == len(part)
                continue
            assert first is not None, f"part {number} was never scored"
            back = number == 3 and clock == "unsynced"
            assert first <= limit + (BACK_SPAN / SECOND if back else 0), (
                "that the clock went back takes a minute to tell"
            )
            assert daemon.engine.live.ticks - before >= len(part) * 0.9
            assert 0 <= part[-1][0] - daemon.health.report()["last_tick"] / 1e6 <= limit, "the newest tick of today"
        assert link.acknowledged[-1] == packet_id
        assert daemon.health.report()["lag_s"] > 0, "behind the clock, not ten years ahead"
