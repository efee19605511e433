"""All detectors of one vehicle under one model: the episodes of its charts and those of its sensors, over one
freeze-frame. No I/O, no clock.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from tickover.core.chart_signals import BoolArray
from tickover.core.episode_block import Stops
from tickover.core.episodes import Episodes
from tickover.core.evidence import ALARM_LEVEL
from tickover.core.freeze_frame import Rows as Past
from tickover.core.ledger import Entry, Verdict
from tickover.core.manifest import EpisodePolicy, Manifest, SensorPolicy
from tickover.core.promise import Promise
from tickover.core.record import Judged, Record
from tickover.core.sensor_columns import SensorRow, SensorStep
from tickover.core.sensors import Sensors
from tickover.core.values import Alert, EndReason, FloatArray, Remark, Scores, TickBlock


class Watched(NamedTuple):
    """What a block gave: the ``scores`` with sensitivity and sensors in them, ``open`` bool ``[T]``, the alerts."""

    scores: Scores
    open: BoolArray
    alerts: list[Alert]


class Lent(NamedTuple):
    """What a watch with nothing to report lends to `tickover.core.watch_columns`: its newest ticks ``past``, the time
    of the ``newest``, how many of its trip came, what its sensors lend (None: none is looked at), and for how many more
    ticks its record needs only their number; given back, how many ``ticks`` there were."""

    past: Past
    newest: int
    age: int
    sensors: SensorRow | None
    room: int
    ticks: int = 0


class Watch:
    """Judges one vehicle's scored ticks.

    ``signals``: those whose sensors are reported on, None: all of the model's; another model may report the others.
    """

    __slots__ = ("_episodes", "_record", "_ring", "_sensors")

    def __init__(
        self,
        manifest: Manifest,
        digest: str,
        vehicle: str,
        detector: str = "anomaly",
        policy: EpisodePolicy | None = None,
        sensors: SensorPolicy | None = None,
        sensitivity: Mapping[str, float] | None = None,
        signals: Collection[str] | None = None,
    ) -> None:
        self._episodes = Episodes(manifest, digest, vehicle, detector, policy, sensitivity)
        self._ring = self._episodes.ring
        self._sensors = Sensors(manifest, digest, vehicle, self._ring, policy, sensors, sensitivity, signals)
        self._record = Record(manifest, policy or manifest.episodes)

    @property
    def is_open(self) -> bool:
        """Whether an episode is open now."""
        return self._episodes.is_open or self._sensors.is_open

    @property
    def silent(self) -> set[str]:
        """The signals of which an open episode says that they are not read."""
        return self._sensors.silent

    @property
    def holds(self) -> bool:
        """Whether what follows the vehicle slowly must stay as it is: the charts have an open episode, which did not
        open while the vehicle was new."""
        return self._episodes.is_open and not self._record.began_new

    @property
    def is_near(self) -> bool:
        """Whether the charts have an episode that is open or may open: each tick can then change :attr:`holds`."""
        return self._episodes.is_near

    @property
    def held_signals(self) -> BoolArray:
        """The signals ``[F]`` whose slow means stay as they are while :attr:`holds`. They only grow in number."""
        return self._episodes.about

    @property
    def following_signals(self) -> BoolArray:
        """Those of :attr:`held_signals` ``[F]`` whose slow means follow faster than usual instead."""
        return self._episodes.back

    def weigh(self, scores: Scores) -> Scores:
        """Scores ``[..., C]`` with each signal's sensitivity applied."""
        return self._episodes.weigh(scores)

    def first_over(self, scores: Scores) -> int | None:
        """The first tick whose (unweighed) scores may open an episode of the charts; None: no tick."""
        over = np.flatnonzero(self._episodes.weigh(scores).score >= ALARM_LEVEL)
        return int(over[0]) if len(over) else None

    def feed(self, ticks: TickBlock, scores: Scores, stops: Stops = "") -> Watched:
        """Work through ticks, at least one, with their (unweighed) scores; ``stops``: behind which of them to end, as
        if the others had not come."""
        scores = self._episodes.weigh(scores)
        self._ring.show(ticks, scores)
        open_, told, suspects = self._episodes.walk(ticks, scores, stops)
        if len(open_) < len(ticks.time):
            ticks, scores = ticks.part(slice(len(open_))), scores.at(np.s_[: len(open_)])
            self._ring.show(ticks, scores)
        judged = self._sensors.feed(ticks, suspects)
        self._ring.keep()
        if judged.level is not None and judged.open is not None:
            # A sensor that is over its limit is over the alarm limit, whatever the charts say or cannot say.
            # Of two NaN it is the graph's: which one `fmax` takes depends on where in memory they lie.
            worse = np.where(np.isnan(judged.level), scores.score, np.fmax(scores.score, judged.level))
            scores = Scores(worse, scores.chart, scores.expected)
            open_ = open_ | judged.open
        if judged.told:
            # By the tick that caused them, so that it does not matter how ticks are cut into blocks.
            told = sorted([*told, *judged.told], key=lambda one: one.tick)
        self._record.passed(ticks.time, told)
        self._take_limits()
        return Watched(scores, open_, [one.alert for one in told])

    @property
    def ring_size(self) -> int:
        """How many ticks a freeze-frame has."""
        return self._ring.size

    @property
    def sensor_steps(self) -> SensorStep | None:
        """How many vehicles' sensors advance side by side; None when none is looked at."""
        return None if self._sensors.is_idle else self._sensors.steps

    def lend(self, trip: int) -> Lent | None:
        """What it knows, until it is given back; None while there is anything but calm in this trip of the vehicle."""
        calm = self._episodes.calm_since
        if calm is None or self._episodes.trip != trip or self._record.follows:
            return None
        sensors = None
        if not self._sensors.is_idle:
            sensors = self._sensors.lend(trip)
            if sensors is None:
                return None
        return Lent(self._ring.rows(0), *calm, sensors, self._record.promise.room)

    def drop_lent(self) -> None:
        """What was lent is somewhere else, until it is given back."""
        self._ring.drop()
        self._sensors.drop_lent()

    def give(self, lent: Lent) -> None:
        """Go on from what was lent."""
        self._ring.hold(lent.past)
        self._episodes.calm_until(lent.newest, lent.age)
        self._record.passed_quietly(lent.ticks, lent.newest)
        if lent.sensors is not None:
            self._sensors.give(lent.sensors, self._episodes.trip)

    def advance(self, time: int) -> list[Alert]:
        """Event time reached ``time`` with no further tick before it."""
        return self._noted(self._episodes.advance(time))

    def end(self, reason: EndReason) -> list[Alert]:
        """End all open episodes after the last tick."""
        return self._noted(self._episodes.end(reason) + self._sensors.end(reason))

    def begin_trip(self, time: int, numbers: FloatArray) -> None:
        """Another trip begins, with the vehicle's flat state as the last one left it."""
        self._record.begin_trip(time, numbers)
        self._take_limits()

    def judge(self, name: str, verdict: Verdict) -> Judged | None:
        """See :meth:`Record.judge`."""
        judged = self._record.judge(name, verdict)
        self._take_limits()
        return judged

    def entry(self, name: str) -> Entry | None:
        """What is remembered of an episode, by the id of it or of an alert."""
        return self._record.ledger.find(name)

    def remarks(self) -> list[Remark]:
        """What is to be told apart from alerts, since the last call."""
        return self._record.take()

    @property
    def reached(self) -> int:
        """The time of the newest tick; 0 without one."""
        return self._record.reached

    @property
    def promise(self) -> Promise:
        """The promise meter."""
        return self._record.promise

    @property
    def adapted(self) -> dict[str, float]:
        """The limits that follow: chart to times the trained one."""
        return self._record.adapted

    def state(self) -> tuple[bytes, bytes, bytes]:
        """All that the next tick's fate depends on: of the charts' episodes, of the sensors, of the record."""
        return self._episodes.state(), self._sensors.state(), self._record.state()

    def restore(self, episodes: bytes, sensors: bytes, record: bytes = b"") -> None:
        """Continue from :meth:`state`; what is empty, from before there was such a thing, starts anew."""
        self._episodes.restore(episodes)
        if sensors:
            self._sensors.restore(sensors)
        if record:
            self._record.restore(record)
            self._take_limits()

    def _noted(self, alerts: list[Alert]) -> list[Alert]:
        for alert in alerts:
            self._record.note(alert)
        self._take_limits()
        return alerts

    def _take_limits(self) -> None:
        if self._record.moved:
            self._episodes.raise_limits(self._record.factors)
