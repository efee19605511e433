"""Recorded logs through the pipeline: the same ticks, detector and episodes as live, then files and lines."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from tickover.core.manifest import Manifest
from tickover.core.pipeline import Pipeline
from tickover.core.values import SECOND, Output, Phase, Readings
from tickover.core.windows import group_starts
from tickover.jobs.play import Pace
from tickover.jobs.replay_verdicts import Verdicts
from tickover.logs.mapping import Mapping
from tickover.logs.reading import read_log
from tickover.payloads.can.told_codes import ToldCode

SPAN_TICKS: Final = 32_768
"""A piece of a log spans at most so many ticks (or one gap), so that a few rows far apart do not fill the memory."""
PACED_S: Final = 0.2
"""At a set speed, a piece of a log spans at most this many seconds of wall time."""


@dataclass(slots=True)
class Tally:
    """What a replay has seen so far. ``now``: the last tick's time, microseconds; ``log``: the one being read.

    ``cells``: those that hold no number, by signal and text. ``spans``: first and last time of the readings, by log
    and vehicle.
    """

    ticks: int = 0
    trips: int = 0
    alerts: int = 0
    episodes: int = 0
    now: int | None = None
    log: Path | None = None
    rows: Counter[str] = field(default_factory=Counter)
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    spans: dict[tuple[Path, str], tuple[int, int]] = field(default_factory=dict)
    _trip: dict[str, int] = field(default_factory=dict)

    def add_block(self, log: Path, block: Readings) -> None:
        """Note which times of which vehicle a log holds."""
        first, last = int(block.time.min()), int(block.time.max())
        known = self.spans.get((log, block.vehicle), (first, last))
        self.spans[log, block.vehicle] = min(known[0], first), max(known[1], last)

    def add(self, output: Output) -> None:
        """Count one output."""
        ticks = output.scored.ticks
        if len(ticks.time):
            self.ticks += len(ticks.time)
            self.trips += int(np.count_nonzero(np.diff(ticks.trip)))
            self.trips += self._trip.get(ticks.vehicle) != int(ticks.trip[0])
            self._trip[ticks.vehicle] = int(ticks.trip[-1])
            self.now = int(ticks.time[-1])
        self.alerts += len(output.alerts)
        self.episodes += sum(alert.phase is Phase.START for alert in output.alerts)


@dataclass(frozen=True, slots=True)
class Source:
    """Which logs, and how to read them; see `tickover.logs.reading.read_log`; the verdicts to give on the way."""

    logs: tuple[Path, ...]
    mapping: Mapping
    vehicle: str
    start: int = 0
    strict: bool = False
    on_bad: Callable[[str], None] = lambda message: None
    verdicts: Verdicts | None = None
    on_codes: Callable[[Path, Sequence[ToldCode]], None] = lambda log, codes: None
    on_note: Callable[[str], None] | None = None


def replay(
    pipeline: Pipeline,
    manifest: Manifest,
    source: Source,
    tally: Tally,
    *,
    speed: float = math.inf,
    sleep: Callable[[float], None] = time.sleep,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Output]:
    """Run the logs through ``pipeline``, one after another; yields its outputs until ``stopped()``.

    ``speed`` seconds of event time pass in one second; infinity never waits. A log that begins before its vehicle's
    previous one ended starts a new trip; after a restored state, the first log may begin earlier by the lateness, so
    that a log can be cut anywhere.
    """
    logs = ((log, _read(log, source, tally)) for log in source.logs)
    yield from run(pipeline, manifest, logs, tally, source.verdicts, speed=speed, sleep=sleep, stopped=stopped)


def run(
    pipeline: Pipeline,
    manifest: Manifest,
    logs: Iterable[tuple[Path, Iterator[Readings]]],
    tally: Tally,
    verdicts: Verdicts | None = None,
    *,
    speed: float = math.inf,
    sleep: Callable[[float], None] = time.sleep,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Output]:
    """As `replay`, of logs that are read already: what each is called, and its readings."""
    pace = Pace(speed, sleep=sleep)
    grace = {vehicle: round(manifest.lateness_s * SECOND) for vehicle in pipeline.vehicles}
    for log, blocks in logs:
        begun: set[str] = set()
        tally.log = log
        for block in blocks:
            if stopped():
                return
            if not len(block.time):
                continue
            tally.add_block(log, block)
            if block.vehicle not in begun:
                begun.add(block.vehicle)
                _begin_log(pipeline, block, grace.pop(block.vehicle, 0))
            for piece in pieces(block, _span(manifest, speed)):
                if math.isfinite(speed):
                    pace.wait(int(piece.time[0]))
                if stopped():
                    return
                for part in verdicts.cut(piece, pipeline) if verdicts else (piece,):
                    pipeline.feed(part)
                    yield from _counted(pipeline.pump(), tally)
    if verdicts:
        verdicts.rest(pipeline)


def finish(pipeline: Pipeline, tally: Tally) -> Iterator[Output]:
    """Close all ticks and episodes after the last log."""
    yield from _counted(pipeline.flush(), tally)


def pieces(block: Readings, span: int) -> Iterator[Readings]:
    """A block in pieces whose times advance by ``span`` microseconds at most, or by one step."""
    ahead = np.maximum.accumulate(block.time)
    starts = group_starts((ahead - ahead[0]) // span)
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(ahead)], strict=True):
        yield Readings(block.vehicle, block.signals, block.time[start:end], block.values[start:end])


def _read(log: Path, source: Source, tally: Tally) -> Iterator[Readings]:
    return read_log(
        log,
        source.mapping,
        vehicle=source.vehicle,
        start=source.start,
        strict=source.strict,
        counts=tally.rows,
        on_bad=source.on_bad,
        cells=tally.cells,
        on_codes=partial(source.on_codes, log),
        on_note=source.on_note,
    )


def _begin_log(pipeline: Pipeline, block: Readings, grace: int) -> None:
    """A vehicle's first block of a log: a new trip when it begins before the previous log's end."""
    known = block.vehicle in pipeline.vehicles
    reached = pipeline.watermark(block.vehicle) if known else None
    if reached is not None and int(block.time[0]) < reached - grace:
        pipeline.restart(block.vehicle)


def _span(manifest: Manifest, speed: float) -> int:
    longest = SPAN_TICKS * manifest.period
    return int(max(manifest.period, min(longest, speed * PACED_S * SECOND)))


def _counted(outputs: list[Output], tally: Tally) -> Iterator[Output]:
    for output in outputs:
        tally.add(output)
        yield output
