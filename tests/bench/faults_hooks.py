"""A receiver of alerts that is down for ten minutes, and a page that is killed: each alert once by id, none lost.

A real ``tickover web``, Mosquitto and two HTTP receivers: one refuses connections, hangs and answers 503 for a third of
``--down`` seconds each, the other is well. The page is killed at random moments ``--kills`` times in the outage, and as
often while what waited is handed on. The receivers keep every id that they were sent.
"""

from argparse import Namespace
from pathlib import Path

from faults_common import campaign


def run(given: Namespace, folder: Path) -> dict:
    from faults import hooks

    return hooks.run(folder, down_s=given.down, kills=given.kills, every_s=given.every, seed=given.seed)


if __name__ == "__main__":
    campaign(
        __doc__,
        run,
        down=(600.0, "seconds that one receiver is out of order"),
        kills=(20, "how often the page is killed in the outage, and again after it"),
        every=(0.25, "seconds from an alert to the next"),
        seed=(0, "of the moments of the kills"),
    )
