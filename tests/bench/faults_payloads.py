"""Structured payload mutants through the real decoders and the intake, in several processes."""

from argparse import Namespace
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from faults_common import campaign

PART = 50_000


def one(seed: int):
    from faults.fuzz import fuzz

    return fuzz(PART, seed)


def run(given: Namespace, _: Path) -> dict:
    with ProcessPoolExecutor(given.processes) as pool:
        parts = list(pool.map(one, range(given.seed, given.seed + -(-given.mutants // PART))))
    return {
        "mutants": sum(part.mutants for part in parts),
        "rows taken": sum(part.rows for part in parts),
        "refused or left out": dict(sum((part.reasons for part in parts), Counter()).most_common()),
        "crashes": [text for part in parts for text in part.crashes][:10],
        "not finite": [text for part in parts for text in part.unsafe][:10],
        "good": all(part.good for part in parts),
    }


if __name__ == "__main__":
    campaign(
        __doc__,
        run,
        mutants=(5_000_000, "how many"),
        processes=(4, "at once"),
        seed=(1000, "of the first part"),
    )
