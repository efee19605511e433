"""SIGKILL of the daemon at random moments while `tickover play` plays the demo's log through a real Mosquitto, and
while it reads a backlog that is longer than a broker has packet ids.
"""

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from faults_common import broker_in, campaign

BACKLOG_KILLS = 10


def run(given: Namespace, folder: Path) -> dict:
    from faults.campaigns import drain_backlog, kill_daemon
    from faults.gateway import Ear

    with broker_in(folder) as broker:
        ear = Ear(broker)
        kills = kill_daemon(folder, broker, ear, given.kills, given.limit, given.seed, given.window)
        backlog = drain_backlog(folder, broker, ear, given.backlog, BACKLOG_KILLS, given.seed, given.window)
        ear.close()
    return {
        "kills": kills.kills,
        **asdict(kills.result),
        "troubles": kills.troubles[:20],
        "backlog": asdict(backlog),
        "good": kills.result.good and backlog.good,
    }


if __name__ == "__main__":
    campaign(
        __doc__,
        run,
        kills=(1000, "how often"),
        limit=(3600.0, "no more kills after so many seconds"),
        seed=(0, "of the moments"),
        backlog=(100_000, "seconds of readings that wait at the broker, for the second part"),
        window=(2000, "receive maximum; a small one keeps a backlog waiting at the broker"),
    )
