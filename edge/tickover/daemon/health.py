"""How the daemon is: one report for the health topic, the status command, the log and Prometheus."""

import logging
import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tickover.core.values import SECOND
from tickover.messages import remedies

if TYPE_CHECKING:
    from tickover.daemon.loop import Daemon

logger: Final = logging.getLogger("tickover.daemon.health")


MISSING: Final = "missing"
"""Counts values that no reading filled: nothing was dropped."""


def resident_mb() -> float:
    """Resident memory of this process in MB (10^6 bytes); 0 where /proc is not."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Rates:
    """What was counted since the last report."""

    def __init__(self) -> None:
        self._before: Counter[str] = Counter()
        self._at = time.monotonic()

    def turn(self, totals: Counter[str]) -> tuple[Counter[str], float]:
        """The counts since the last turn, and in how many seconds."""
        now = time.monotonic()
        new, seconds = totals - self._before, max(now - self._at, 1e-9)
        self._before, self._at = totals.copy(), now
        return new, seconds


def health_report(daemon: "Daemon") -> dict[str, Any]:
    """Numbers of now; counts are since the start, ``outbox_dropped`` since the store began."""
    now, live, store = daemon.now(), daemon.live, daemon.store
    dropped = daemon.intake.counts + daemon.fleet.counts
    rows = dropped.pop("rows", 0)
    return {
        "time": now,
        "rows": rows,
        "ticks": live.ticks,
        "last_tick": live.newest or None,
        "lag_s": round(max(0, now - live.newest) / SECOND, 3) if live.newest else None,
        "vehicles": len(daemon.fleet.vehicles),
        "dropped": dict(dropped),
        "muted": daemon.teller.muted,
        "rebirths_asked": daemon.intake.requester.asked,
        "outbox": store.depth(),
        "outbox_bytes": store.bytes,
        "outbox_dropped": store.dropped,
        "delivered": daemon.outbox.delivered,
        "remarks_lost": daemon.outbox.lost_remarks,
        "commits": daemon.committer.commits,
        "durable": store.durable,
        "connected": daemon.connected,
        "clock_synced": daemon.synced,
        "memory_mb": round(resident_mb(), 1),
    }


class Drops:
    """Logs what was refused or left out: one line a minute for all, and one for each reason when it is first met."""

    def __init__(self) -> None:
        self._explained: set[str] = set()

    def log(self, new: Counter[str]) -> None:
        """What came since the last time."""
        dropped = {reason: count for reason, count in sorted(new.items()) if count and reason != MISSING}
        if dropped:
            logger.warning("left out: %s", " ".join(f"{reason}={count}" for reason, count in dropped.items()))
        for reason in sorted(dropped.keys() & remedies.READINGS.keys() - self._explained):
            logger.warning(remedies.on_reading(reason))
        self._explained |= dropped.keys()


class Metrics:
    """Prometheus text on a loopback port (extra ``metrics``): every number of the health report as a gauge."""

    def __init__(self, port: int) -> None:
        from prometheus_client import CollectorRegistry, Gauge, start_http_server

        self._registry = CollectorRegistry()
        self._gauge = Gauge
        self._gauges: dict[str, Any] = {}
        self._server, self._thread = start_http_server(port, "127.0.0.1", self._registry)

    def close(self) -> None:
        """Answer no more, and leave the port to the next."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def show(self, report: dict[str, Any]) -> None:
        """Take the newest report; nested tables become a ``reason`` label."""
        for name, value in report.items():
            if isinstance(value, dict):
                for reason, number in value.items():
                    if isinstance(number, int | float):
                        self._of(name, ("reason",)).labels(reason).set(number)
            elif isinstance(value, int | float):
                self._of(name, ()).set(value)

    def _of(self, name: str, labels: tuple[str, ...]) -> Any:
        if name not in self._gauges:
            full = f"tickover_{name}"
            self._gauges[name] = self._gauge(full, f"{name} of the health report", labels, registry=self._registry)
        return self._gauges[name]


def open_metrics(port: int) -> Metrics | None:
    """The metrics, when a port is given and free; a port that is taken is said aloud, and detection goes on without."""
    try:
        return Metrics(port) if port else None
    except OSError as error:
        problem = error.strerror or error
        logger.error(
            "no metrics: out.metrics_port: 127.0.0.1:%d: %s; stop who has it, or choose another", port, problem
        )
        return None
