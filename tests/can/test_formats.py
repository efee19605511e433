"""The same ten frames in every layout of every recording format."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import can_files
from tickover.core.resample import Ticks, join
from tickover.core.values import SECOND
from tickover.errors import LogError
from tickover.logs.formats.registry import LOG_FORMATS
from tickover.logs.mapping import Mapping, SignalColumn
from tickover.logs.reading import read_log

FOLDER = can_files.shared("TICKOVER_CAN_FORMATS", "can/cases/formats")
FRAMES = [[t, i, x, d] for t, i, x, d in json.loads((FOLDER / "frames.json").read_text(encoding="utf-8"))]
READABLE = (".log", ".asc", ".trc", ".blf", ".mf4")
SPECIAL = {"screen_notime.log", "screen_delta.log", "asc_two_blocks.asc"}

LAYOUTS = sorted(
    path.name
    for path in FOLDER.iterdir()
    if path.suffix in READABLE and path.suffix in LOG_FORMATS and path.name not in SPECIAL
)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_frames(name: str) -> None:
    frames, _, told = can_files.frames_of(FOLDER / name)
    assert [[round(t, 4), *rest] for t, *rest in can_files.plain(frames)] == FRAMES
    assert len(told) <= 1


def test_a_screen_without_times_is_refused() -> None:
    with pytest.raises(LogError, match=r"expected a time on each line, got none; record with candump"):
        can_files.frames_of(FOLDER / "screen_notime.log")


def test_times_between_lines_are_summed_only_when_asked() -> None:
    with pytest.raises(LogError, match=r"candump -td.*--times delta"):
        can_files.frames_of(FOLDER / "screen_delta.log")
    frames, _, _ = can_files.frames_of(FOLDER / "screen_delta.log", can_files.layout(times="delta"))
    assert can_files.plain(frames) == FRAMES


def test_several_trigger_blocks_have_wall_clocks_of_their_own() -> None:
    frames, _, told = can_files.frames_of(FOLDER / "asc_two_blocks.asc")
    assert told == []
    assert len(frames) == 2 * len(FRAMES)
    first, second = frames.part(slice(0, len(FRAMES))), frames.part(slice(len(FRAMES), None))
    assert can_files.plain(first) == can_files.plain(second) == FRAMES
    assert int(second.time[0] - first.time[0]) == 3_600_000_000


@pytest.mark.parametrize("zone", ["", "Europe/Berlin", "America/New_York", "+02:00"])
def test_a_wall_clock_without_a_zone_is_utc_unless_it_is_named(zone: str) -> None:
    for name in ("asc_hex_abs.asc", "asc_german.asc", "trc_13.trc", "screen_date.log"):
        plain, _, _ = can_files.frames_of(FOLDER / name)
        zoned, _, _ = can_files.frames_of(FOLDER / name, can_files.layout(zone=zone))
        clock = datetime.fromtimestamp(int(plain.time[0]) / 1e6, UTC).replace(tzinfo=None)
        ahead = timedelta(hours=2) if zone[:1] == "+" else ZoneInfo(zone or "UTC").utcoffset(clock)
        assert timedelta(microseconds=int(plain.time[0] - zoned.time[0])) == ahead


def test_a_clock_that_is_put_back_ends_the_trip_and_sorts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    times = [*range(300), *range(100, 200)]
    lines = [f"({1_764_480_000 + t}.000000) can0 18FEF100#F300{k % 100:02X}FFFFFFFFFF" for k, t in enumerate(times)]
    path.write_text("\n".join(lines))
    mapping = Mapping(signals={"vehicle_speed": SignalColumn()})
    ticks = Ticks("v", mapping.manifest_signals(), SECOND, 30 * SECOND, 2 * SECOND)
    blocks = [ticks.add(b) for b in read_log(path, mapping, vehicle="v", counts=Counter(), on_bad=print)]
    whole = join([*blocks, ticks.flush()])
    assert whole is not None
    assert ticks.counts["clock_back"] == 1
    assert [int(t) // SECOND - 1_764_480_000 for t in whole.time] == times
    assert set(whole.trip.tolist()) == {0, 1}
