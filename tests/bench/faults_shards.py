"""A fleet on several daemons, one of which is moved with its state under load: no alert may be lost, none new.

Real daemons on a real Mosquitto: ``--vehicles`` trucks send ``--seconds`` of driving at 1 Hz, ``--speed`` times as
fast. In the middle one daemon ends, its state is exported and imported elsewhere, and a daemon goes on there. Every
alert that a replay gives must arrive, with its id and content.
"""

import argparse
from pathlib import Path

from faults_common import campaign


def run(given: argparse.Namespace, folder: Path) -> dict[str, object]:
    """The figures of one run."""
    from faults import shards

    return shards.run(folder, shards=given.shards, vehicles=given.vehicles, seconds=given.seconds, speed=given.speed)


if __name__ == "__main__":
    campaign(
        __doc__ or "",
        run,
        shards=(4, "daemons"),
        vehicles=(1000, "trucks"),
        seconds=(240, "seconds of driving"),
        speed=(1.0, "times as fast as real; 0: as fast as messages are taken"),
    )
