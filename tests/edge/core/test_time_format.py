"""Times and durations as people and files read them, in one home."""

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import paths
from tickover.core.time_format import (
    LATEST,
    clock,
    day_clock,
    duration,
    is_relative,
    iso,
    iso_basic,
    iso_seconds,
    parse_iso,
    parse_time,
    span,
    stopwatch,
)
from tickover.core.values import SECOND

MOMENT = 1_772_431_200 * SECOND + 250_000


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (0, "0:00:00"),
        (90_061 * SECOND, "25:01:01"),
        (1_772_431_200 * SECOND, "2026-03-02 06:00:00"),
        (2**62, "4611686018427 s"),
    ],
)
def test_times_are_read_as_dates_or_as_time_since_the_start(time: int, words: str) -> None:
    assert clock(time, is_relative(time)) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1, "0.1 s"), (59, "59 s"), (500, "8 min 20 s"), (9300, "2 h 35 min"), (273_600, "3 d 4 h")],
)
def test_durations_have_two_parts(seconds: float, words: str) -> None:
    assert duration(round(seconds * SECOND)) == words


def test_one_moment_in_every_form() -> None:
    assert iso(MOMENT) == "2026-03-02T06:00:00.250000Z"
    assert iso_seconds(MOMENT) == "2026-03-02T06:00:00Z"
    assert iso_basic(MOMENT) == "20260302T060000Z"
    assert day_clock(MOMENT) == "03-02 06:00:00"


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))
def test_a_time_comes_back_to_the_microsecond(when: datetime) -> None:
    time = parse_iso(when.isoformat())
    assert parse_iso(iso(time)) == time
    assert iso(time) == when.isoformat(timespec="microseconds") + "Z"


@pytest.mark.parametrize("text", ["2026-03-02T07:00:00.25+01:00", "2026-03-02 06:00:00.250", "20260302T060000.25Z"])
def test_a_time_with_an_offset_is_the_same_moment_and_one_without_is_utc(text: str) -> None:
    assert parse_iso(text) == MOMENT


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="yesterday"):
        parse_iso("yesterday")


DAY = parse_iso("2024-05-01")


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("20240501", DAY),
        (" 2024-05-01 ", DAY),
        ("20240501T060000Z", DAY + 6 * 3600 * SECOND),
        ("20240501.0", 20_240_501 * SECOND),
        ("20240501.12", 20_240_501_120_000),
        ("1714521600", DAY),
        ("1112011011234", 1_112_011_011_234 * SECOND),
        ("-1.5e1", -15 * SECOND),
        ("12.5", 12_500_000),
    ],
)
def test_a_time_is_a_date_or_seconds_and_eight_digits_are_a_day(text: str, time: int) -> None:
    if time > LATEST:
        with pytest.raises(ValueError, match="expected a time in the years 1 to 9999, got 1112011011234 s"):
            parse_time(text)
    else:
        assert parse_time(text) == time


@pytest.mark.parametrize("text", ["", "noon", "nan", "inf", "1_000", "٣", "0x10", "1e400", "20241301"])
def test_what_is_neither_a_date_nor_seconds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid|expected|month"):
        parse_time(text)


@pytest.mark.parametrize(("seconds", "words"), [(-1, "0:00"), (65.9, "1:05"), (3599, "59:59"), (3725, "1:02:05")])
def test_a_stopwatch_shows_hours_once_there_are_any(seconds: float, words: str) -> None:
    assert stopwatch(round(seconds * SECOND)) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.5, "0.5 s"), (59, "59 s"), (90, "1.5 min"), (3600, "1 h"), (172_800, "48 h")]
)
def test_settings_are_told_in_one_unit(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_no_other_file_turns_times_into_text_or_back() -> None:
    """One home, so that two places cannot differ: in the digits of a fraction, or in what a naive time means."""
    sources = [path for root in ("edge", "export", "train", "deploy") for path in (paths.ROOT / root).rglob("*.py")]
    calls = re.compile(r"\b(strftime|isoformat|fromisoformat|fromtimestamp)\(")
    homes = [path.name for path in sources if calls.search(path.read_text(encoding="utf-8"))]
    assert homes == ["time_format.py"]
