"""Recordings of a bus in tests: where the shared ones lie, and what reading them gives."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tickover.logs.formats.base import Job
from tickover.logs.mapping import LogLayout, Mapping, SignalColumn
from tickover.logs.reading import open_log, read_log
from tickover.payloads.can.frames import EXTENDED, Frames, joined, of_payloads

ROOT = Path(__file__).resolve().parent.parent


def shared(variable: str, default: str) -> Path:
    """A folder of shared files; the test fails when the variable names none, and is skipped when it is not set."""
    given = os.environ.get(variable)
    folder = Path(given) if given else (ROOT / ".." / "shared" / default).resolve()
    if not folder.is_dir():
        if given:
            pytest.fail(f"{variable} names no folder: {folder}")
        pytest.skip(f"no folder {default}: name one with {variable}", allow_module_level=True)
    return folder


def layout(*dbc: Path, **options: Any) -> LogLayout:
    return LogLayout(dbc=tuple(map(str, dbc)), **options)


def readings(path: Path, columns: list[str], log: LogLayout, **options: Any) -> tuple[dict[str, dict], Counter, list]:
    """Each column's readings by time in seconds, to the microsecond; what was counted, and what was told."""
    signals = {f"s{number}": SignalColumn(column=column) for number, column in enumerate(columns)}
    counts: Counter[str] = Counter()
    told: list[str] = []
    found: dict[str, dict[float, float]] = {column: {} for column in columns}
    mapping = Mapping(signals=signals, log=log)
    for block in read_log(path, mapping, vehicle="v", counts=counts, on_bad=told.append, **options):
        for place, column in enumerate(columns):
            values = block.values[:, place]
            found[column] |= {
                round(int(t) / 1e6, 6): float(v) for t, v in zip(block.time, values, strict=True) if not np.isnan(v)
            }
    return found, counts, told


def frames_of(path: Path, log: LogLayout | None = None, **options: Any) -> tuple[Frames, Counter, list[str]]:
    """All frames of a recording, what was counted, and what was told."""
    log = log or LogLayout()
    told: list[str] = []
    with open_log(path, log) as (stream, format_):
        bus = getattr(format_, "log", format_)
        bus.reader.base(stream, log, str(path))
        stream.seek(0)
        job = Job(str(path), Mapping(signals={}, log=log), on_bad=told.append, **options)
        parts = list(bus.reader.frames(stream, job))
    return joined(parts) if parts else of_payloads([], [], []), job.counts, told


def plain(frames: Frames) -> list[list]:
    """Frames as in ``frames.json``: seconds since the first, identifier, whether it has 29 bits, payload."""
    start = int(frames.time[0])
    return [
        [(int(t) - start) / 1e6, int(k) & ~EXTENDED, bool(int(k) & EXTENDED), bytes(d[:n]).hex()]
        for t, k, n, d in zip(frames.time, frames.key, frames.length, frames.data, strict=True)
    ]
