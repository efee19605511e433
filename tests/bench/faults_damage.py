"""Damaged store files: flips, noise, zeros, truncations of file and write-ahead log; the daemon starts all the same."""

import logging
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from faults_common import campaign


def run(given: Namespace, folder: Path) -> dict:
    from faults.damage import damage

    logging.disable()
    found = damage(folder, given.tries, given.seed)
    return {**asdict(found), "good": found.good}


if __name__ == "__main__":
    campaign(__doc__, run, tries=(500, "how often"), seed=(100, "of the damages"))
