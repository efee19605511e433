"""A model whose charts are mostly off, or that has none for a signal, cannot alarm, and says so."""

import numpy as np
import pytest

from small_models import BANKS, model_bytes, random_weights, small_spec
from tickover.model.session import open_bytes
from tickover_export.charts.frozen import Frozen
from tickover_export.charts_off import WHY_OFF, off_lines, why_mute
from tickover_export.retune import Retuned

SPEC = small_spec(banks=(*BANKS[:2], Frozen(name="bus", longest_s=300.0)))
CHARTS = SPEC.charts


def limits(*off):
    return np.array([np.inf if place in off else 2.0 for place in range(len(CHARTS))], np.float32)


def test_charts_that_are_off_are_named_with_the_reason():
    assert off_lines(CHARTS, limits()) == []
    (line,) = off_lines(CHARTS, limits(1))
    assert line == f"1 of 7 charts are off ({WHY_OFF}): rpm.fast"


@pytest.mark.parametrize(
    ("off", "why"),
    [
        ((), ""),
        ((1,), ""),
        ((0, 4), "expected at most 25% of the charts off, got 2 of 7"),
        ((1, 4), "expected at most 25% of the charts off, got 2 of 7; no chart is left for rpm"),
    ],
)
def test_a_model_that_cannot_alarm_is_refused(off, why):
    assert why_mute(CHARTS, limits(*off)) == why


def test_a_chart_over_several_signals_watches_none_of_them_alone():
    spec = small_spec(banks=(BANKS[0], Frozen(name="bus", longest_s=300.0)))
    some = np.array([2.0, np.inf, 2.0, 2.0], np.float32)
    assert why_mute(spec.charts, some) == "no chart is left for rpm"


def test_the_manifest_says_why_and_forgets_it_once_the_chart_is_on():
    data = model_bytes(SPEC, random_weights(SPEC), limits(1))
    assert [chart.why_off for chart in open_bytes(data).manifest.charts] == ["", WHY_OFF, *[""] * 5]
    model = Retuned(data)
    again = open_bytes(model.finish(limits(2), model.manifest.false_alarms)).manifest
    assert [chart.why_off for chart in again.charts] == ["", "", WHY_OFF, *[""] * 4]
