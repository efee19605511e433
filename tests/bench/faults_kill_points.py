"""SIGKILL on entering every write, sync, truncate, unlink and send of a short run of the daemon, one run each."""

import time
from argparse import Namespace
from pathlib import Path

from faults_common import broker_in, campaign


def run(given: Namespace, folder: Path) -> dict:
    from faults.kill_points import KillPoints

    end = time.monotonic() + given.limit
    with broker_in(folder) as broker:
        points = KillPoints(folder, broker)
        counts = points.reference()
        everything = [(call, number) for call in sorted(counts) for number in range(1, counts[call] + 1)]
        done = points.run(everything, given.workers, end)
        points.close()
    return {
        "calls": dict(counts),
        "killed": len(done.results),
        "not reached": len(done.missed),
        "no time": len(everything) - len(done.results) - len(done.missed),
        "again": sum(result.again for result in done.results.values()),
        "bad": {f"{call}:{number}": vars(result) for (call, number), result in done.bad.items()},
        "good": not done.bad,
    }


if __name__ == "__main__":
    campaign(
        __doc__,
        run,
        workers=(3, "runs at once"),
        limit=(3600.0, "no more kills after so many seconds"),
    )
