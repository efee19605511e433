"""How the daemon is: one report for the health topic, the status command, the log and Prometheus."""

import logging
import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tickover.core.values import SECOND
from tickover.daemon.config import Config
from tickover.daemon.connection import Connection
from tickover.daemon.engine import Engine
from tickover.daemon.outbox import Outbox
from tickover.daemon.promises import promises
from tickover.daemon.uplink import META_UPLINK, Uplink, Use
from tickover.host.clock import now_us
from tickover.host.log_fields import fields
from tickover.messages import remedies
from tickover.messages.notices import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tickover.daemon.bus import LiveBus

logger: Final = logging.getLogger("tickover.daemon.health")

SIGNALS_NAMED: Final = 5
"""The most signals that the notice of late readings names."""
IN_TIME: Final = "readings are in time"
MISSING: Final = "missing"
"""Counts values that no reading filled: nothing was dropped."""
PROMISES: Final = "promises"
PROMISE_NUMBERS: Final = ("budget", "hours", "episodes", "per_hour", "low", "high", "broken")
SIGNALS_SHOWN: Final = 32
"""The most signals in the report."""


def resident_mb() -> float:
    """Resident memory of this process in MB (10^6 bytes); 0 without /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Health:
    """Makes the report, and publishes it with what follows from it: the line of drops, the notice of late readings."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        outbox: Outbox,
        connection: Connection,
        uplink: Uplink,
        buses: "Sequence[LiveBus]" = (),
    ) -> None:
        self._uplink, self._buses = uplink, buses
        self._late_share = config.vehicles.late_share
        self._engine, self._outbox, self._connection = engine, outbox, connection
        self._rates, self._drops = Rates(), Drops()
        self._late: Counter[str] = Counter()
        self._metrics = open_metrics(config.out.metrics_port)

    def report(self) -> dict[str, Any]:
        """Numbers of now; counts are since the start, ``outbox_dropped`` since the store began."""
        now, engine, outbox = now_us(), self._engine, self._outbox
        live, store = engine.live, engine.store
        dropped = engine.intake.counts + engine.fleet.counts
        rows = dropped.pop("rows", 0)
        return {
            "time": now,
            "rows": rows,
            "ticks": live.ticks,
            "last_tick": live.newest or None,
            "lag_s": round(max(0, now - live.newest) / SECOND, 3) if live.newest else None,
            "vehicles": len(engine.fleet.vehicles),
            "dropped": dict(dropped),
            "dropped_by_signal": self._by_signal(),
            "muted": engine.announcer.shelved,
            "rebirths_asked": engine.intake.requester.asked,
            "outbox": store.depth(),
            "outbox_bytes": store.bytes,
            "outbox_dropped": store.dropped,
            "delivered": outbox.delivered,
            **self._uplink.report(),
            "remarks_lost": outbox.lost_remarks,
            "commits": engine.committer.commits,
            "durable": store.durable,
            "connected": self._connection.up,
            "clock_synced": engine.synced,
            "memory_mb": round(resident_mb(), 1),
            **promises(engine.fleet),
            **({"bus": self._buses[0].report()} if self._buses else {}),
            **({"buses": [bus.report() for bus in self._buses]} if len(self._buses) > 1 else {}),
        }

    def _by_signal(self) -> dict[str, dict[str, int]]:
        """Which signals' values were left out: those with most, so that the message stays small."""
        total = self._engine.intake.signal_drops
        for name, counts in self._engine.fleet.signal_counts.items():
            total.setdefault(name, Counter()).update({r: count for r, count in counts.items() if r != MISSING})
        most = sorted(total, key=lambda name: -total[name].total())[:SIGNALS_SHOWN]
        return {name: dict(total[name]) for name in sorted(most) if total[name]}

    def publish(self) -> None:
        """The report, the log's line of drops, and the data-quality notice."""
        report = self.report()
        new, seconds = self._rates.turn(Counter(report["dropped"]) + Counter(rows=report["rows"]))
        rows = new.pop("rows", 0)
        self._drops.log(new)
        bad = rows > 0 and new["late"] > self._late_share * rows
        late = Counter({name: counts["late"] for name, counts in self._engine.fleet.signal_counts.items()})
        self._engine.announcer.say(Kind.DATA_QUALITY, bad, _late_text(late - self._late) if bad else IN_TIME)
        self._late = late
        report["rows_per_s"] = round(rows / seconds, 1)
        body = msgspec.json.encode({**report, "models": self._engine.opened.digests})
        if self._uplink.allows(Use.HEALTH):
            self._outbox.remark(self._engine.topics.health, body)
        if self._uplink.is_capped:  # else nothing hangs on it, and a parked truck would write each minute
            self._engine.committer.change.meta[META_UPLINK] = self._uplink.encode()
        if self._metrics:
            self._metrics.show(report)

    def close(self) -> None:
        """Serve no more metrics."""
        if self._metrics:
            self._metrics.close()


def _late_text(late: Counter[str]) -> str:
    """Names, not numbers: a notice whose text changes is sent again."""
    names = sorted(name for name, _ in late.most_common(SIGNALS_NAMED))
    more = f" and {len(late) - len(names)} more signals" if len(late) > len(names) else ""
    return f"many readings are late, of {', '.join(names)}{more}"


class Rates:
    """What was counted since the last report."""

    def __init__(self) -> None:
        self._before: Counter[str] = Counter()
        self._at = time.monotonic()

    def turn(self, totals: Counter[str]) -> tuple[Counter[str], float]:
        """The counts since the last turn, and in how many seconds; totals never fall."""
        now = time.monotonic()
        new, seconds = totals - self._before, max(now - self._at, 1e-9)
        self._before, self._at = totals.copy(), now
        return new, seconds


class Drops:
    """Logs what was refused or left out: one line for all, and one for each reason when it occurs first."""

    def __init__(self) -> None:
        self._explained: set[str] = set()

    def log(self, new: Counter[str]) -> None:
        """The counts since the last line."""
        dropped = {reason: count for reason, count in sorted(new.items()) if count and reason != MISSING}
        if dropped:
            logger.warning("left out: %s", fields(**dropped))
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
        """Stop serving, and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def show(self, report: dict[str, Any]) -> None:
        """Take the newest report; nested tables become a ``reason`` label, and a ``signal`` label before it."""
        self._show_promises(report.get(PROMISES, {}))
        for name, value in report.items():
            if name == PROMISES:
                continue
            if isinstance(value, dict):
                for key, inner in value.items():
                    if isinstance(inner, int | float):
                        self._of(name, ("reason",)).labels(key).set(inner)
                    elif isinstance(inner, dict):
                        for reason, number in inner.items():
                            self._of(name, ("signal", "reason")).labels(key, reason).set(number)
            elif isinstance(value, int | float):
                self._of(name, ()).set(value)

    def _show_promises(self, promises: dict[str, list[dict[str, Any]]]) -> None:
        """Vehicles that are no longer among the reported ones are shown no longer."""
        for name in PROMISE_NUMBERS:
            gauge = self._of(f"promise_{name}", ("vehicle", "detector"))
            gauge.clear()
            for vehicle, meters in promises.items():
                for meter in meters:
                    gauge.labels(vehicle, meter["detector"]).set(meter[name])

    def _of(self, name: str, labels: tuple[str, ...]) -> Any:
        if name not in self._gauges:
            full = f"tickover_{name}"
            self._gauges[name] = self._gauge(full, f"{name} of the health report", labels, registry=self._registry)
        return self._gauges[name]


def open_metrics(port: int) -> Metrics | None:
    """The metrics, when a port is given and free; a port in use is logged, and detection goes on without metrics."""
    try:
        return Metrics(port) if port else None
    except OSError as error:
        about = fields(address=f"127.0.0.1:{port}", error=error.strerror or error)
        logger.error("no metrics: stop what uses the port, or set out.metrics_port to another %s", about)
        return None
