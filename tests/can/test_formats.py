"""The same ten frames in every layout of every recording format."""

import json

import pytest

import can_files
from tickover.errors import LogError
from tickover.logs.formats.registry import LOG_FORMATS

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
