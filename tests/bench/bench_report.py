"""The report of 24 h at 10 Hz (864,000 ticks, 16 signals): page size, memory, time to gather, first paint in Chromium.

First paint is what Chromium itself says (``performance.getEntriesByType('paint')``), on this machine, offline.
"""

import argparse
import http.server
import json
import os
import queue
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

import chromium  # noqa: E402
from reported import START, alert, manifest  # noqa: E402
from tickover.core.values import (  # noqa: E402
    SECOND,
    Alert,
    Contribution,
    Phase,
    ScoredTicks,
    Scores,
    TickBlock,
)
from tickover.report import Report  # noqa: E402

SIGNALS = 16
BANKS = 4
RATE_HZ = 10
TICKS = 24 * 3600 * RATE_HZ
BLOCK = 4096
EPISODE_EVERY = 30_000
EPISODE_TICKS = 2_000
PERIOD = SECOND // RATE_HZ
WINDOW = (1280, 900)
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
    part = Contribution("signal_03", "kPa", "signal_03.0", 3.4, 1.0, "high", 120.0, 101.0)
    found = []
    for time_us in scored.ticks.time.tolist():
        tick = (time_us - START) // PERIOD
        phase = {0: Phase.START, EPISODE_TICKS: Phase.END}.get(tick % EPISODE_EVERY)
        if phase is not None:
            number = tick // EPISODE_EVERY
            start = START + number * EPISODE_EVERY * PERIOD
            found.append(alert(phase, part, vehicle="truck", number=number, start=start, time=time_us, peak=3.4))
    return found


def gather() -> tuple[Report, float, int]:
    """The filled report, seconds in ``add``, and how much the resident peak grew in the second half, in KiB."""
    names = [f"signal_{number:02}" for number in range(SIGNALS)]
    banks = [str(bank) for bank in range(BANKS)]
    report = Report(manifest(names, banks, tick_period_s=1 / RATE_HZ), title="24 h at 10 Hz")
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


def paint(page: Path) -> dict[str, float]:
    """What Chromium says of the page, in milliseconds from navigation (real clock)."""
    server = Server(probed(page))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            chromium.command(profile, f"http://127.0.0.1:{server.server_port}/", size=WINDOW),
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
        if chromium.CHROMIUM:
            figures |= paint(page)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:34} {value:,.3f}")


if __name__ == "__main__":
    main()
