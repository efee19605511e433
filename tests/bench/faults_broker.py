"""The broker ends cleanly and starts again, and is killed while alerts are on their way to it."""

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from faults_common import broker_in, campaign


def run(given: Namespace, folder: Path) -> dict:
    from faults.campaigns import kill_broker, restart_broker
    from faults.gateway import Ear

    with broker_in(folder) as broker:
        ear = Ear(broker)
        restarts = restart_broker(folder, broker, ear, given.restarts, patience=120)
        kills = kill_broker(folder, broker, ear, given.kills, patience=120)
        ear.close()
    return {"restarts": asdict(restarts), "kills": asdict(kills), "good": restarts.good and kills.good}


if __name__ == "__main__":
    campaign(__doc__, run, restarts=(50, "clean ends"), kills=(50, "SIGKILLs"))
