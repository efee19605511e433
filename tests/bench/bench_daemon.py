"""What the daemon writes and holds: bytes a day for 1 and 1,000 vehicles at 1 Hz, journal against whole states; memory.

Run: python tests/bench/bench_daemon.py [--json]. The committer's policy is played with a simulated clock: messages are
grouped as they would be committed, against the real store on a real file; bytes are those that reach the file
system (``write_bytes`` of /proc/self/io, 4 KiB pages) and those that were asked for (``wchar``).
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2] / "edge")]

from tickover.core.arrivals import DEFAULT_WINDOW  # noqa: E402
from tickover.core.pipeline import Pipeline  # noqa: E402
from tickover.core.values import SECOND  # noqa: E402
from tickover.daemon import events  # noqa: E402
from tickover.daemon.committer import JOURNAL_FACTOR, JOURNAL_LEAST  # noqa: E402
from tickover.daemon.config import State  # noqa: E402
from tickover.daemon.events import Entry, rows_of  # noqa: E402
from tickover.daemon.fleet import Fleet  # noqa: E402
from tickover.daemon.recovery import page_name  # noqa: E402
from tickover.model.detector import Detector  # noqa: E402
from tickover.storage.store import Change, Store  # noqa: E402
from tickover.transports.base import Received  # noqa: E402
from tickover.transports.mqtt.dedup import IDS, Delivery, PacketIds  # noqa: E402

MODEL = Path(__file__).resolve().parents[1] / "models" / "gru_autoencoder.onnx"
DAY_S = 86_400
CHECKPOINT_S = State(folder="").checkpoint_s


def written() -> tuple[int, int]:
    """Bytes asked for, and bytes that reached the file system, since the process began."""
    pairs = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(pairs["wchar"]), int(pairs["write_bytes"])


def play(
    vehicles: int, seconds: int, every_s: float, whole_states: bool, window: int = DEFAULT_WINDOW
) -> dict[str, float]:
    """Bytes a day, and CPU, when each vehicle sends a row a second and commits come every ``every_s``.

    ``window``: how long a repeat is known, microseconds; 0: not.
    """
    detector = Detector.load(MODEL)
    names = detector.manifest.names
    fleet = Fleet({"anomaly": Pipeline(detector)}, names, None, 0, window)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        before, journal, checkpoint_size, checkpoint_at = written(), 0, 0, CHECKPOINT_S
        commits = messages = 0
        cpu = time.process_time()
        deduplication = PacketIds()
        for first in np.arange(0.0, seconds, every_s):
            stamps = [round((1.7e9 + first + step) * 1e6) for step in range(max(1, round(every_s)))]
            share = vehicles if every_s >= 1 else round(vehicles * every_s)
            batch = []
            for number in range(share):
                values = np.round(random.normal((27.0, 49.0, 39.0), 3.0, (len(stamps), 3)), 2)
                batch.append(
                    rows_of(f"truck-{number + round(first / every_s) * share % vehicles}", stamps, values.tolist())
                )
            for event in batch:
                fleet.apply(event)
            fleet.pump()
            commits += 1
            if whole_states:
                store.commit(Change(states={event.vehicle: fleet.state(event.vehicle) for event in batch}))
                continue
            for _ in range(len(stamps) * share):
                messages += 1
                token = Delivery(1, messages, messages % (IDS - 1) + 1, 1)
                deduplication.note(Received("t", str(messages).encode(), 0, token))
            body = events.encode(Entry(names, list(batch), deduplication.new()))
            journal += len(body)
            change = Change(journal=body)
            if journal > max(JOURNAL_LEAST, JOURNAL_FACTOR * checkpoint_size) or first >= checkpoint_at:
                change.states = {name: fleet.state(name) for name in fleet.vehicles}
                change.meta |= deduplication.pages(False)
                for name in fleet.vehicles:
                    pages = fleet.pages(name, everything=False)
                    change.meta |= {page_name(name, number): body for number, body in pages.items()}
                change.forget_journal = True
                checkpoint_size = sum(map(len, [*change.states.values(), *change.meta.values()]))
                journal, checkpoint_at = 0, first + CHECKPOINT_S
            store.commit(change)
        cpu = time.process_time() - cpu
        store.close()
        after = written()
        state = len(fleet.state(fleet.vehicles[0]))
    scale = DAY_S / seconds / 1e9
    return {
        "commits": commits,
        "asked_gb_a_day": (after[0] - before[0]) * scale,
        "written_gb_a_day": (after[1] - before[1]) * scale,
        "state_bytes": state,
        "cpu_us_a_row": cpu / vehicles / seconds * 1e6,
    }


def recovery_s(vehicles: int, seconds: int) -> float:
    """How long it takes to run a journal of so much driving again."""
    detector = Detector.load(MODEL)
    names = detector.manifest.names
    fleet = Fleet({"anomaly": Pipeline(detector)}, names, None, 0)
    values = np.full((5, 3), 40.0).tolist()
    start = time.perf_counter()
    for first in range(0, seconds, 5):
        stamps = [(1_700_000_000 + first + step) * 1_000_000 for step in range(5)]
        for number in range(vehicles):
            fleet.apply(rows_of(f"truck-{number}", stamps, values))
        fleet.pump()
    return time.perf_counter() - start


def main() -> None:
    results: dict[str, object] = {}
    for window in (0, DEFAULT_WINDOW):
        name = f"100 vehicles, commit every 1 s, journal, window {window // SECOND} s"
        results[name] = figures = play(100, 1800, 1.0, False, window)
        print(f"{name:58} {figures['written_gb_a_day']:8.3f} GB a day written, {figures['cpu_us_a_row']:.0f} us a row")
    for vehicles, seconds, every in ((1, 7200, 5.0), (1, 3600, 1.0), (1000, 600, 1.0)):
        for whole in (False, True):
            name = f"{vehicles} vehicles, commit every {every:g} s, {'whole states' if whole else 'journal'}"
            results[name] = figures = play(vehicles, seconds if not whole else seconds // 4, every, whole)
            print(
                f"{name:58} {figures['written_gb_a_day']:8.3f} GB a day written "
                f"({figures['asked_gb_a_day']:.3f} asked for)"
            )
    results["recovery of 1,000 vehicles x 300 s"] = seconds_taken = recovery_s(1000, 300)
    print(f"recovery of 1,000 vehicles x 300 s of journal: {seconds_taken:.1f} s")
    if "--json" in sys.argv:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
