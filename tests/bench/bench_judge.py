"""The judge's table: trained on 2017 and judged on 2018-02, and a mixed split; three seeds.

    python tests/bench/bench_judge.py [--seeds 0 1 2] [--splits season mixed] [--config FILE] [--json FILE]

Mixed: every other trip by date is trained on, and the rest is judged. The trip ``Messfehler`` (a measuring fault) is in
neither. Limits come from the training trips alone, by cross-validation; what they realised there, out of fold, stands
beside what they realise on the judged trips.
"""

import argparse
import json
import os
import time
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np

from tickover.detector import Detector
from tickover.inspection import propose_mapping
from tickover.model import open_bytes
from tickover_export.graph import build
from tickover_export.package import manifest_of, package
from tickover_train.config import TrainConfig, load_config
from tickover_train.data import load_trips
from tickover_train.judge.study import Study, run
from tickover_train.workshop import finish, fit_folds, new_job

LEFT_OUT = "Messfehler"
SPLITS = ("season", "mixed")


def split(folder: Path, name: str) -> tuple[list[Path], list[Path]]:
    """Logs to train on, logs to judge on."""
    logs = sorted(path for path in folder.glob("*.csv") if LEFT_OUT not in path.name)
    if name == "season":
        return [path for path in logs if path.name < "2018"], [path for path in logs if path.name >= "2018"]
    return logs[::2], logs[1::2]


def train(logs: list[Path], config: TrainConfig) -> Detector:
    """A finished model file, opened."""
    mapping, _ = propose_mapping(logs)
    job = new_job(config, mapping, load_trips(logs, mapping, Counter(), print))
    product = finish(job, fit_folds(job))
    limits = product.limits
    manifest = manifest_of(product.spec, limits.limits, budget=limits.budget, episodes=config.episodes)
    return Detector(open_bytes(package(build(product.weights, product.spec, limits.limits), manifest)))


def judged(folder: Path, name: str, config: TrainConfig) -> dict[str, object]:
    """One split with one seed."""
    from tickover.mapping import mapping_of

    began = time.monotonic()
    learn, test = split(folder, name)
    detector = train(learn, config)
    trained = time.monotonic()
    study = run(detector, load_trips(test, mapping_of(detector.manifest), Counter(), print), config.seed)
    budget = msgspec.to_builtins(detector.manifest.false_alarms)
    seconds = {"train_s": trained - began, "judge_s": time.monotonic() - trained}
    return {"split": name, "seed": config.seed, "out_of_fold": budget} | seconds | figures(study)


def figures(study: Study) -> dict[str, object]:
    keep = ("kept", "ranked", "chance", "in_alarm", "kept_delay_s", "vus_pr")
    table = {}
    for where, verdicts in (("whole", study.whole), ("legs", study.legs)):
        for one in verdicts:
            table[f"{where}, {one.name}"] = {key: getattr(one, key) for key in keep} | {
                "per_hour": [one.false_alarms.per_hour, one.false_alarms.low, one.false_alarms.high]
            }
    return table


def show(results: list[dict]) -> None:
    for name in SPLITS:
        own = [one for one in results if one["split"] == name]
        if not own:
            continue
        print(f"\n{name}, seeds {[one['seed'] for one in own]}")
        for row in (key for key in own[0] if "," in key):
            values = {
                key: np.array([one[row][key] for one in own], float) for key in ("kept", "ranked", "in_alarm", "vus_pr")
            }
            rates = [one[row]["per_hour"] for one in own]
            told = "  ".join(f"{key} {v.mean():.3f} ({v.min():.3f}-{v.max():.3f})" for key, v in values.items())
            alarms = "  ".join(f"{rate:.2f} [{low:.2f}, {high:.2f}]" for rate, low, high in rates)
            print(f"{row:<20} {told}  false/h {alarms}")
        for one in own:
            budget = one["out_of_fold"]
            interval = f"[{budget['low']:.2f}, {budget['high']:.2f}]"
            print(
                f"out of fold, seed {one['seed']}: {budget['realised']:.2f}/h {interval} in {budget['hours']:.1f} h",
                end="",
            )
            print(f"; trained {one['train_s']:.0f} s, judged {one['judge_s']:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("TICKOVER_DATA", str(Path(__file__).resolve().parents[3] / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(default), help="the folder that holds kit-obd/")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=list(SPLITS))
    parser.add_argument("--config", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    config = load_config(args.config)
    results = []
    for name in args.splits:
        for seed in args.seeds:
            results.append(judged(args.data / "kit-obd" / "1hz", name, msgspec.structs.replace(config, seed=seed)))
            show(results[-1:])
    show(results)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
