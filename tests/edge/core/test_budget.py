"""Budgets as people write them, and moving along a model's ladder."""

import pytest

from tickover.core.budget import LADDER, budget_words, ladder_with, parse_budget
from tickover.core.ladder import hours_needed, rung_for, rung_words, why_unsupported
from tickover.core.manifest import Budget, Legs, Rung
from tickover.errors import ConfigError, ModelError


@pytest.mark.parametrize(
    ("text", "per_hour"),
    [
        ("1/h", 1.0),
        ("1/1h", 1.0),
        ("0.1/h", 0.1),
        (".5/h", 0.5),
        ("1/10h", 0.1),
        ("1/50h", 0.02),
        ("1/week", 1 / 168),
        ("2/8h", 0.25),
        ("1/Day", 1 / 24),
        (" 3 / 2 weeks ", 3 / 336),
        ("1/90min", 2 / 3),
        ("2/400s", 18.0),
    ],
)
def test_forms_mean_what_they_say(text, per_hour):
    budget = parse_budget(text)
    assert budget.per_hour == pytest.approx(per_hour)
    assert parse_budget(budget_words(budget)).per_hour == pytest.approx(per_hour)


@pytest.mark.parametrize(
    "text", ["", "1", "1h", "1/", "/h", "0/h", "-1/h", "1/0h", "1/fortnight", "1/h/h", "nan/h", "1/s s"]
)
def test_other_texts_are_refused_with_the_forms_and_the_option(text):
    with pytest.raises(ConfigError, match=r"--false-alarms: expected N/DURATION, such as 1/h, .*1/week.*got '"):
        parse_budget(text)


def test_words_are_the_short_forms():
    assert [budget_words(one) for one in LADDER] == ["1/h", "1/5h", "1/10h", "1/50h", "1/week"]
    assert budget_words(parse_budget("1/2weeks")) == "1/2weeks"


def test_the_budget_asked_for_is_on_the_ladder_once():
    assert ladder_with(None) == ladder_with(parse_budget("0.1/h")) == LADDER
    assert [budget_words(one) for one in ladder_with(parse_budget("1/d"))] == [
        *("1/h", "1/5h", "1/10h"),
        *("1/24h", "1/50h", "1/week"),
    ]


def budget(text, count, hours, low, high, legs=None):
    asked = parse_budget(text)
    return Budget(
        episodes=asked.episodes, per_s=asked.per_s, hours=hours, realised=count / hours, low=low, high=high, legs=legs
    )


def test_a_budget_is_supported_by_hours_that_can_show_it_and_do():
    enough = budget("1/10h", 3, 30.0, 0.02, 0.292)
    assert enough.is_supported
    assert hours_needed(0.1, 0.1) == pytest.approx(30.0)
    assert why_unsupported(enough) == ""
    few = budget("1/50h", 1, 30.0, 0.001, 0.186)
    assert why_unsupported(few) == "30 h of held-out driving cannot show it: it takes about 150 h"
    louder = budget("1/10h", 5, 30.0, 0.054, 0.389)
    assert 60.0 < hours_needed(0.1, 1 / 6) < 90.0, "at twice the budget it takes longer to show that it is not thrice"
    assert "at the rate that they gave" in why_unsupported(louder)
    broken = budget("1/10h", 9, 30.0, 0.137, 0.57)
    assert why_unsupported(broken) == "held-out driving gave more than that"
    legs = Legs(shortest_s=180, longest_s=480, hours=28.0, realised=0.4, low=0.2, high=0.7)
    assert why_unsupported(budget("1/10h", 3, 30.0, 0.02, 0.292, legs)) == (
        "legs of 3 to 8 minutes gave more than that: 0.4 an hour (0.2 to 0.7)"
    )
    assert not parse_budget("1/h").is_supported, "nothing was measured"


def test_limits_move_along_the_ladder_and_between_its_rungs():
    often = Rung(budget=budget("1/h", 24, 24.0, 0.6, 1.5), limits=(1.0, 2.0, None), recall={"bias": 0.5, "drift": 0.7})
    rare = Rung(budget=budget("1/100h", 0, 24.0, 0.0, 0.15), limits=(3.0, None, None))
    ladder = (often, rare)
    assert rung_for(ladder, parse_budget("2/2h")) is often
    between = rung_for(ladder, parse_budget("1/10h"))
    assert between.limits == pytest.approx((2.0, None, None))
    assert between.budget.realised is None
    assert (
        rung_words(often)
        == "supported; gave 1 an hour (0.6 to 1.5) over 24 h; detects 60% of injected faults; 1 of 3 charts off"
    )
    assert rung_words(between) == "not supported: not measured on held-out driving; 2 of 3 charts off"
    for beyond in ("2/h", "1/52weeks"):
        with pytest.raises(ModelError, match=r"expected a budget between 1/h and 1/100h.*--clean"):
            rung_for(ladder, parse_budget(beyond))
    with pytest.raises(ModelError, match=r"holds limits for one budget only.*--clean"):
        rung_for((), parse_budget("1/h"))
