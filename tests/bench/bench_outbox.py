"""What measuring the link costs on a fast one: stored alerts to a real Mosquitto, with the bound of bytes and without.

Run it with ``python tests/bench/bench_outbox.py``. The ratio is of rates in one run, the runs alternate.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from broker import Broker
from tickover.daemon import flow
from tickover.daemon.outbox import Outbox
from tickover.storage.store import Bounds, Change, Message, Store
from tickover.transports.base import Connected, Published, Session
from tickover.transports.mqtt.link import Link
from tickover.transports.mqtt.settings import Broker as Settings

ALERTS, BYTES, ROUNDS = 3_000, 2_500, 5


def rate(broker: Broker, folder: Path, first: int) -> float:
    """Alerts a second, from the connection to the last acknowledgement."""
    store = Store(folder, Bounds(ALERTS, ALERTS * BYTES * 2, 0.0))
    store.commit(Change(messages=[Message(f"id-{n}", f"alert/{n % 7}", b"x" * BYTES, 1) for n in range(ALERTS)]))
    link = Link(Settings(client_id="bench", port=broker.port))
    outbox = Outbox(store, link, 60.0)
    flow.FIRST, kept = first, flow.FIRST  # type: ignore[misc]
    link.start(Session(("none",)))
    began = 0.0
    while outbox.delivered < ALERTS:
        for event in link.receive(0.05, 1000):
            if isinstance(event, Connected):
                outbox.connected()
                began = time.perf_counter()
            elif isinstance(event, Published):
                outbox.published(event)
        outbox.pump()
    took = time.perf_counter() - began
    flow.FIRST = kept  # type: ignore[misc]
    link.stop(2)
    store.close()
    return ALERTS / took


def main() -> None:
    """Print both rates and their ratio."""
    bounded, free = [], []
    with tempfile.TemporaryDirectory() as folder, Broker(Path(folder) / "broker") as broker:
        for number in range(ROUNDS):
            free.append(rate(broker, Path(folder) / f"free-{number}", flow.MOST))
            bounded.append(rate(broker, Path(folder) / f"bounded-{number}", flow.FIRST))
    one, two = statistics.median(bounded), statistics.median(free)
    print(f"alerts a second: {one:,.0f} with the bound, {two:,.0f} without; ratio {one / two:.2f}")


if __name__ == "__main__":
    main()
