"""The protocol: spans equal whole runs, floors and oracles get the figures they deserve, the command works."""

import html
import json
from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner

from tickover.model.detector import Detector
from tickover_train.calibration.legs import cut_legs
from tickover_train.calibration.limits import score
from tickover_train.calibration.scoring import chart_trips
from tickover_train.commands.evaluate import evaluate
from tickover_train.data import Trip
from tickover_train.evaluation.baselines import FLOORS, FloorScorer, PcaScorer
from tickover_train.evaluation.bench import set_up
from tickover_train.evaluation.faults import KINDS
from tickover_train.evaluation.habits import habits_of
from tickover_train.evaluation.injection import inject, plan
from tickover_train.evaluation.judge import judge
from tickover_train.evaluation.scorers import ModelScorer, Track
from tickover_train.evaluation.study import run
from tickover_train.evaluation.sweep import Sweep
from tickover_train.pages.evaluation import render


@pytest.fixture(scope="module")
def bench(model_file, trips):
    signals = Detector.load(model_file).manifest.signals
    habits = habits_of(trips)
    planned = plan([len(trip) for trip in trips], habits, 1.0, 0, KINDS, Counter())
    return set_up(trips, planned, signals, habits, 1.0, Counter())


def test_a_span_scores_and_alarms_as_the_whole_faulty_trip_would(model_file, bench, trips):
    scorer = ModelScorer(Detector.load(model_file))
    scorer.clean(bench.trips, bench.marks)
    tracks = scorer.spans(bench.spans)
    for number in range(0, len(bench.spans), 9):
        span = bench.spans[number]
        whole = [trip.copy() for trip in trips]
        part = slice(span.start, span.start + len(span.values))
        whole[span.trip][part] = span.values
        expected = ModelScorer(Detector.load(model_file)).clean(whole, [[] for _ in whole])[span.trip]
        np.testing.assert_array_equal(tracks[number].score, expected.score[part].astype(np.float64))
        np.testing.assert_array_equal(tracks[number].open, expected.open[part])
    assert any(track.open.any() for track in tracks)


def test_the_baselines_span_continues_its_filter(bench, trips):
    scorer = PcaScorer(1.0, lambda scores: 1.0)
    scorer.clean(bench.trips, bench.marks)
    span, track = bench.spans[5], scorer.spans(bench.spans)[5]
    whole = [trip.copy() for trip in trips]
    whole[span.trip][span.start : span.start + len(span.values)] = span.values
    raw = scorer._filter(scorer._fit(span.trip).residual(whole[span.trip]))
    np.testing.assert_allclose(track.score, raw[span.start : span.start + len(span.values)], rtol=1e-9)


def test_limits_are_set_on_the_scores_that_are_judged(model_file, trips):
    detector = Detector.load(model_file)
    limits = np.array([chart.limit for chart in detector.manifest.charts], np.float32)
    charts = chart_trips(detector, [Trip(str(number), trip) for number, trip in enumerate(trips)])
    judged = ModelScorer(detector).clean(trips, [[] for _ in trips])
    for one, track in zip(charts, judged, strict=True):
        np.testing.assert_allclose(score(one.charts, limits), track.score, rtol=1e-5)


class Oracle:
    """Knows where the faults are; ``late`` ticks late."""

    name = "oracle"

    def __init__(self, bench, late=0):
        self.bench, self.late = bench, late

    def clean(self, trips, marks):
        return [Track(np.zeros(len(trip)), np.zeros(len(trip), dtype=bool)) for trip in trips]

    def spans(self, spans):
        return [Track(on * 2.0, on) for span in spans for on in [np.arange(len(span.values)) >= self.late]]


def test_an_oracle_catches_everything_and_cries_never(bench):
    verdict = judge(Oracle(bench, late=7), bench, per_hour=1.0)
    assert (verdict.recall_at_limit, verdict.recall_at_rate, verdict.false_alarms.count) == (1.0, 1.0, 0)
    assert verdict.delay_at_limit_s == verdict.delay_at_rate_s == 7.0
    assert verdict.chance == 0.0


def test_an_alarm_that_is_always_on_catches_nothing(bench):
    verdict = judge(FloorScorer("always on", 1.0, 0, 1.0), bench, per_hour=1.0)
    assert (verdict.recall_at_limit, verdict.recall_at_rate, verdict.in_alarm) == (0.0, 0.0, 1.0)


def test_random_catches_what_chance_gives(bench):
    verdict = judge(FloorScorer("random", 1.0, 0, 60.0), bench, per_hour=60.0)
    assert verdict.recall_at_limit == pytest.approx(verdict.chance, abs=0.1)
    assert verdict.false_alarms_at_rate.per_hour <= 60.0


def test_the_sweep_finds_the_lowest_level_within_the_budget():
    score = np.zeros(7200)
    score[[100, 1000, 3000, 5000]] = [4.0, 3.0, 2.0, 1.0]
    sweep = Sweep([score], merge=60, hours=2.0)
    assert sweep.level(1.0) == 3.0
    assert sweep.count(3.0) == 2
    assert sweep.level(0.1) > 4.0


def test_legs_are_three_to_eight_minutes_and_repeat():
    trips = [np.arange(5000, dtype=np.float32)[:, None], np.zeros((100, 1), np.float32)]
    legs, none = cut_legs(trips, 1.0, seed=2)
    assert none == []
    assert all(180 <= len(leg) <= 480 for leg in legs)
    joined = np.concatenate(legs)[:, 0]
    np.testing.assert_array_equal(joined, np.arange(len(joined)))
    assert len(joined) > 5000 - 180
    assert [len(leg) for leg in legs] == [len(leg) for leg in cut_legs(trips, 1.0, seed=2)[0]]


def test_ticks_that_are_minutes_apart_have_no_legs():
    for period_s in (150.0, 360.0, 3600.0):
        assert cut_legs([np.zeros((50, 1), np.float32)], period_s, seed=0) == [[]]


def test_no_effect_is_counted(trips, model_file):
    signals = Detector.load(model_file).manifest.signals
    still = [np.full_like(trips[0], 5.0)]
    habits = habits_of(trips)
    planned = plan([len(still[0])], habits, 1.0, 0, ["stuck", "frozen_bus"], Counter())
    counts = Counter()
    assert set_up(still, planned, signals, habits, 1.0, counts).injections == []
    assert counts["no_effect"] == 2
    assert inject(planned[0], still[0], signals, habits, 1.0) is None


def test_the_command_tells_the_same_in_table_json_and_page(model_file, logs, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from tickover_train.evaluation.faults import kind\n"
        "@kind('<b>mine')\n"
        "def mine(case):\n"
        "    case.values[:, case.signal] += 3 * case.amount\n"
    )
    labels = tmp_path / "labels.csv"
    labels.write_text(f"log,start,end\n{logs[0]},300,420\n")
    args = [str(model_file), "--clean", *map(str, logs), "--json", str(tmp_path / "out.json")]
    args += ["--page", str(tmp_path / "out.html"), "--faults", str(mine), "--labels", str(labels)]
    result = CliRunner().invoke(evaluate, args)
    KINDS.pop("<b>mine", None)
    assert result.exit_code == 0, result.output
    study = json.loads((tmp_path / "out.json").read_bytes())
    page = (tmp_path / "out.html").read_text()
    model = study["whole"][0]
    assert [one["name"] for one in study["whole"]] == ["model", "pca residual", *FLOORS]
    assert {cell["kind"] for cell in model["cells"]} == {*KINDS, "<b>mine"}
    assert study["labelled"]["events"] == 1
    assert f"{100 * model['recall_at_limit']:.0f} %" in page
    assert f"{100 * model['recall_at_limit']:.0f} %" in result.output
    assert "<b>mine" not in page
    assert html.escape("<b>mine") in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("http-equiv", "")
    assert "<script" not in page


def test_trips_too_short_for_legs_are_judged_whole(model_file, trips):
    short = [Trip(str(first), trips[0][first : first + 170]) for first in range(0, 850, 170)]
    study = run(Detector.load(model_file), short, seed=0)
    assert study.legs == []
    assert "Legs" not in render(study)
