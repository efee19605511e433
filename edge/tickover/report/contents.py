"""What the report shows: ticks, episodes and counts of a replay, gathered tick by tick in bounded memory."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tickover.core.chart_signals import ChartSignals
from tickover.core.manifest import Manifest
from tickover.core.values import (
    Alert,
    Contribution,
    EndReason,
    Phase,
    ScoredTicks,
    Severity,
)
from tickover.payloads.can.told_codes import ToldCode
from tickover.report.log_rows import LogSpan
from tickover.report.pyramid import Pyramid
from tickover.report.windows import Windows

PYRAMID_VALUES: Final = 480_000
"""Numbers in all pyramids of a page; 2 bytes each, a third more as base64."""
WINDOW_VALUES: Final = 960_000
"""Numbers in all full-resolution windows of a page."""
FIELDS: Final = 4
"""Numbers per bucket and signal: low, high, expected, level."""
CAPACITY: Final = (128, 4096)
"""Fewest and most buckets of a pyramid."""
VEHICLES: Final = 12
"""Vehicles that are drawn; the episodes of the others are listed only."""
CODES: Final = 500
"""Trouble codes that are listed and drawn; further ones are only counted."""
EPISODES: Final = 500
"""Episodes that are listed; beyond, those of the lowest peaks are only counted."""


@dataclass(slots=True)
class Story:
    """One row of the episode table; ``signals`` are those of the alert with the highest score."""

    vehicle: str
    start: int
    last: int
    end: int | None
    severity: Severity
    reason: EndReason | None
    peak: float
    signals: tuple[Contribution, ...]
    told_at: float


class Track:
    """One vehicle: its pyramid, its windows and its counts."""

    def __init__(self, manifest: Manifest, charts: ChartSignals) -> None:
        signals = len(manifest.signals)
        self.pyramid = Pyramid(manifest.period, charts, bucket_capacity(signals, 1))
        self.windows = Windows(manifest.period, window_capacity(signals, 1))
        self.ticks = 0
        self.scored = 0
        self.trips = 0
        self.missing = np.zeros(signals, dtype=np.int64)
        self.first: int | None = None
        self.last = 0
        self._trip: int | None = None

    def add(self, scored: ScoredTicks, alerts: list[Alert]) -> None:
        """Take in a block of ticks and its alerts."""
        self.pyramid.add(scored)
        self.windows.add(scored, alerts)
        ticks = scored.ticks
        if not len(ticks.time):
            return
        self.ticks += len(ticks.time)
        self.scored += int(np.count_nonzero(~np.isnan(scored.scores.score)))
        self.missing += np.count_nonzero(np.isnan(ticks.values), axis=0)
        self.trips += int(np.count_nonzero(np.diff(ticks.trip))) + (int(ticks.trip[0]) != self._trip)
        self._trip = int(ticks.trip[-1])
        low, high = int(ticks.time.min()), int(ticks.time.max())
        self.first = low if self.first is None else min(self.first, low)
        self.last = max(self.last, high)


class Contents:
    """What one page shows.

    ``add`` takes the pipeline's outputs one after another; memory does not grow with their number. ``title`` is the
    page's heading, ``digest`` the model's, ``each`` the word for what is drawn apart: a vehicle, or a log
    (``jobs.log_segments``), ``zone`` a time zone that the page offers beside UTC and the viewer's. Vehicles beyond
    ``VEHICLES`` and episodes beyond ``EPISODES`` are counted only.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        title: str = "tickover report",
        digest: str = "",
        each: str = "vehicle",
        zone: str = "",
    ) -> None:
        self.manifest = manifest
        self.title = title
        self.digest = digest
        self.each = each
        self.zone = zone
        self.tracks: dict[str, Track] = {}
        self.undrawn: Counter[str] = Counter()
        self.unlisted = 0
        self.codes: list[tuple[str, ToldCode]] = []
        self.codes_unlisted = 0
        self.logs: list[LogSpan] = []
        self._stories: dict[str, Story] = {}
        self._charts = ChartSignals.of(manifest)

    @property
    def episodes(self) -> list[Story]:
        """The listed episodes, in order of their start; log by log where each counts from its own."""
        stories = list(self._stories.values())
        return stories if self.each == "log" else sorted(stories, key=lambda story: (story.start, story.vehicle))

    def add(self, scored: ScoredTicks, alerts: list[Alert]) -> None:
        """Take in a block of one vehicle's ticks and the alerts that it caused."""
        vehicle = scored.ticks.vehicle
        track = self.tracks.get(vehicle)
        if track is None and len(self.tracks) < VEHICLES:
            track = self.tracks[vehicle] = Track(self.manifest, self._charts)
        if track is None:
            self.undrawn[vehicle] += len(scored.ticks.time)
        else:
            track.add(scored, alerts)
        for alert in alerts:
            self._tell(alert)

    def add_codes(self, vehicle: str, codes: Sequence[ToldCode]) -> None:
        """Take in the trouble codes of one recording of a vehicle's bus."""
        room = CODES - len(self.codes)
        self.codes += [(vehicle, code) for code in codes[:room]]
        self.codes_unlisted += max(0, len(codes) - room)

    def add_log(self, log: LogSpan) -> None:
        """Take in what is known of a log, so that episodes can name it."""
        self.logs.append(log)

    def fit(self) -> None:
        """Share the page's room between the vehicles that are drawn."""
        drawn = max(1, len(self.tracks))
        signals = len(self.manifest.signals)
        for track in self.tracks.values():
            track.pyramid.shrink(bucket_capacity(signals, drawn))
            track.windows.shrink(window_capacity(signals, drawn))

    def _tell(self, alert: Alert) -> None:
        story = self._stories.get(alert.episode_id)
        if story is None:
            if alert.phase is not Phase.START and self.unlisted:
                return
            story = Story(alert.vehicle, alert.start, 0, None, alert.severity, None, 0.0, alert.signals, -1.0)
            self._stories[alert.episode_id] = story
            self._make_room()
        level = alert.score if alert.score is not None else 0.0
        if alert.phase is not Phase.END and level > story.told_at:
            story.signals, story.told_at = alert.signals, level
        story.severity, story.peak, story.last = alert.severity, alert.peak, alert.time
        story.end, story.reason = alert.end, alert.reason

    def _make_room(self) -> None:
        if len(self._stories) > EPISODES:
            ended = [episode for episode, story in self._stories.items() if story.reason is not None]
            if ended:
                del self._stories[min(ended, key=lambda episode: self._stories[episode].peak)]
                self.unlisted += 1


def bucket_capacity(signals: int, vehicles: int) -> int:
    """Buckets that one of several vehicles may fill on a page."""
    fewest, most = CAPACITY
    return int(np.clip(PYRAMID_VALUES // (FIELDS * signals * vehicles), fewest, most))


def window_capacity(signals: int, vehicles: int) -> int:
    """Ticks of full resolution that one of several vehicles may show on a page."""
    return WINDOW_VALUES // (2 * signals * vehicles)
