"""One vehicle of a back-fill, from its logs to its alerts: `run_vehicle` is all that a scheduler has to call."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from tickover.core.arrivals import DEFAULT_WINDOW
from tickover.core.pipeline import Pipeline
from tickover.core.policy import Settings
from tickover.core.run_alone import BatchDetector
from tickover.core.values import SECOND, Output, Readings
from tickover.errors import LogError, ModelError, TickoverError
from tickover.jobs.backfill import results
from tickover.jobs.backfill.archive import dated, natural
from tickover.jobs.backfill.company import company_here
from tickover.jobs.backfill.remote import RemoteLog, is_url
from tickover.jobs.backfill.spool import Spool
from tickover.jobs.backfill.task import Dropped, Part, Result, Rules, Task
from tickover.jobs.replay import Tally, finish
from tickover.jobs.replay import run as run_blocks
from tickover.jobs.replay_state import load_state, save_state
from tickover.jobs.replay_verdicts import Verdicts
from tickover.logs.reading import LogFile, first_stamp, read_log
from tickover.messages.alerts import encode_alert
from tickover.model.detector import Detector
from tickover.storage.files import replace_file

DAY: Final = 86_400 * SECOND
NO_NUMBER: Final = "cells without a number"
_loaded = threading.local()
T = TypeVar("T")


def run_vehicle(task: Task) -> Result:
    """Run a vehicle's logs in order of time; write its alerts and the mark that it is done; say what came of it.

    A pure function of the task and the files that it names: it may run on any machine that sees them, and again. It
    raises nothing that belongs to this vehicle: a result with ``why`` says what kept it from being run.
    """
    began = time.monotonic()
    try:
        return _run(task, began)
    except (TickoverError, OSError, MemoryError) as error:
        why = str(error) or type(error).__name__
        return Result(vehicle=task.vehicle, digest=task.digest, why=why, files=len(task.parts), size=task.size)


def detector_of(rules: Rules) -> BatchDetector:
    """The model, opened once in each thread, or in each company; ModelError when the file holds another than the
    back-fill began with."""
    if company := company_here():
        return company.detector(rules.digest, lambda: _load(rules))
    known: tuple[str, Detector] | None = getattr(_loaded, "detector", None)
    if known is None or known[0] != rules.digest:
        known = _loaded.detector = (rules.digest, _load(rules))
    return known[1]


def _load(rules: Rules) -> Detector:
    detector = Detector.load(rules.model)
    if detector.digest != rules.digest:
        raise ModelError(f"{rules.model}: expected the model {rules.digest[:12]}, got {detector.digest[:12]}")
    return detector


def log_of(part: Part) -> LogFile:
    """A log where it is."""
    return RemoteLog(part.where) if is_url(part.where) else Path(part.where)


def _run(task: Task, began: float) -> Result:
    rules, out = task.rules, Path(task.rules.out)
    detector = detector_of(rules)
    mapping = rules.mapping
    settings = Settings(episodes=mapping.episodes, sensors=mapping.sensors, sensitivity=mapping.sensitivity)
    pipeline = Pipeline(detector, settings, window=DEFAULT_WINDOW)
    if task.state:
        load_state(pipeline, Path(task.state), task.vehicle)
    begun = "state" if task.vehicle in pipeline else "afresh"
    verdicts = Verdicts(Path(task.events), detector.manifest) if task.events else None
    vehicle = _Vehicle(task)
    seal, days = hashlib.sha256(), Counter[int]()
    with replace_file(results.alerts_file(out, task.id)) as file:
        for output in vehicle.outputs(pipeline, verdicts):
            days.update(_days(output))
            for alert in output.alerts:
                line = encode_alert(alert) + b"\n"
                seal.update(line)
                file.write(line)
    if len(vehicle.broken) == len(task.parts) and not vehicle.tally.ticks:
        raise LogError(vehicle.broken[0][1])
    if rules.keep_open:
        (out / results.STATES).mkdir(exist_ok=True)
        save_state(pipeline, results.state_file(out, task.vehicle))
    tally, spans = vehicle.tally, list(vehicle.tally.spans.values())
    promise = pipeline.promise(task.vehicle) if task.vehicle in pipeline else None
    result = Result(
        vehicle=task.vehicle,
        digest=task.digest,
        broken=tuple(vehicle.broken),
        files=len(task.parts),
        size=task.size,
        ticks=tally.ticks,
        trips=tally.trips,
        episodes=tally.episodes,
        alerts=tally.alerts,
        sealed=seal.hexdigest(),
        begun=begun,
        days=dict(sorted(days.items())),
        first=min((first for first, _ in spans), default=None),
        last=max((last for _, last in spans), default=None),
        dropped=dropped_of(pipeline, tally),
        adapted=pipeline.adapted(task.vehicle) if promise else {},
        promise=promise.read().text() if promise and promise.broken else "",
        verdicts=dict(sorted(verdicts.counts.items())) if verdicts else {},
        seconds=round(time.monotonic() - began, 3),
    )
    results.mark_done(out, task.id, result)
    return result


class _Vehicle:
    """Reads one vehicle's logs, and keeps what could not be read."""

    def __init__(self, task: Task) -> None:
        self.tally = Tally()
        self.broken: list[tuple[str, str]] = []
        self._task = task

    def outputs(self, pipeline: Pipeline, verdicts: Verdicts | None) -> Iterator[Output]:
        """All that the pipeline makes of the logs."""
        logs = ((Path(part.where), self._blocks(part)) for part in self._in_order())
        yield from run_blocks(pipeline, detector_of(self._task.rules).manifest, logs, self.tally, verdicts)
        if not self._task.rules.keep_open:
            yield from finish(pipeline, self.tally)

    def _in_order(self) -> Sequence[Part]:
        """The parts by the dates in their paths where each has its own, else by their first times; by their names where
        not all of them tell."""
        named = sorted(self._task.parts, key=lambda part: natural(part.where))
        if len(named) == 1:
            return named
        dates = [dated(part.where) for part in named]
        # A log's first rows cost much of what a small log costs; dates cost nothing.
        if "" not in dates and len(set(dates)) == len(dates):
            return [part for _, part in sorted(zip(dates, named, strict=True), key=lambda one: natural(one[0]))]
        firsts = [self._first(part) for part in named]
        if any(first is None for first in firsts):
            return named
        order = sorted(range(len(named)), key=lambda place: firsts[place] or 0)
        return [named[place] for place in order]

    def _first(self, part: Part) -> int | None:
        try:
            if part.spool:
                return next((int(block.time.min()) for block in self._spool(part).blocks()), None)
            return first_stamp(log_of(part), self._task.rules.mapping)
        except (LogError, OSError):
            return None  # it is told when the log is read

    def _blocks(self, part: Part) -> Iterator[Readings]:
        """A log's readings; what breaks off is noted, unless a log must be whole."""
        rules = self._task.rules
        try:
            if part.spool:
                yield from self._spool(part).blocks()
                return
            yield from read_log(
                log_of(part),
                rules.mapping,
                vehicle=self._task.vehicle,
                start=rules.start,
                strict=rules.strict,
                counts=self.tally.rows,
                on_bad=_only_counted,
                cells=self.tally.cells,
            )
        except (LogError, OSError) as error:
            if rules.strict:
                raise
            self.broken.append((part.where, str(error)))

    def _spool(self, part: Part) -> Spool:
        return Spool(Path(part.spool), part.where, self._task.vehicle, self._task.rules.mapping.names)


def _only_counted(message: str) -> None:
    """Bad rows are counted, and told by number at the end."""


def _days(output: Output) -> dict[int, int]:
    """Ticks by day."""
    days, ticks = np.unique(output.scored.ticks.time // DAY, return_counts=True)
    return dict(zip(days.tolist(), ticks.tolist(), strict=True))


def dropped_of(pipeline: Pipeline | None, tally: Tally) -> Dropped:
    """What was dropped or repaired, of readings and of the cells that they came from."""
    by_signal: dict[str, dict[str, int]] = {}
    if pipeline is not None:
        for reason, counted in pipeline.signal_counts.items():
            numbers = zip(pipeline.signals, counted.tolist(), strict=True)
            by_signal[reason] = {name: count for name, count in numbers if count}
    cells: Counter[str] = Counter()
    for (signal, _), count in tally.cells.items():
        cells[signal] += count
    by_signal[NO_NUMBER] = dict(cells)
    whole = (pipeline.counts if pipeline is not None else Counter[str]()) + tally.rows
    counts = {reason: count for reason, count in sorted(whole.items()) if reason != "rows" and reason not in by_signal}
    return Dropped(counts=counts, signals={reason: of for reason, of in sorted(by_signal.items()) if of})
