"""Episodes of single sensors, apart from the model's charts: out of range, no data, frozen, departed from a constant.

A sensor's detector is ``sensor.<kind>.<signal>``. It is *over* while its counter (``sensor_counters``) is at its limit
(``sensor_limits``); an episode opens at the end of the first bin that is over. Each bin of an open episode is ``HIGH``
(faulty), ``LOW`` (sound) or ``BLIND`` (nobody can know: parked, silent). It ends as ``recovered`` after
``close_after_s`` of ``LOW`` bins with no ``HIGH`` between, and as ``no_data`` when its signal is no longer read.
Silence alone ends none: a sensor that is unplugged for a week is one episode, told again each ``update_every_s``.
After that none opens for ``hold_off_s``. How ticks are cut into blocks never matters.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

import msgspec
import numpy as np

from tickover.core.chart_signals import BoolArray
from tickover.core.decimals import number
from tickover.core.episode_alerts import AlertMaker, Episode, Told, severity_of, worse
from tickover.core.evidence import Evidence
from tickover.core.freeze_frame import Ring
from tickover.core.manifest import SENSOR_KINDS, EpisodePolicy, Manifest, SensorKind, SensorPolicy
from tickover.core.once import once
from tickover.core.resample import join
from tickover.core.sensor_bins import Bins, binner_of
from tickover.core.sensor_block import Closed, Judged, by_trip
from tickover.core.sensor_columns import UNCOUNTED, SensorRow, SensorStep
from tickover.core.sensor_counters import Counters, Counts
from tickover.core.sensor_detectors import detector_of, evidence_of, named, no_values, place_of, reported_of
from tickover.core.sensor_limits import COUNTER, SensorLimits
from tickover.core.values import SECOND, Alert, Contribution, EndReason, Phase, TickBlock
from tickover.errors import StateError

STANDS: Final[frozenset[SensorKind]] = frozenset({"out_of_range", "frozen"})
"""Kinds whose end is no recovery while the charts' episode is about the signal."""


class _Lane(msgspec.Struct):
    """A detector with an open episode: ``level`` is its newest, ``named`` the signal as it was at the peak, ``low`` the
    microseconds of ``LOW`` bins since the newest ``HIGH``."""

    episode: Episode
    level: float = 0.0
    low: int = 0
    named: tuple[Contribution, ...] = ()


class _State(msgspec.Struct, frozen=True):
    """What :meth:`Sensors.state` saves; lanes and hold-offs by detector, ``bin`` the arrays of the unfinished one."""

    digest: str
    vehicle: str
    counters: bytes
    value: bytes
    trip: int
    last: int | None
    counted: int | None
    rewinds: int
    lanes: dict[str, _Lane]
    shut: dict[str, int]
    level: float | None
    bin: list[bytes]


class Sensors:
    """One vehicle's sensor episodes; see the module's docstring.

    ``signals`` are those to report on (None: all of the model's), a ``sensitivity`` of 0 mutes one. ``ring`` is the
    freeze-frame: whoever feeds this shows it the block first.
    """

    __slots__ = (
        *("_bin", "_binner", "_counted", "_counters", "_digest", "_gathered", "_lanes", "_last", "_level", "_limits"),
        *("_manifest", "_policy", "_reported", "_rewinds", "_ring", "_sensors", "_shut", "_trip", "_value", "vehicle"),
    )

    def __init__(
        self,
        manifest: Manifest,
        digest: str,
        vehicle: str,
        ring: Ring,
        policy: EpisodePolicy | None = None,
        sensors: SensorPolicy | None = None,
        sensitivity: Mapping[str, float] | None = None,
        signals: Collection[str] | None = None,
    ) -> None:
        self.vehicle, self._digest, self._manifest, self._ring = vehicle, digest, manifest, ring
        self._policy, self._sensors = policy or manifest.episodes, sensors or manifest.sensors
        self._binner = once(binner_of, manifest)
        self._counters = Counters(len(manifest.signals), self._binner.width)
        self._limits = once(SensorLimits, manifest, self._policy, self._sensors, self._binner)
        self._reported = once(reported_of, manifest, sensitivity, signals)
        self._value = once(no_values, manifest)
        self._trip, self._rewinds = -1, 0
        self._last: int | None = None
        self._counted: int | None = None
        self._lanes: dict[str, _Lane] = {}
        self._shut: dict[str, int] | None = None
        self._level: float | None = None
        self._bin: Bins | None = None
        self._gathered: list[TickBlock] | None = None

    @property
    def is_open(self) -> bool:
        """Whether an episode is open now."""
        return bool(self._lanes)

    @property
    def silent(self) -> set[str]:
        """The signals of which an episode says that they are not read."""
        start = detector_of("no_data", "")
        return {name.removeprefix(start) for name in self._lanes if name.startswith(start)}

    def feed(self, ticks: TickBlock, suspects: BoolArray | None = None) -> Judged:
        """Work through a block of ticks, at least one, that the ring shows.

        ``suspects`` bool ``[T, F]``: signals that the charts' open episode is about. One that is back in its range, or
        moves again, and deviates there, has not recovered.
        """
        judged = Judged(len(ticks.time))
        judged.suspects = suspects
        if self.is_idle:
            return judged
        judged.set(0, self._level, self.is_open)
        if self._is_inside(ticks):
            self._gathered = [*(self._gathered or ()), ticks]
        else:
            for closed in by_trip(self._closed(ticks)):
                self._of_trip(closed, ticks, judged)
        self._last = int(ticks.time[-1])
        return judged

    @property
    def is_idle(self) -> bool:
        """Whether no kind is looked for, and none of before is open: nothing is counted."""
        return not (self._sensors.kinds or self._lanes or self._level)

    @property
    def steps(self) -> SensorStep:
        """How many vehicles' sensors advance side by side."""
        return SensorStep(self._binner, self._limits, self._reported)

    def lend(self, trip: int) -> SensorRow | None:
        """What `steps` go on from until it is given back, in the trip at hand; None while anything is wrong, or when
        no bin of the trip has been counted yet. In a vehicle's first trip none need be: its counters are as a trip
        begins."""
        if self._lanes or self._level is not None or self._last is None:
            return None
        if self._trip != trip and not self._is_new:
            return None
        self._fold()
        if self._bin is not None and int(self._bin.trip[0]) != trip:
            return None
        counted = UNCOUNTED if self._counted is None else self._counted
        return SensorRow(self._counters.lend(), self._value, self._bin, self._last, counted)

    @property
    def _is_new(self) -> bool:
        """Whether no bin of the vehicle was ever counted."""
        return self._counted is None and self._trip < 0

    def drop_lent(self) -> None:
        """What was lent is somewhere else, until it is given back."""
        if not self.is_idle:
            self._counters.drop()
            self._bin = self._gathered = None
            self._value = once(no_values, self._manifest)

    def give(self, row: SensorRow, trip: int) -> None:
        """Go on from what was lent in that trip."""
        self._counters.give(row.numbers)
        self._value, self._last = row.value.copy(), row.last
        self._bin, self._gathered = row.bin, None
        if row.counted != UNCOUNTED:
            self._counted, self._trip = row.counted, trip

    def end(self, reason: EndReason) -> list[Alert]:
        """End all open episodes after the last tick, without a hold-off when the state starts anew."""
        alerts = [] if self._last is None else [self._ended(name, reason, self._last, 0) for name in list(self._lanes)]
        self._level = None
        if reason in (EndReason.RESET, EndReason.MODEL_CHANGED):
            self._shut = None
        return alerts

    def state(self) -> bytes:
        """All that the next tick's fate depends on."""
        self._fold()
        return msgspec.msgpack.encode(
            _State(
                digest=self._digest,
                vehicle=self.vehicle,
                counters=self._counters.state(),
                value=self._value.astype("<f4").tobytes(),
                trip=self._trip,
                last=self._last,
                counted=self._counted,
                rewinds=self._rewinds,
                lanes=self._lanes,
                shut=self._shut or {},
                level=self._level,
                bin=[] if self._bin is None else self._bin.encode(),
            )
        )

    def restore(self, state: bytes) -> None:
        """Continue from :meth:`state`; StateError when it is damaged, or of another model or vehicle."""
        signals = len(self._manifest.signals)
        try:
            saved = msgspec.msgpack.decode(state, type=_State)
            value = np.frombuffer(saved.value, "<f4").astype(np.float32).reshape(signals)
            bin_ = Bins.decode(saved.bin, signals) if saved.bin else None
        except (msgspec.MsgspecError, ValueError) as error:
            raise StateError(f"state of sensors: damaged: {error}") from error
        if saved.digest != self._digest or saved.vehicle != self.vehicle:
            raise StateError(
                f"state of sensors: expected vehicle {self.vehicle} and model {self._digest[:12]}, "
                f"got {saved.vehicle} and {saved.digest[:12]}"
            )
        self._counters.restore(saved.counters)
        self._value, self._trip, self._last, self._counted = value, saved.trip, saved.last, saved.counted
        self._rewinds, self._lanes, self._level = saved.rewinds, saved.lanes, saved.level
        self._shut = saved.shut or None
        self._bin, self._gathered = bin_, None

    def _is_inside(self, ticks: TickBlock) -> bool:
        """Whether a block is one tick that closes no bin, as most of a live truck are: nothing is decided."""
        if len(ticks.time) > 1:
            return False
        time, width = int(ticks.time[0]), self._binner.width
        if self._binner.fills(time):
            return False
        begun = self._gathered[0] if self._gathered else self._bin
        if begun is None:
            return True
        return bool(ticks.trip[0] == begun.trip[0]) and time // width == int(begun.time[0]) // width

    def _closed(self, ticks: TickBlock) -> Closed:
        """The bins that the block closes; what it leaves unfinished is remembered."""
        if self._bin is not None:
            self._fold()
        # Ticks that wait are of one bin that none of them closed: it closes at this block's start at the earliest.
        gathered, self._gathered = self._gathered or [], None
        waited = len(gathered)
        ticks = join([*gathered, ticks]) or ticks
        width, length = self._binner.width, len(ticks.time) - waited
        starts = self._binner.starts(ticks)
        bins = self._binner.summarise(ticks, starts, self._value)
        self._value = bins.value[-1].copy()
        upto = np.append(starts[1:], len(ticks.time)) - waited
        # A bin is closed by the tick that fills it; where that never came, by the next tick there is.
        at = upto - ((bins.last + self._binner.period) % width == 0)
        if self._bin is not None:
            if self._bin.trip[0] == bins.trip[0] and self._bin.time[0] // width == bins.time[0] // width:
                whole = self._binner.joined(self._bin, bins.part(slice(0, 1)))
                bins = whole.then(bins.part(slice(1, None)))
            else:
                bins = self._bin.then(bins)
                upto, at = np.insert(upto, 0, 0), np.insert(at, 0, 0)
        closed = Closed(bins, at, upto)
        if at[-1] < length:
            self._bin = None
            return closed
        self._bin = bins.part(slice(-1, None)).copied()
        return closed.part(0, len(at) - 1)

    def _fold(self) -> None:
        """Bring the ticks that wait into the unfinished bin."""
        ticks, self._gathered = join(self._gathered or []), None
        if ticks is not None:
            part = self._binner.summarise(ticks, np.zeros(1, np.int64), self._value)
            self._value = part.value[-1].copy()
            self._bin = part if self._bin is None else self._binner.joined(self._bin, part)

    def _of_trip(self, closed: Closed, ticks: TickBlock, judged: Judged) -> None:
        """Judge closed bins of one trip, at least one."""
        trip, begin = int(closed.bins.trip[0]), int(closed.bins.time[0])
        if trip != self._trip:
            if self._counted is not None and begin <= self._counted:
                self._clock_back(closed, judged)
            self._counters.begin_trip()
            self._trip = trip
        while len(closed.at):
            before = self._counters.copy()
            counts = self._counters.count(closed.bins)
            over = self._limits.over(counts, closed.bins)
            for places in over.values():
                places &= self._reported
            done, cleared = self._walk(closed, counts, over, judged)
            if cleared:
                # The counters of an episode that ended start anew; the bins behind were counted without that.
                self._counters = before
                self._counters.count(closed.bins.part(slice(0, done)))
                for kind, column in cleared:
                    self._counters.clear(COUNTER[kind], column)
            self._counted = int(closed.bins.last[done - 1])
            closed = closed.part(done, len(closed.at))

    def _clock_back(self, closed: Closed, judged: Judged) -> None:
        """Times from before the clock was put back say nothing about those after it."""
        assert self._counted is not None
        tick, upto = int(closed.at[0]), int(closed.upto[0])
        for name in list(self._lanes):
            judged.told.append(Told(tick, self._ended(name, EndReason.NO_DATA, self._counted, upto)))
        self._counters.forget_times()
        self._shut = None
        self._rewinds += 1
        self._level = None
        judged.set(tick, None, False)

    def _walk(
        self, closed: Closed, counts: Counts, over: dict[SensorKind, BoolArray], judged: Judged
    ) -> tuple[int, list[tuple[SensorKind, int]]]:
        """Judge bins one by one, up to the first at which an episode ends: how many, and which ended there.

        Leaps over bins in which nothing is open and nothing is over its limit.
        """
        busy = np.zeros(len(closed.at), np.bool_)
        for places in over.values():
            busy |= places.any(axis=1)
        row = 0
        cleared: list[tuple[SensorKind, int]] = []
        while row < len(busy) and not cleared:
            if not self._lanes and not busy[row] and self._level is None:
                ahead = np.flatnonzero(busy[row:])
                if not len(ahead):
                    return len(busy), []
                row += int(ahead[0])
            level: float | None = None
            for kind, column in self._due(over, row, busy=bool(busy[row])):
                found, ended = self._step(kind, column, closed, row, counts, over, judged)
                level = found if level is None or (found is not None and found > level) else level
                cleared += [(kind, column)] if ended else []
            self._level = level
            judged.set(int(closed.at[row]), level, self.is_open)
            row += 1
        return row, cleared

    def _due(self, over: dict[SensorKind, BoolArray], row: int, *, busy: bool) -> Iterator[tuple[SensorKind, int]]:
        """Kind and column of each sensor that is open or over its limit, in a fixed order."""
        lanes = {place_of(self._manifest, name) for name in self._lanes}
        for kind in SENSOR_KINDS:
            columns = {column for one, column in lanes if one == kind}
            if busy and kind in over:
                columns |= set(np.flatnonzero(over[kind][row]).tolist())
            yield from ((kind, column) for column in sorted(columns))

    def _step(
        self,
        kind: SensorKind,
        column: int,
        closed: Closed,
        row: int,
        counts: Counts,
        over: dict[SensorKind, BoolArray],
        judged: Judged,
    ) -> tuple[float | None, bool]:
        """One bin of one sensor: its level when it is over its limit, and whether its episode ended."""
        name = detector_of(kind, self._manifest.names[column])
        bins, tick, upto = closed.bins, int(closed.at[row]), int(closed.upto[row])
        time = int(bins.last[row])
        is_over = kind in over and bool(over[kind][row, column])
        level = self._limits.level(kind, column, bins, row)
        lane = self._lanes.get(name)
        if lane is None:
            if time >= (self._shut or {}).get(name, time):
                lane = self._opened(name, counts.began(COUNTER[kind], row, column), level)
                self._tell(name, lane, Phase.START, kind, closed, row, judged)
            return level, False
        evidence = evidence_of(kind, column, bins, row, is_over)
        if kind in STANDS and evidence is Evidence.LOW and judged.is_suspect(tick, column):
            evidence = Evidence.BLIND
        lane.level = lane.level if np.isnan(bins.worst[row, column]) and kind == "out_of_range" else level
        lane.low = 0 if evidence is Evidence.HIGH else lane.low + self._binner.width * (evidence is Evidence.LOW)
        gone = kind != "no_data" and self._limits.is_gone(column, counts, row)
        if (
            gone
            or lane.low >= round(self._policy.close_after_s * SECOND) > 0
            or (evidence is Evidence.LOW and not self._policy.close_after_s)
        ):
            reason = EndReason.NO_DATA if gone else EndReason.RECOVERED
            judged.told.append(Told(tick, self._ended(name, reason, time, upto)))
            return None, True
        lane.episode.last = time
        if lane.level > lane.episode.peak:
            lane.episode.peak = lane.level
            lane.named = self._named(kind, column, lane.level, bins, row, upto)
        rises = worse(severity_of(lane.episode.peak, self._policy), lane.episode.severity)
        told = lane.episode.told or 0
        if rises or time - told >= round(self._sensors.update_every_s * SECOND):
            self._tell(name, lane, Phase.UPDATE, kind, closed, row, judged)
        return (None if lane.low else lane.level), False

    def _opened(self, name: str, start: int, level: float) -> _Lane:
        episode = Episode(start=start, rewinds=self._rewinds, known=start, witness=[], peak=level)
        self._lanes[name] = lane = _Lane(episode, level)
        return lane

    def _tell(
        self, name: str, lane: _Lane, phase: Phase, kind: SensorKind, closed: Closed, row: int, judged: Judged
    ) -> None:
        """A start or an update at the end of a bin."""
        upto, time = int(closed.upto[row]), int(closed.bins.last[row])
        _, column = place_of(self._manifest, name)
        told = self._named(kind, column, lane.level, closed.bins, row, upto)
        lane.named = lane.named or told
        lane.episode.severity = severity_of(lane.episode.peak, self._policy)
        lane.episode.told = lane.episode.last = time
        alert = self._maker(name).alert(lane.episode, phase, told, upto, time, score=number(np.float32(lane.level)))
        judged.told.append(Told(int(closed.at[row]), alert))

    def _ended(self, name: str, reason: EndReason, time: int, upto: int) -> Alert:
        """Forget an open episode; its end alert, with the ring's ticks before ``upto`` as the freeze-frame."""
        lane = self._lanes.pop(name)
        self._shut = self._shut or {}
        self._shut[name] = time + round(self._policy.hold_off_s * SECOND)
        score = number(np.float32(lane.level)) if lane.low == 0 else 0.0
        return self._maker(name).alert(lane.episode, Phase.END, lane.named, upto, time, reason, score=score)

    def _maker(self, name: str) -> AlertMaker:
        return AlertMaker(self._digest, self.vehicle, name, self._ring)

    def _named(
        self, kind: SensorKind, column: int, level: float, bins: Bins, row: int, upto: int
    ) -> tuple[Contribution, ...]:
        expected = self._ring.rows(upto).expected[-1, column]
        return named(self._manifest, expected, kind, column, level, bins, row)
