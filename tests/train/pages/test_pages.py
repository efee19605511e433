"""The pages of ``evaluate`` and ``compare`` in a real browser: nothing is cut off on a desk, little on a phone."""

import html
import json
import re
import subprocess

import pytest

import chromium
from tickover.model.detector import Detector
from tickover_train.data import Trip
from tickover_train.evaluation.study import run
from tickover_train.pages.evaluation import render, render_comparison

pytest.importorskip("torch")
DESK, PHONE = 1100, 400
MEASURE = """<script>onload = () => {
const told = [...document.querySelectorAll("iframe")].map(frame => {
  const page = frame.contentDocument;
  return {
    page: page.documentElement.scrollWidth - frame.clientWidth,
    tables: [...page.querySelectorAll(".scroll")].map(one => one.scrollWidth - one.clientWidth),
    named: [...page.querySelectorAll(".scroll")].every(one => {
      one.scrollLeft = 1000;
      const name = one.querySelector("tbody td").getBoundingClientRect();
      return name.left >= 0 && name.right <= frame.clientWidth;
    }),
  };
});
document.body.innerHTML = "<output>" + JSON.stringify(told) + "</output>";
}</script>"""


@pytest.fixture(scope="module")
def study(model_file, trips):
    named = [Trip(str(number), trip) for number, trip in enumerate(trips)]
    return run(Detector.load(model_file), named, seed=0)


@pytest.fixture(scope="module")
def comparison(study):
    from tickover_train.comparison import (
        ARCHITECTURES,
        CELLS,
        Comparison,
        Entry,
    )

    model = study.whole[0]
    entries = [
        Entry(
            cell=cell,
            arch=arch,
            parameters=123_456,
            train_s=1234.0,
            loss=0.5,
            recall_at_limit=1.0,
            recall_at_rate=1.0,
            false_alarms=model.false_alarms,
            in_alarm=1.0,
            vus_pr=0.1234,
            horizon_s=1234.0,
            tick_us=123.0,
            bytes=1_234_567,
        )
        for arch in ARCHITECTURES
        for cell in CELLS
    ]
    return Comparison(entries, study.whole[1:], study.hours)


@pytest.mark.skipif(chromium.CHROMIUM is None, reason="there is no browser")
def test_tables_fit_a_desk_and_keep_their_names_on_a_phone(study, comparison, tmp_path):
    """How much wider than their room are the page and its tables, and are rows named when scrolled to the end?"""
    pages = [render_comparison(comparison, 40, 8, 0), render(study)]
    frames = [
        f'<iframe style="border:0" width="{width}" height="2000" srcdoc="{html.escape(page)}"></iframe>'
        for width in (DESK, PHONE)
        for page in pages
    ]
    outer = tmp_path / "outer.html"
    outer.write_text(f"<body>{''.join(frames)}{MEASURE}")
    command = chromium.command(
        tmp_path / "profile", outer.as_uri(), size=(1600, 1200), flags=("--virtual-time-budget=4000", "--dump-dom")
    )
    dom = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    told = json.loads(re.search(r"<output>(.*?)</output>", dom, re.DOTALL)[1])
    assert max(one["page"] for one in told) <= 0
    compared, evaluated, _, phone = told
    assert compared["tables"] == [0]
    assert set(evaluated["tables"]) == {0}
    assert phone["tables"][0] == 0, "the kinds of faults fit a phone"
    assert all(one["named"] for one in told)
