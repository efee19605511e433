"""What a model cannot alarm on is said, and a log in which a signal is unusable is no all-clear."""

from msgspec import structs

import reported
from tickover.core.coverage import charts_off, gaps, unusable, unwatched

MANIFEST = reported.manifest(("oil", "fuel"), ("fast", "slow"))


def off(*names, why=""):
    charts = [structs.replace(c, limit=None, why_off=why) if c.name in names else c for c in MANIFEST.charts]
    return structs.replace(MANIFEST, charts=tuple(charts))


def test_a_model_that_watches_all_has_no_gaps():
    assert not charts_off(MANIFEST)
    assert not unwatched(MANIFEST)
    assert not list(gaps(MANIFEST))


def test_charts_that_are_off_are_named_with_the_reason():
    said = list(gaps(off("oil.fast", "fuel.fast", why="too few trips")))
    assert said == ["2 of 4 charts are off (too few trips): oil.fast, fuel.fast"]
    assert "does not say why" in next(iter(gaps(off("oil.fast"))))


def test_a_signal_without_a_chart_and_a_model_without_any_are_said():
    assert unwatched(off("oil.fast", "oil.slow")) == ("oil",)
    assert list(gaps(off("oil.fast", "oil.slow")))[-1] == "no chart watches oil: a deviation there never alarms"
    assert "this model never alarms" in list(gaps(off(*[chart.name for chart in MANIFEST.charts])))[-1]


def test_a_signal_is_unusable_from_a_fifth_of_the_ticks_on():
    assert unusable(("a", "b", "c"), [19, 20, 100], 100) == [("b", 0.2), ("c", 1.0)]
    assert unusable(("a",), None, 100) == unusable(("a",), [0], 0) == []
