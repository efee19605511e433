"""The tables of docs/evaluation.md, on the shipped training defaults: by season, mixed, retuned, and realised budgets.

    python tests/bench/bench_judge.py --out FOLDER [--seeds 0 1 2] [--splits season mixed all] [--processes 2]

- ``season``: trained on 2017, judged on 2018-02; then ``retune`` on the first trips of 2018, without and
  with ``--rescale``, and the old and the two new models judged on the rest of them.
- ``mixed``: every other trip by date is trained on, the rest is judged.
- ``all``: trained on all; the false episodes an hour that calibration realised, out of sample, whole and in legs.

The trip ``Messfehler`` (a measuring fault) is left out. Every step is one ``tickover`` command in a process of its
own with one thread, and is skipped when its result lies in FOLDER: start again after any interruption, and training
resumes from its checkpoint. A row is printed as soon as it is known, then the tables. Most of the time is training: 4
folds, about 7 CPU minutes for ``mixed``, 8 for ``season`` and 13 for ``all``, for each seed.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tickover.logs.mapping import mapping_of
from tickover.model.detector import Detector
from tickover_train.data import load_trips
from tickover_train.evaluation.baselines import beside
from tickover_train.evaluation.bench import bench_of
from tickover_train.evaluation.faults import KINDS
from tickover_train.evaluation.habits import habits_of
from tickover_train.evaluation.judge import judge

LEFT_OUT = "Messfehler"
SPLITS = ("season", "mixed", "all")
RETUNED_ON = 6
"""Trips of 2018, the first by date, that the season's model is retuned on."""
Row = dict[str, Any]
FAULTS_SEED = 0
"""Every model meets the same faults: the spread over seeds is the training's."""
FIGURES = ("recall_at_limit", "recall_at_rate", "chance", "in_alarm", "vus_pr")


@dataclass(frozen=True)
class Work:
    """One split with one seed, and its folder."""

    split: str
    seed: int
    folder: Path

    def path(self, name: str) -> Path:
        """A result's place; its folder is made."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / name

    def step(self, result: str, command: str, *arguments: object) -> Path:
        """Run ``tickover COMMAND`` unless ``result`` is there; ``{}`` in the arguments stands for it."""
        path = self.path(result)
        if not path.exists():
            words = [str(path) if word == "{}" else str(word) for word in arguments]
            told = subprocess.run(
                [sys.executable, "-m", "tickover", command, *words],
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
            )
            self.path(f"{path.name}.log").write_text(told.stdout + told.stderr)
            if told.returncode:
                raise RuntimeError(f"{self.split}, seed {self.seed}: tickover {command} failed:\n{told.stderr[-2000:]}")
        return path


def logs_of(folder: Path, split: str) -> tuple[list[Path], list[Path]]:
    """Logs to train on, logs to judge on."""
    logs = sorted(path for path in folder.glob("*.csv") if LEFT_OUT not in path.name)
    if split == "season":
        return [path for path in logs if path.name < "2018"], [path for path in logs if path.name >= "2018"]
    return (logs[::2], logs[1::2]) if split == "mixed" else (logs, [])


def work(one: Work, folder: Path) -> list[Row]:
    """Train, export and judge; the rows that come of it."""
    learn, test = logs_of(folder, one.split)
    run = one.path("run")
    resume = ["--resume"] if list(run.glob("checkpoint/fold-*.json")) else []
    one.step("run/run.json", "train", *learn, "--seed", one.seed, "--out", run, *resume)
    promised = promises(one, run)
    if not test:
        return promised
    model = one.step("model.onnx", "export", run, "--out", "{}")
    rows = [*judged(one, "judged", model, test), *learnt_alike(one, model, learn, test), *promised]
    if one.split == "season":
        first, rest = test[:RETUNED_ON], test[RETUNED_ON:]
        retuned = one.step("retuned.onnx", "retune", model, "--clean", *first, "--out", "{}")
        rescaled = one.step("rescaled.onnx", "retune", model, "--clean", *first, "--rescale", "--out", "{}")
        for what, which in (("rest", model), ("rest, retuned", retuned), ("rest, rescaled", rescaled)):
            rows += judged(one, what, which, rest)
    return rows


def promises(one: Work, run: Path) -> list[Row]:
    """The rate that calibration realised, out of sample, on whole trips and in legs."""
    budget = json.loads((run / "run.json").read_bytes())["budget"]
    where = {"unseen, out of fold": budget, "unseen, out of fold, legs": budget["legs"]}
    return [head(one, what) | {"promise": promise} for what, promise in where.items()]


def learnt_alike(one: Work, model: Path, learn: list[Path], test: list[Path]) -> list[Row]:
    """The peers fitted on the model's own training trips; in the study they learn from the judged ones."""
    manifest = Detector.load(model).manifest
    learnt, trips = ([t.values for t in load_trips(p, mapping_of(manifest), Counter(), print)] for p in (learn, test))
    habits, period, budget = habits_of(trips), manifest.tick_period_s, manifest.false_alarms.per_hour
    bench = bench_of(trips, manifest.signals, habits, period, FAULTS_SEED, list(KINDS), Counter())
    peers = beside(bench, budget, FAULTS_SEED, learnt)[:2]
    return [
        row_of(
            one, f"judged, whole, {peer.name} of the training trips", msgspec.to_builtins(judge(peer, bench, budget))
        )
        for peer in peers
    ]


def head(one: Work, what: str) -> Row:
    return {"split": one.split, "seed": one.seed, "what": what}


def judged(one: Work, what: str, model: Path, logs: list[Path]) -> list[Row]:
    """The rows of one ``evaluate``: each scorer, on whole trips and in legs."""
    name = what.replace(", ", "-")
    page = one.path(f"{name}.html")
    path = one.step(
        f"{name}.json", "evaluate", model, "--clean", *logs, "--seed", FAULTS_SEED, "--json", "{}", "--page", page
    )
    study = json.loads(path.read_bytes())
    return [
        row_of(one, f"{what}, {where}, {verdict['name']}", verdict)
        for where in ("whole", "legs")
        for verdict in study[where]
    ]


def row_of(one: Work, what: str, verdict: Row) -> Row:
    return head(one, what) | {key: verdict[key] for key in FIGURES} | {"rate": verdict["false_alarms"]}


def told(row: Row) -> str:
    """One row on one line."""
    start = f"{row['split']:<7} seed {row['seed']}  {row['what']:<28}"
    if "promise" in row:
        return f"{start} {interval(row['promise'], 'realised')} in {row['promise']['hours']:.1f} h"
    return (
        start + "".join(f" {key} {row[key]:.3f}" for key in FIGURES) + f"  false/h {interval(row['rate'], 'per_hour')}"
    )


def interval(rate: dict[str, float], key: str) -> str:
    return f"{rate[key]:.2f} [{rate['low']:.2f}, {rate['high']:.2f}]"


def tables(rows: list[Row]) -> Iterator[str]:
    """Markdown: for each split and scorer the mean over seeds with the spread, and each seed's rate."""
    for split in SPLITS:
        own = sorted((row for row in rows if row["split"] == split), key=lambda row: row["seed"])
        if not own:
            continue
        seeds = sorted({row["seed"] for row in own})
        yield f"\n{split}, seeds {', '.join(map(str, seeds))}: mean (least to most); false episodes/h of each seed\n"
        yield "| | " + " | ".join(FIGURES) + " | false/h [95 %] |\n|---" + "|---" * (len(FIGURES) + 1) + "|"
        for what in dict.fromkeys(row["what"] for row in own):
            yield line(what, [row for row in own if row["what"] == what])


def line(what: str, rows: list[Row]) -> str:
    if "promise" in rows[0]:
        return f"| {what} |" + " |" * len(FIGURES) + f" {'; '.join(interval(r['promise'], 'realised') for r in rows)} |"
    cells = [spread([row[key] for row in rows]) for key in FIGURES]
    return f"| {what} | {' | '.join(cells)} | {'; '.join(interval(row['rate'], 'per_hour') for row in rows)} |"


def spread(values: Iterable[float]) -> str:
    array = np.array(list(values), float)
    return f"{array.mean():.2f} ({array.min():.2f} to {array.max():.2f})" if np.ptp(array) else f"{array[0]:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("TICKOVER_DATA", str(Path(__file__).resolve().parents[3] / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(default), help="the folder that holds kit-obd/")
    parser.add_argument("--out", type=Path, required=True, help="where results lie; what is there is not made again")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=list(SPLITS))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    jobs = [Work(split, seed, args.out / f"{split}-{seed}") for seed in args.seeds for split in args.splits]
    rows: list[Row] = []
    with ThreadPoolExecutor(args.processes) as pool:
        for future in as_completed([pool.submit(work, job, args.data / "kit-obd" / "1hz") for job in jobs]):
            rows += future.result()
            print("\n".join(told(row) for row in future.result()), flush=True)
    print("\n".join(tables(rows)))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
