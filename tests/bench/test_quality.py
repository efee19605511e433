"""The page of figures says what was measured and what was not; results are made again when the code has changed."""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import quality
import quality_page

SEEDS = [0, 1]


def judged(name, what, recall, per_hour, low, high):
    """A verdict as the steps store it."""
    allowed = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    return {
        "name": name,
        "what": what,
        "recall_at_limit": recall,
        "chance": 0.05,
        "in_alarm": 0.02,
        "delay_at_limit_s": 30.0,
        "delay_at_rate_s": 25.0,
        "vus_pr": 0.5,
        "false_alarms": {"per_hour": per_hour, "low": low, "high": high},
        "curve": [{"allowed": one, "recall": recall * (0.5 + 0.05 * np.log10(one * 10))} for one in allowed],
        "cells": [{"kind": kind, "recall_at_rate": recall, "delay_at_rate_s": 12.0} for kind in ("bias", "drift")],
        "signals": [{"signal": "speed", "recall_at_rate": recall}],
    }


def results():
    found = dict.fromkeys(quality.steps(SEEDS))
    rows = {
        quality.Step("whole", "mixed", 0): [
            judged("model", "1/h", 0.7, 1.0, 0.6, 1.5),
            judged("model", "1/10h", 0.5, 0.04, 0.001, 0.24),
            judged("model, vehicles fresh", "1/h, vehicles fresh", 0.6, 1.1, 0.7, 1.6),
        ],
        quality.Step("whole", "mixed", 1): [judged("model", "1/h", 0.8, 2.9, 2.1, 3.9)],
        quality.Step("beside", "mixed", 0): [
            judged("mahalanobis", "whole", 0.45, 0.2, 0.1, 0.5),
            judged("pca residual", "whole", 0.3, 1.0, 0.6, 1.5),
            judged("always on", "whole", 0.99, 9.0, 8.0, 9.5),
        ],
    }
    for step, own in rows.items():
        found[step] = {"digest": "d", "commit": "abc1234", "seconds": 12.0, "rows": own}
    return found


def test_the_page_says_what_was_measured_and_what_was_not(tmp_path):
    page = tmp_path / "quality.md"
    quality_page.write(page, results(), SEEDS)
    text = page.read_text()
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in text.splitlines() if line.startswith("| ")}
    assert "0.41 (0.39 to 0.44) / not run yet / 0.25 |" in lines["mixed, recall at ≤ 1, 0.2, 0.1 false episodes/h"]
    hourly = lines["mixed, limits for 1/h: recall; false episodes/h; kept"]
    assert "0.75 (0.70 to 0.80); 1.00 [0.60, 1.50]; 2.90 [2.10, 3.90]; yes; broken" in hourly
    assert "; yes |  | 0 |" in lines["mixed, limits for 1/10h: recall; false episodes/h; kept"], (
        "0.24 is within 3 x 0.1"
    )
    delay = lines["median delay at 1/h, s"]
    assert delay.endswith("| 25 (25 to 25) | 25 | 0, 1 |")
    assert "0.25" in lines["mixed, recall at ≤ 1, 0.2, 0.1 false episodes/h"].split("|")[5], "the peer, and no floor"
    assert quality_page.NOT_RUN in lines["season, time in alarm"]
    assert quality_page.NOT_RUN in lines["SKAB, one configuration: F1; FAR %; VUS-PR"]
    assert "abc1234" in text
    assert "![recall by signal](quality/signals.svg)" in text
    assert (tmp_path / "quality" / "curves.svg").stat().st_size > 1000
    assert not (tmp_path / "quality" / "ideas.svg").exists()
    assert "*recall of each idea: not run yet*" in text


def test_results_of_other_code_are_made_again_unless_kept(tmp_path):
    step = quality.Step("whole", "mixed", 0)
    assert not quality.is_done(step, tmp_path, "now", keep=True), "nothing there"
    (tmp_path / step.file).write_text(json.dumps({"digest": "before", "rows": []}))
    assert not quality.is_done(step, tmp_path, "now", keep=False)
    assert quality.is_done(step, tmp_path, "now", keep=True)
    assert quality.is_done(step, tmp_path, "before", keep=False)


def test_steps_that_need_one_another_run_in_a_row():
    every = list(quality.steps([0, 1, 2]))
    assert len(set(every)) == len(every)
    rows = quality.chains(every)
    assert sum(map(len, rows)) == len(every)
    for row in rows:
        assert len({(step.split, step.seed) for step in row}) == 1
        if row[0].split != "skab":
            assert row[0].name == "train"
