"""The report of 24 h at 10 Hz (864,000 ticks, 16 signals): page size, memory, time to gather, first paint in Chromium.

First paint is what Chromium itself says (``performance.getEntriesByType('paint')``), on this machine, offline.
"""

import argparse
import http.server
import json
import os
import queue
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from tickover.manifest import Budget, Chart, Manifest, Network, Signal
from tickover.records import (
    SECOND,
    Alert,
    Contribution,
    EndReason,
    FreezeFrame,
    Phase,
    ScoredTicks,
    Scores,
    Severity,
    TickBlock,
)
from tickover.report import Report

SIGNALS = 16
BANKS = 4
RATE_HZ = 10
TICKS = 24 * 3600 * RATE_HZ
BLOCK = 4096
EPISODE_EVERY = 30_000
EPISODE_TICKS = 2_000
START = 1_772_431_200 * SECOND
PERIOD = SECOND // RATE_HZ
CHROMIUM = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)
PATIENCE_S = 90
SETTLE_MS = 3000
PROBE = """<script>
addEventListener("load", () => {
  const loaded = performance.now();
  const settle = () => {
    const all = document.querySelectorAll(".drawn .main-svg").length;
    if (!all && performance.now() < 60000) return setTimeout(settle, 50);
    const drawn = performance.now();
    setTimeout(() => {
      const paints = performance.getEntriesByType("paint").map((entry) => [entry.name + "_ms", entry.startTime]);
      const requests = performance.getEntriesByType("resource").length;
      navigator.sendBeacon("/figures", JSON.stringify(
        { ...Object.fromEntries(paints), loaded_ms: loaded, first_picture_ms: drawn, requests }));
    }, SETTLE);
  };
  settle();
});
</script>""".replace("SETTLE", str(SETTLE_MS))
"""Tells the server of this script, which alone the probed copy may speak to, what the browser measured."""


def manifest() -> Manifest:
    """16 signals with four charts each, ten ticks a second."""
    signals = tuple(Signal(name=f"signal_{number:02}", unit="kPa") for number in range(SIGNALS))
    return Manifest(
        name="bench",
        signals=signals,
        tick_period_s=1 / RATE_HZ,
        gap_limit_s=30,
        lateness_s=2,
        states=(),
        warm_up_ticks=30,
        charts=tuple(
            Chart(name=f"{signal.name}.{bank}", signal=signal.name, kind="ewma", limit=1.0, bound=8.0, clears_s=9.0)
            for bank in range(BANKS)
            for signal in signals
        ),
        false_alarms=Budget(episodes=1, per_s=3600),
        network=Network(cell="gru", arch="autoencoder", hidden=32, bottleneck=8),
    )


def block(first: int, rng: np.random.Generator) -> ScoredTicks:
    """One block of noisy ticks; every ``EPISODE_EVERY`` ticks an episode."""
    ticks = np.arange(first, min(first + BLOCK, TICKS))
    phase = ticks[:, None] / 3000 + np.arange(SIGNALS)
    expected = 100 + 50 * np.sin(phase)
    values = expected + rng.normal(0, 2, expected.shape)
    is_open = ticks % EPISODE_EVERY < EPISODE_TICKS
    chart = rng.uniform(0.1, 0.6, (len(ticks), SIGNALS * BANKS)).astype(np.float32)
    chart[is_open, 3] += 3
    time_us = START + ticks * PERIOD
    scores = Scores(chart.max(axis=1), chart, expected.astype(np.float32))
    return ScoredTicks(TickBlock("truck", time_us, ticks * 0, values.astype(np.float32)), scores, is_open)


def alerts(scored: ScoredTicks) -> list[Alert]:
    """Start and end of the episodes in a block."""
    found = []
    for time_us in scored.ticks.time.tolist():
        tick = (time_us - START) // PERIOD
        phase = {0: Phase.START, EPISODE_TICKS: Phase.END}.get(tick % EPISODE_EVERY)
        if phase is not None:
            found.append(_alert(tick // EPISODE_EVERY, time_us, phase))
    return found


def _alert(episode: int, time_us: int, phase: Phase) -> Alert:
    blame = Contribution("signal_03", "kPa", "signal_03.0", 3.4, 1.0, "high", 120.0, 101.0)
    ended = phase is Phase.END
    return Alert(
        alert_id=f"{episode}-{phase}",
        episode_id=str(episode),
        vehicle="truck",
        detector="anomaly",
        model_digest="0" * 64,
        phase=phase,
        sequence=0,
        severity=Severity.MAJOR,
        reason=EndReason.RECOVERED if ended else None,
        start=START + episode * EPISODE_EVERY * PERIOD,
        time=time_us,
        end=time_us if ended else None,
        score=3.4,
        peak=3.4,
        signals=(blame,),
        freeze_frame=FreezeFrame((), (), (), (), ()),
        missing=0.0,
    )


def gather() -> tuple[Report, float, int]:
    """The filled report, seconds in ``add``, and how much the resident peak grew in the second half, in KiB."""
    report = Report(manifest(), title="24 h at 10 Hz")
    rng = np.random.default_rng(0)
    spent, half = 0.0, 0
    for first in range(0, TICKS, BLOCK):
        scored = block(first, rng)
        told = alerts(scored)
        began = time.perf_counter()
        report.add(scored, told)
        spent += time.perf_counter() - began
        if first < TICKS // 2:
            half = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return report, spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - half


def probed(page: Path) -> bytes:
    """The page with the probe, allowed to post its figures to its own server."""
    text = page.read_text(encoding="utf-8").replace("</head>", PROBE + "</head>", 1)
    return text.replace("default-src 'none';", "default-src 'none'; connect-src 'self';", 1).encode()


class Server(http.server.ThreadingHTTPServer):
    """Serves the probed page and takes the figures that it posts."""

    def __init__(self, page: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.page = page
        self.figures: queue.Queue[dict[str, float]] = queue.Queue()


class Handler(http.server.BaseHTTPRequestHandler):
    """GET gives the page, POST takes figures."""

    server: Server

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.server.page)))
        self.end_headers()
        self.wfile.write(self.server.page)

    def do_POST(self) -> None:
        self.server.figures.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def paint(page: Path, chromium: str) -> dict[str, float]:
    """What Chromium says of the page, in milliseconds from navigation (real clock)."""
    server = Server(probed(page))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            [chromium, *CHROMIUM, f"--user-data-dir={profile}", f"http://127.0.0.1:{server.server_port}/"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return server.figures.get(timeout=PATIENCE_S)
        finally:
            os.killpg(browser.pid, signal.SIGTERM)
            browser.wait()
            server.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", type=Path, help="write the page here")
    options = parser.parse_args()
    report, spent, growth = gather()
    with tempfile.TemporaryDirectory() as folder:
        page = options.keep or Path(folder) / "report.html"
        began = time.perf_counter()
        report.write(page)
        figures: dict[str, float] = {
            "ticks": TICKS,
            "add_us_per_tick": spent / TICKS * 1e6,
            "write_s": time.perf_counter() - began,
            "page_mb": page.stat().st_size / 1e6,
            "resident_growth_second_half_kib": growth,
        }
        chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if chromium:
            figures |= paint(page, chromium)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:34} {value:,.3f}")


if __name__ == "__main__":
    main()
