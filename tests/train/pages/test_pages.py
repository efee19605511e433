"""The workshop's pages in a real browser: nothing is cut off on a desk, little on a phone; and what each may load."""

import html
import json
import re
import subprocess
from dataclasses import replace

import jinja2
import pytest

import chromium
from tickover.core.manifest import ARCHITECTURES, CELLS
from tickover.model.detector import Detector
from tickover_train.comparison import Comparison, Entry
from tickover_train.evaluation.study import run
from tickover_train.fitting.horizon import horizons
from tickover_train.pages import comparison as comparison_page
from tickover_train.pages import evaluation as evaluation_page
from tickover_train.pages import training as training_page
from tickover_train.pages.template import fill
from tickover_train.pipeline import finish, fit_folds, new_job
from tickover_train.trips import Trip
from train import trips as made_up

DESK, PHONE = 1100, 400
MEASURE = """<script>onload = () => {
const told = [...document.querySelectorAll("iframe")].map(frame => {
  const page = frame.contentDocument;
  return {
    page: page.documentElement.scrollWidth - frame.clientWidth,
    tables: [...page.querySelectorAll(".scroll")].map(one => one.scrollWidth - one.clientWidth),
    drawn: [...page.querySelectorAll(".main-svg")].every(
      one => one.getBoundingClientRect().right <= frame.clientWidth && one.getBoundingClientRect().width > 100),
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


@pytest.fixture(scope="module")
def training_run():
    """The page of a small training run."""
    job = new_job(made_up.tiny(epochs=1), made_up.MAPPING, made_up.trips(3))
    product = finish(job, fit_folds(job))
    return training_page.render(job, product, horizons(product.network, job.normalised, 0))


@pytest.mark.skipif(chromium.CHROMIUM is None, reason="there is no browser")
def test_tables_fit_a_desk_and_keep_their_names_on_a_phone(study, comparison, training_run, tmp_path):
    """How much wider than their room are the page and its tables, and are rows named when scrolled to the end?"""
    pages = [comparison_page.render(comparison, 40, 8, 0), evaluation_page.render(study), training_run]
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
    compared, evaluated, trained, _, phone, _ = told
    assert compared["tables"] == [0]
    assert set(evaluated["tables"]) == {0}
    assert trained["tables"] == [0], "on a phone the table of limits, a column a bank, is scrolled"
    assert phone["tables"][0] == 0, "the kinds of faults fit a phone"
    assert all(one["named"] and one["drawn"] for one in told)


def test_a_page_loads_nothing_and_runs_only_what_it_brings(study, comparison, training_run):
    without_script = [comparison_page.render(comparison, 40, 8, 0), evaluation_page.render(study)]
    for page in without_script:
        assert "content=\"default-src 'none'; style-src 'unsafe-inline'\"" in page
        assert "<script" not in page
    assert "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'" in training_run


def test_what_a_page_is_given_is_escaped_and_may_not_be_missing(study):
    hostile = replace(study, model="<script>alert(1)</script>")
    assert "<script" not in evaluation_page.render(hostile)
    with pytest.raises(jinja2.UndefinedError):
        fill("evaluation.html.j2", study=study)
