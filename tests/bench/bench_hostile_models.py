"""10,000 mutated model files, half of them sealed again: none may crash, hang or grow the process that opens them."""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parent.parent
MODELS = sorted((TESTS / "models").glob("*.onnx"))
MUTANTS = 10_000
BATCH = 1_000
LIMIT_S = 300


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mutants", type=int, default=MUTANTS)
    options = parser.parse_args()
    path = os.pathsep.join((str(TESTS.parent / "edge"), str(TESTS)))
    figures = {"opened": 0, "loaded": 0, "crashes": 0, "hangs": 0, "slowest_s": 0.0, "peak_mb": 0}
    refused = Counter()
    for number, first in enumerate(range(0, options.mutants, BATCH)):
        model = MODELS[number % len(MODELS)]
        command = [sys.executable, TESTS / "hostile_models.py", model, str(first), str(BATCH)]
        try:
            done = subprocess.run(
                command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, timeout=LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            figures["hangs"] += 1
            print(f"hang of {model.name} at seed {(error.stderr or b'').split()[-1:]}", file=sys.stderr)
            continue
        if done.returncode:
            figures["crashes"] += 1
            print(f"crash of {model.name}: {done.stderr[-2000:].decode()}", file=sys.stderr)
            continue
        summary = json.loads(done.stdout)
        refused.update(summary["refused"])
        figures["opened"] += BATCH
        figures["loaded"] += summary["loaded"]
        for name in ("slowest_s", "peak_mb"):
            figures[name] = max(figures[name], summary[name])
    figures["refused"] = dict(refused.most_common())
    print(json.dumps(figures) if options.json else figures)


if __name__ == "__main__":
    main()
