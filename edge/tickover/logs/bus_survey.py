"""What is on a recorded bus: every signal by its origin, unknown identifiers, messages of several frames, codes."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from tickover.core.values import SECOND, DoubleArray, TimeArray
from tickover.logs import profile
from tickover.logs.formats.base import Job
from tickover.logs.formats.can_log import CanLog
from tickover.logs.mapping import LogLayout, Mapping
from tickover.logs.profile import Series, SignalStatistics
from tickover.logs.reading import open_log
from tickover.payloads.can import j1939
from tickover.payloads.can.catalogue import MessageLayout
from tickover.payloads.can.decoder import QUALIFIER, SHORT, Decoded, Origin, split_column
from tickover.payloads.can.frames import EXTENDED
from tickover.payloads.can.interpreter import Interpreter
from tickover.payloads.can.layouts import SignalLayout
from tickover.payloads.can.obd import StoredCodes
from tickover.payloads.can.trouble_codes import ActiveCodes, Code, Diagnosis

SAMPLES: Final = 65_536
"""Readings of a signal that are kept to find its range, over all logs; the rest is counted only."""
FEWEST_SAMPLES, MOST_SAMPLES = 256, 8_192
"""Bounds on how many of them are of one log."""
MAX_SIGNALS: Final = 4_096
"""Signals told apart; a recording with ever new sources is cut off there, and says so."""
SHOWN_BAD: Final = 3
GAP: Final = 30 * SECOND
"""A longer time between two readings is a pause, and no interval."""


@dataclass(slots=True)
class Sample:
    """Some of a signal's readings in one log, evenly spread, however many there are."""

    limit: int
    stride: int = 1
    seen: int = 0
    time: TimeArray = field(default_factory=lambda: np.empty(0, np.int64))
    values: DoubleArray = field(default_factory=lambda: np.empty(0))

    def add(self, time: TimeArray, values: DoubleArray) -> None:
        """Take readings in order."""
        first = -self.seen % self.stride
        self.seen += len(time)
        self.time = np.concatenate([self.time, time[first :: self.stride]])
        self.values = np.concatenate([self.values, values[first :: self.stride]])
        while len(self.time) > self.limit:
            self.time, self.values, self.stride = self.time[::2], self.values[::2], 2 * self.stride


@dataclass(slots=True)
class Track:
    """One signal from one origin, over all logs. ``intervals``, ``spans``: readings that follow one, and the time
    between them, microseconds: as whole numbers, so that the size of blocks does not show."""

    column: str
    message: MessageLayout
    signal: SignalLayout
    origin: Origin
    readings: int = 0
    missing: Counter[int] = field(default_factory=Counter)
    low: float = math.inf
    high: float = -math.inf
    intervals: int = 0
    spans: int = 0
    last: int | None = None
    samples: list[Sample] = field(default_factory=list)
    logs: set[str] = field(default_factory=set)
    """The logs in which it has values."""
    falls: bool = False
    _previous: float = -math.inf

    @property
    def constant(self) -> bool:
        """One value, or none."""
        return self.readings == 0 or self.low == self.high

    @property
    def interval_s(self) -> float:
        """The mean time between readings, seconds; NaN when there are no two."""
        return self.spans / SECOND / self.intervals if self.intervals else math.nan

    @property
    def frames(self) -> int:
        """Frames that it was in."""
        return self.readings + self.missing.total()

    def share(self, why: int) -> float:
        """The share of its frames in which it was missing for this reason."""
        return self.missing[why] / self.frames if self.frames else 0.0

    def add(self, time: TimeArray, values: DoubleArray, why: np.ndarray) -> None:
        """Take what one block of frames has of it; ``time`` of each frame."""
        there = why == 0
        if not there.all():
            self.missing.update(why[~there].tolist())
            time, values = time[there], values[there]
        finite = np.isfinite(values)
        if not finite.all():
            time, values = time[finite], values[finite]
        if not len(time):
            return
        self.readings += len(time)
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        self.falls = self.falls or bool((np.diff(values, prepend=self._previous) < 0).any())
        self._previous = float(values[-1])
        steps = np.diff(time) if self.last is None else np.diff(time, prepend=self.last)
        steps = steps[(steps > 0) & (steps < GAP)]
        self.intervals += len(steps)
        self.spans += int(steps.sum())
        self.last = int(time[-1])
        self.samples[-1].add(time, values)

    def statistics(self) -> SignalStatistics:
        """Its figures as those of a column of a log; range and outliers from the sample, the rest exact."""
        series = [Series(one.time, one.values.astype(np.float32)[:, None]) for one in self.samples if len(one.time)]
        seen = profile.signal_statistics(series, 0, -math.inf, math.inf)
        if not self.readings:
            return replace(seen, rows=self.frames)
        return replace(
            seen, rows=self.frames, readings=self.readings, low=self.low, high=self.high, interval_s=self.interval_s
        )


@dataclass(slots=True)
class Survey:
    """All that was seen on the bus of some logs. ``start`` and ``end``: microseconds; ``bad``: the first bad lines."""

    layout: LogLayout
    seconds: float = 0.0
    frames: int = 0
    bad_rows: int = 0
    bad: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    tracks: dict[tuple[str, Origin], Track] = field(default_factory=dict)
    unknown: Counter[int] = field(default_factory=Counter)
    only_by_pgn: dict[str, str] = field(default_factory=dict)
    channels: set[int] = field(default_factory=set)
    warnings: tuple[str, ...] = ()
    codes: ActiveCodes = field(default_factory=ActiveCodes)
    stored: list[StoredCodes] = field(default_factory=list)
    texts: dict[tuple[int, int], str] = field(default_factory=dict)
    vehicles: dict[int, str] = field(default_factory=dict)
    diagnoses: Counter[tuple[str, int]] = field(default_factory=Counter)
    lamps: dict[tuple[str, int], tuple[int, ...]] = field(default_factory=dict)
    old_codes: dict[tuple[int, Code], int] = field(default_factory=dict)

    def take_lamps(self, message: Diagnosis) -> None:
        """Count a DM1 or DM2 by its source, with the lamps that were ever on; keep the codes that DM2 has stored."""
        place = (message.kind, message.source)
        self.diagnoses[place] += 1
        before = self.lamps.get(place, (0, 0, 0, 0))
        self.lamps[place] = tuple(1 if 1 in (old, new) else new for old, new in zip(before, message.lamps, strict=True))
        if message.kind == "DM2" and len(self.old_codes) < MAX_SIGNALS:
            for code in message.codes:
                self.old_codes.setdefault((message.source, code), message.time)

    @property
    def decoded_share(self) -> float:
        """The share of frames of which the message is known."""
        return self.counts["decoded_frames"] / self.frames if self.frames else 0.0

    def columns(self) -> dict[str, Track]:
        """The signals that have values, by the name that tells each from the others."""
        valued: dict[str, list[Track]] = {}
        for track in self.valued():
            valued.setdefault(track.column, []).append(track)
        named: dict[str, Track] = {}
        for column, tracks in valued.items():
            several = Counter(str(track.origin) for track in tracks)
            for track in sorted(tracks, key=lambda one: one.origin.with_bus):
                origin = str(track.origin)
                where = track.origin.with_bus if several[origin] > 1 else origin
                named[column if len(tracks) == 1 else f"{column}{QUALIFIER}{where}"] = track
        return named

    def valued(self) -> list[Track]:
        """The signals that have values. Buses tell them apart only where one log has a signal on several: in another
        log, or another recorder's, the same bus may have another name."""
        places: dict[tuple[str, int | None, int | None], list[Track]] = {}
        for track in self.tracks.values():
            if track.readings:
                places.setdefault((track.column, *track.origin[:2]), []).append(track)
        found: list[Track] = []
        for tracks in places.values():
            alone = len(set().union(*(track.logs for track in tracks))) == sum(len(track.logs) for track in tracks)
            found += [together(tracks)] if alone else tracks
        return found

    def track_of(self, column: str, source: int | None = None, bus: str = "") -> Track | None:
        """The signal that a mapped column stands for; of several sources that fit, the one of the lowest address."""
        name, origin = split_column(column)
        wanted = Origin(origin.source if source is None else source, origin.location, bus or origin.bus)
        fits = [
            one for one in self.tracks.values() if one.column == name and one.readings and wanted.covers(one.origin)
        ]
        first = min((str(one.origin) for one in fits), default="")
        return together([one for one in fits if str(one.origin) == first]) if fits else None

    def without_values(self) -> list[Track]:
        """The signals that were sent and never had a value."""
        return [track for track in self.tracks.values() if not track.readings]


def together(tracks: Sequence[Track]) -> Track:
    """One signal of several that are in different logs, under the name of the first one's bus."""
    first, *others = tracks
    if not others:
        return first
    missing: Counter[int] = sum((track.missing for track in tracks), Counter())
    return replace(
        first,
        readings=sum(track.readings for track in tracks),
        missing=missing,
        low=min(track.low for track in tracks),
        high=max(track.high for track in tracks),
        intervals=sum(track.intervals for track in tracks),
        spans=sum(track.spans for track in tracks),
        samples=[sample for track in tracks for sample in track.samples],
        logs=set().union(*(track.logs for track in tracks)),
        falls=any(track.falls for track in tracks),
    )


def survey(
    paths: Sequence[str | Path], layout: LogLayout, tell: Callable[[int, str], None] = lambda frames, name: None
) -> Survey:
    """Read recordings of a bus, in flat memory; ``tell`` hears how many frames were read so far, and of which log."""
    found = Survey(layout)
    limit = min(max(SAMPLES // len(paths), FEWEST_SAMPLES), MOST_SAMPLES)
    for path in paths:
        for track in found.tracks.values():
            track.samples.append(Sample(limit))
            track.last, track._previous = None, -math.inf
        _read(Path(path), found, limit, tell)
    return found


def _read(path: Path, found: Survey, limit: int, tell: Callable[[int, str], None]) -> None:
    with open_log(path, found.layout) as (stream, format_):
        bus = bus_of(format_)
        if bus is None:
            raise TypeError(f"{path} is no recording of a bus")
        bus.head(stream, found.layout, str(path))
        stream.seek(0)
        job = Job(str(path), Mapping(signals={}, log=found.layout), on_bad=found.bad.append)
        interpreter = bus.interpreter(job)
        found.warnings = interpreter.catalogue.warnings
        first: int | None = None
        last = 0
        for frames in bus.reader.frames(stream, job):
            if not len(frames):
                continue
            first = int(frames.time[0]) if first is None else first
            last = int(frames.time[-1])
            found.channels.update(np.unique(frames.channel).tolist())
            block = interpreter.take(frames)
            for message in block.diagnoses:
                found.codes.take(message)
                found.take_lamps(message)
            for one in block.decoded:
                _add(found, interpreter, one, block.time, limit, str(path))
            del found.bad[SHOWN_BAD:]
            found.frames += len(frames)
            tell(found.frames, path.name)
    interpreter.finish()
    found.codes.finish(last)
    found.texts |= interpreter.texts
    if interpreter.obd is not None:
        found.stored += interpreter.obd.stored
        found.vehicles |= interpreter.obd.identification
    found.seconds += (last - first) / SECOND if first is not None else 0.0
    found.bad_rows += job.counts["bad_rows"]
    found.counts += job.counts + interpreter.counts
    _unknown(found, interpreter)


def _add(found: Survey, interpreter: Interpreter, one: Decoded, time: TimeArray, limit: int, log: str) -> None:
    column = interpreter.column_of(one)
    track = found.tracks.get((column, one.origin))
    if track is None:
        if len(found.tracks) >= MAX_SIGNALS:
            found.counts["signals beyond the limit"] += 1
            return
        track = Track(column, one.message, one.signal, one.origin, samples=[Sample(limit)])
        found.tracks[column, one.origin] = track
    before = track.readings
    track.add(time[one.rows], one.values, one.why)
    if track.readings > before:
        track.logs.add(log)


def _unknown(found: Survey, interpreter: Interpreter) -> None:
    found.unknown += interpreter.unknown
    for key in interpreter.unknown:
        like = interpreter.catalogue.only_by_pgn(key)
        if like is not None and len(found.only_by_pgn) < SHOWN_BAD:
            found.only_by_pgn[shown_key(key)] = like.name


def bus_of(format_: object) -> CanLog | None:
    """The recording behind a log format; None when it is a log of rows."""
    bus = getattr(format_, "log", format_)
    return bus if isinstance(bus, CanLog) else None


def is_bus(path: str | Path) -> bool:
    """Whether a log is a recording of a bus; LogError when it cannot be opened."""
    with open_log(Path(path)) as (_, format_):
        return bus_of(format_) is not None


def shown_key(key: int) -> str:
    """An identifier as people write it, with its PGN and source where it has them."""
    if not key & EXTENDED:
        return f"{key:03X}"
    parts = j1939.parts(key)
    return f"{key & ~EXTENDED:08X} (PGN {parts.pgn:04X}, source {parts.source:02X})"


MISSING_WORDS: Final = {
    int(j1939.Missing.ERROR): "error",
    int(j1939.Missing.NOT_AVAILABLE): "n/a",
    int(j1939.Missing.RESERVED): "reserved",
    SHORT: "short",
}
