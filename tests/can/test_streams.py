"""Recordings that are written as a stream for measurements of memory: they hold what they should, in bounded blocks."""

import struct
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

import can_files
import can_streams
import can_traffic
from tickover.logs.formats.base import Job
from tickover.logs.mapping import LogLayout, Mapping
from tickover.logs.reading import open_log

MOST_FRAMES = 50_000
"""In one block: what is made of a block takes some 500 bytes a frame."""
READ_BY_PYTHON_CAN = """
import sys
sys.modules |= {"asammdf": None, "pandas": None}  # python-can takes seconds to import them
import can
with can.LogReader(sys.argv[1]) as reader:
    for k, one in zip(range(3000), reader):
        print(round((one.timestamp - 1764480000) * 1e6), one.arbitration_id, one.data.hex())
"""


@pytest.mark.parametrize("kind", can_streams.KINDS)
def test_a_stream_holds_the_frames_of_the_traffic(kind: str, tmp_path: Path) -> None:
    path = tmp_path / can_streams.name_of(kind)
    number = can_streams.write(path, kind, 1_000_000)
    frames, _, told = can_files.frames_of(path)
    assert len(frames) == number
    assert told == []
    assert (frames.time - frames.time[0] == [k * can_streams.STEP_US for k in range(number)]).all()
    for k, (_, identifier, data) in islice(enumerate(can_traffic.frames(number)), 0, None, 997):
        at = k % can_streams.BLOCK_FRAMES
        if at == k:
            assert int(frames.key[k]) & 0x1FFF_FFFF == identifier
            assert bytes(frames.data[k][:8]) == data


def test_python_can_reads_the_same_of_a_stream_of_containers(tmp_path: Path) -> None:
    pytest.importorskip("can")
    path = tmp_path / "blf-packed.blf"
    can_streams.write(path, "blf-packed", 300_000)
    command = [sys.executable, "-c", READ_BY_PYTHON_CAN, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    wanted = [
        f"{k * can_streams.STEP_US} {identifier} {data.hex()}"
        for k, (_, identifier, data) in enumerate(can_traffic.frames(3_000))
    ]
    assert done.stdout.splitlines() == wanted


@pytest.mark.parametrize("kind", ["blf", "blf-packed", "mf4", "mf4-packed", "mf4-turned", "mf4-one"])
def test_blocks_of_frames_stay_small_however_large_those_of_the_file_are(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(can_streams, "BLF_CONTAINER", 8 << 20)
    monkeypatch.setattr(can_streams, "MF4_BLOCK", 8 << 20)
    path = tmp_path / can_streams.name_of(kind)
    number = can_streams.write(path, kind, 1_000_000)
    with open_log(path) as (stream, format_):
        bus = getattr(format_, "log", format_)
        job = Job(str(path), Mapping(signals={}, log=LogLayout()), on_bad=print)
        sizes = [len(block) for block in bus.reader.frames(stream, job)]
    assert sum(sizes) == number
    assert max(sizes) < MOST_FRAMES < number


def test_a_transposed_block_ends_with_what_fills_no_record(tmp_path: Path) -> None:
    from tickover.logs.formats.mf4_blocks import _transposed_back

    records = [struct.pack("<HB", k, k % 251) for k in range(1_000)]
    columns = bytes(record[place] for place in range(3) for record in records)
    assert b"".join(_transposed_back(columns + b"ab", 3)) == b"".join(records) + b"ab"
