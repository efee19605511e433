"""Dates of recorders in the languages of Windows: `wall_clock`, and the start of an ASC log that has one."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import can_files
from tickover.logs.formats import wall_clock

BERLIN = ZoneInfo("Europe/Berlin")


def moment(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1e6)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Sun Nov 30 12:20:00.000 am 2025", moment(2025, 11, 30, 0, 20)),
        ("Sun Nov 30 05:20:00.250 p.m. 2025", moment(2025, 11, 30, 17, 20, 0, 250_000)),
        ("dom out 12 05:20:00.000 2025", moment(2025, 10, 12, 5, 20)),
        ("vr mrt 14 05:20:00 2025", moment(2025, 3, 14, 5, 20)),
        ("niedz. lis 30 05:20:00.123 2025", moment(2025, 11, 30, 5, 20, 0, 123_000)),
        ("ndz paź 12 05:20:00 2025", moment(2025, 10, 12, 5, 20)),
        ("Paz Kas 30 05:20:00 2025", moment(2025, 11, 30, 5, 20)),
        ("вс ноя 30 05:20:00 2025", moment(2025, 11, 30, 5, 20)),
        ("jeu. juil. 3 14:55:03 2025", moment(2025, 7, 3, 14, 55, 3)),
        ("周日 11月 30 05:20:00.000 下午 2025", moment(2025, 11, 30, 17, 20)),
        ("일 11월 30 오후 05:20:00 2025", moment(2025, 11, 30, 17, 20)),
        ("date 2025-11-30 05:20:00", moment(2025, 11, 30, 5, 20)),
        ("11/30/2025 5:20:00 PM", moment(2025, 11, 30, 17, 20)),
    ],
)
def test_a_date_in_any_language_is_one_moment_of_its_zone(text: str, wanted: int) -> None:
    assert wall_clock.parse(text, UTC) == wanted
    assert wall_clock.parse(text, BERLIN) in (wanted - 3_600_000_000, wanted - 7_200_000_000)


def test_a_date_with_an_offset_needs_no_zone() -> None:
    assert wall_clock.parse("2025-11-30T05:20:00+02:00", BERLIN) == moment(2025, 11, 30, 3, 20)


@pytest.mark.parametrize("text", ["Begin Triggerblock", "base hex  timestamps absolute", "// version 8.1.0", ""])
def test_what_is_no_date_is_none(text: str) -> None:
    assert wall_clock.parse(text, UTC) is None


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_an_asc_log_of_a_german_march_begins_when_it_says(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.asc"
    text = "date Fr Mär 14 05:20:00.000 2025\nbase hex  timestamps absolute\n   0.500000 1  100  Rx   d 1 07\n"
    path.write_bytes(text.encode(encoding))
    frames, _, told = can_files.frames_of(path)
    assert told == []
    assert frames.time.tolist() == [moment(2025, 3, 14, 5, 20) + 500_000]


@pytest.mark.parametrize("mark", [".", ","])
def test_a_trc_log_begins_at_its_day_with_either_decimal_mark(mark: str, tmp_path: Path) -> None:
    path = tmp_path / "a.trc"
    path.write_text(f";$FILEVERSION=1.1\n;$STARTTIME=45991{mark}5\n;---\n     1)       250.0  Rx         0100  1  07\n")
    frames, _, _ = can_files.frames_of(path)
    assert frames.time.tolist() == [moment(2025, 11, 30, 12) + 250_000]
