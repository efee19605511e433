"""SIGKILL of the daemon at random moments while `tickover play` plays the demo's log through a real Mosquitto."""

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from faults_common import broker_in, campaign


def run(given: Namespace, folder: Path) -> dict:
    from faults.campaigns import kill_daemon
    from faults.gateway import Ear

    with broker_in(folder) as broker:
        ear = Ear(broker)
        kills = kill_daemon(folder, broker, ear, given.kills, given.limit, given.seed, given.window)
        ear.close()
    return {"kills": kills.kills, **asdict(kills.result), "troubles": kills.troubles[:20], "good": kills.result.good}


if __name__ == "__main__":
    campaign(
        __doc__,
        run,
        kills=(1000, "how often"),
        limit=(3600.0, "no more kills after so many seconds"),
        seed=(0, "of the moments"),
        window=(2000, "receive maximum; a small one keeps a backlog waiting at the broker"),
    )
