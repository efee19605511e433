"""The page of a fleet: alert to browser, first paint of 10,000 trucks, and the server's memory over many alerts.

    python tests/bench/bench_web.py [--alerts N] [--part live|memory]

The browser and the broker are real; the memory is that of a process that takes messages as the server does, with its
history on disk. 10 % of the alerts are a warm-up: the history's tables and SQLite's cache fill.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

import web_fleet as fleet  # noqa: E402
from broker import Broker, wait_until  # noqa: E402
from chromium import CHROMIUM  # noqa: E402
from tickover.core.values import SECOND, Phase  # noqa: E402
from tickover.host.clock import now_us  # noqa: E402
from web_process import Publisher, WebProcess  # noqa: E402

TRUCKS = 10_000
ALERTS = 100_000
SHOTS = 20
REAL = 1_000_000
"""The alerts that the history keeps."""
EPISODE = 4
"""Alerts of one episode."""
FIRST_ROW = """() => new Promise((done) => {
  const look = () => (document.querySelector(".spacer .row") ? done(performance.now()) : requestAnimationFrame(look));
  look();
})"""


def live() -> dict[str, object]:
    """A page over 10,000 trucks: first paint and first row, then alerts one by one."""
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as folder,
        Broker(Path(folder) / "broker") as broker,
        sync_playwright() as driver,
    ):
        web = WebProcess(broker, Path(folder) / "state").start()
        publisher = Publisher(broker)
        for number in range(TRUCKS):
            publisher.send(f"truck-{number:05}", "score", fleet.score(number / TRUCKS / 2))
        wait_until(lambda: len(web.get("/api/fleet")["rows"]) == TRUCKS, 60, "all trucks are known")
        size = len(urllib.request.urlopen(f"{web.url}/api/fleet").read())
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        paints, rows = [], []
        for _ in range(5):
            page = browser.new_context().new_page()
            page.goto(web.url)
            rows.append(page.evaluate(FIRST_ROW))
            paints.append(page.evaluate("performance.getEntriesByType('paint').at(-1).startTime"))
        waits = []
        for number in range(SHOTS):
            name = f"truck-{TRUCKS - 1 - number:05}"  # from the end of the list to its top
            time.sleep(1.0)
            began = time.perf_counter()
            at = now_us()
            publisher.send(name, "alert/anomaly", fleet.event(name, Phase.START, at, start=at, peak=5.0))
            page.locator(".row", has_text=name).locator(".severity.critical").wait_for()
            waits.append(1000 * (time.perf_counter() - began))
        browser.close()
        rss = resident_mb(web.process.pid)  # type: ignore[union-attr]
        web.kill()
    return {
        "trucks": TRUCKS,
        "list_bytes": size,
        "first_paint_ms": round(statistics.median(paints)),
        "first_row_ms": round(statistics.median(rows)),
        "first_row_worst_ms": round(max(rows)),
        "alert_to_browser_ms": round(statistics.median(waits)),
        "alert_to_browser_worst_ms": round(max(waits)),
        "server_mb": rss,
    }


def resident_mb(pid: int) -> float:
    """Resident memory of a process, 10^6 bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / 1e6, 1)


def memory(alerts: int) -> dict[str, object]:
    """The same of a process of its own."""
    command = [sys.executable, __file__, "--part", "take", "--alerts", str(alerts)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def take(alerts: int) -> dict[str, object]:
    """Take alerts as the server does, and watch the memory; episodes of 1,000 trucks, four alerts each."""
    import os

    from tickover.storage.history import MOST_ALERTS, MOST_EPISODES, History
    from tickover.web.desk import Desk
    from tickover.web.fleet import Fleet

    with tempfile.TemporaryDirectory() as folder:
        # With fewer alerts the history's own bounds shrink alike, so that it is pruned for most of the run.
        scale = min(1.0, alerts / REAL / 4)
        history = History(Path(folder), {"episodes": int(MOST_EPISODES * scale), "alerts": int(MOST_ALERTS * scale)})
        desk = Desk(history, "tickover", Fleet())
        desk.connected("bench")
        began, points = time.perf_counter(), []
        for number in range(alerts):
            episode, step = divmod(number, EPISODE)
            start = fleet.T0 + episode * SECOND
            phase = (Phase.START, *[Phase.UPDATE] * (EPISODE - 2), Phase.END)[step]
            name = f"truck-{episode % 1000}"
            body = fleet.event(name, phase, start + step * SECOND, start=start, sequence=step)
            desk.take(f"tickover/v1/{name}/alert/anomaly", body)
            if number % 100 == 99:
                desk.settle()
            if number * 10 % alerts == 0 and number:
                points.append(resident_mb(os.getpid()))
                print(f"{number:,} alerts: {points[-1]} MB", file=sys.stderr)
        desk.settle()
        seconds = time.perf_counter() - began
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
        history.close()
    return {
        "alerts": alerts,
        "memory_mb_at_each_tenth": points,
        "growth_after_warm_up_mb": round(points[-1] - points[0], 1),
        "history_mb": round(size / 1e6),
        "alerts_per_s_with_making_them": round(alerts / seconds),
    }


def main() -> None:
    """Print figures as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--alerts", type=int, default=ALERTS)
    parser.add_argument("--part", choices=("live", "memory", "take"))
    options = parser.parse_args()
    if options.part == "take":
        print(json.dumps(take(options.alerts)))
        return
    figures: dict[str, object] = {}
    if options.part in (None, "live"):
        figures |= live()
    if options.part in (None, "memory"):
        figures |= memory(options.alerts)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
