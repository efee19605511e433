"""Shared by the long fault campaigns: the import path, a broker, and figures as text or JSON."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS.parent / "edge")]

MEMORY = Path("/dev/shm")


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder in memory where there is one."""
    with tempfile.TemporaryDirectory(prefix="tickover-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)


@contextmanager
def broker_in(folder: Path):
    """A running Mosquitto."""
    from broker import Broker

    broker = Broker(folder / "broker").start()
    try:
        yield broker
    finally:
        broker.kill()


def campaign(about: str, run: Callable[[argparse.Namespace, Path], dict], **options: tuple[float, str]) -> None:
    """Parse ``--name N`` for each option, run, print; exit 1 unless the figures say ``good``."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", action="store_true", help="print JSON")
    for name, (default, text) in options.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"{text} (default {default})")
    given = parser.parse_args()
    begin = time.monotonic()
    with quick_folder() as folder:
        figures = {**run(given, folder), "seconds": round(time.monotonic() - begin, 1)}
    print(json.dumps(figures) if given.json else "\n".join(f"{name}: {value}" for name, value in figures.items()))
    sys.exit(not figures["good"])
