"""docs/quality.md: every figure of how well tickover detects, by one command that can be interrupted and goes on.

    python tests/bench/quality.py --out FOLDER [--seeds 0 1 2] [--only STEP...] [--processes 2] [--page-only]

A step is one split, seed and measurement; its result lies in FOLDER as JSON, with the commit and a digest of the
code that it hangs on, and is not measured again until that changes (``--keep``: nor then; the page names each commit).
Training is kept in checkpoints, so that other charts, limits or a better judge cost minutes, not hours. Steps that
have not been run are named on the page. The trip ``Messfehler`` (a measuring fault) is left out.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
CODE: Final = ("edge/tickover/core", "edge/tickover/logs", "edge/tickover/model", "export", "train/tickover_train")
"""What results hang on, but for commands and pages."""
APART: Final = ("commands", "pages")
SPLITS: Final = ("mixed", "season")
OF_SPLIT: Final = ("train", "whole", "between", "beside", "legs")
ONCE: Final = ("ideas", "cost", "alternator")
"""Measured with the first seed only."""


class Step(NamedTuple):
    """``name`` is that of a function of ``quality_steps``."""

    name: str
    split: str
    seed: int

    @property
    def file(self) -> str:
        return f"{self.name}-{self.split}-{self.seed}.json"


def steps(seeds: list[int]) -> Iterator[Step]:
    """All steps, in an order in which each finds what it needs."""
    for seed in seeds:
        for split in SPLITS:
            yield from (Step(name, split, seed) for name in OF_SPLIT)
        yield Step("retunes", "season", seed)
        yield Step("skab", "skab", seed)
    yield from (Step(name, "mixed", seeds[0]) for name in ONCE)


def code_digest() -> str:
    """Of the code that figures hang on."""
    sha = hashlib.sha256()
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not set(path.parts) & set(APART):
                sha.update(path.read_bytes())
    return sha.hexdigest()


def commit() -> str:
    """The checked-out commit; empty outside a repository."""
    told = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return told.stdout.strip()


def work(step: Step, data: Path, out: Path, digest: str) -> float:
    """Run one step in a process of its own; its result is written whole or not at all."""
    import quality_steps

    began = time.monotonic()
    folder = out / f"{step.split}-{step.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = getattr(quality_steps, step.name)(quality_steps.Work(step.split, step.seed, data, folder))
    spent = time.monotonic() - began
    part = out / f"{step.file}.part"
    part.write_text(json.dumps({"digest": digest, "commit": commit(), "seconds": spent, "rows": rows}))
    part.replace(out / step.file)
    return spent


def result(step: Step, out: Path) -> dict[str, Any] | None:
    """What a step gave, None when it has not been run."""
    path = out / step.file
    return json.loads(path.read_text()) if path.exists() else None


def is_done(step: Step, out: Path, digest: str, keep: bool) -> bool:
    found = result(step, out)
    return found is not None and (keep or found["digest"] == digest)


def chains(todo: list[Step]) -> list[list[Step]]:
    """Steps that need one another in a row; rows run side by side."""
    rows: dict[tuple[str, int], list[Step]] = {}
    for step in todo:
        rows.setdefault((step.split, step.seed), []).append(step)
    return list(rows.values())


def run_chain(chain: list[Step], data: Path, out: Path, digest: str) -> list[tuple[Step, float]]:
    return [(step, work(step, data, out, digest)) for step in chain]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("TICKOVER_DATA", str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(default), help="the folder that holds kit-obd/ and skab/")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "quality", help="where results lie")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", help="steps by name, or name-split-seed")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="keep results of other code")
    parser.add_argument("--page-only", action="store_true", help="measure nothing; write the page from what is there")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "quality.md")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    digest = code_digest()
    every = list(steps(args.seeds))
    chosen = [s for s in every if not args.only or {s.name, s.file.removesuffix(".json")} & set(args.only)]
    todo = [] if args.page_only else [s for s in chosen if not is_done(s, args.out, digest, args.keep)]
    print(f"{len(every) - len(todo)} of {len(every)} steps need no run", flush=True)
    with ProcessPoolExecutor(args.processes) as pool:
        for future in as_completed(
            [pool.submit(run_chain, chain, args.data, args.out, digest) for chain in chains(todo)]
        ):
            for step, spent in future.result():
                print(f"{step.file}: {spent:.0f} s", flush=True)
    from quality_page import write

    write(args.page, {step: result(step, args.out) for step in every}, args.seeds)
    print(f"page: {args.page}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
