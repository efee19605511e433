"""Power cuts of recorded runs of the store and of the daemon: what was synced is left, and some of the rest."""

import logging
from argparse import Namespace
from pathlib import Path

from faults_common import campaign

ROUNDS = 260


def run(given: Namespace, folder: Path) -> dict:
    from faults.power_cut import cut_daemon, cut_writer, record_daemon, record_writer

    logging.disable()
    figures: dict = {}
    for level in ("FULL", "NORMAL", "OFF"):
        ops = record_writer(folder / level, given.seed, ROUNDS, level)
        figures[f"store, {level}"] = vars(cut_writer(ops, given.seed, ROUNDS, given.cuts, folder / f"cuts-{level}"))
        here = folder / f"daemon-{level}"
        figures[f"daemon, {level}"] = vars(cut_daemon(record_daemon(here, level), given.cuts, here, given.seed))
    for verdict in figures.values():
        verdict.update({name: len(verdict[name]) for name in ("lost", "unreadable")})
    sound = [verdict for name, verdict in figures.items() if name.endswith("FULL")]
    weak = [verdict for name, verdict in figures.items() if name.endswith("OFF")]
    good = not any(v["lost"] or v["unreadable"] for v in sound) and all(v["lost"] for v in weak)
    return {**figures, "good": good}


if __name__ == "__main__":
    campaign(__doc__, run, cuts=(300, "of each run"), seed=(7, "of the moments"))
