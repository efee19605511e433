"""The newest episodes of one vehicle, and what people said of them. Constant memory: the oldest is forgotten.

A verdict is given on the id of an episode or of any of its alerts. ``real``: there was a fault; ``known``: there was,
and nobody needs to hear of it; ``false``: there was none; ``none`` takes a verdict back.
"""

import uuid
from enum import StrEnum
from typing import Final

import msgspec

from tickover.core.episode_alerts import alert_id
from tickover.core.evidence import ALARM_LEVEL
from tickover.core.manifest import SENSOR_PREFIX
from tickover.core.values import Alert, Phase

KEPT: Final = 48
"""Episodes that are remembered."""
CHARTS: Final = 4
"""The most charts of an episode that are remembered."""


class Verdict(StrEnum):
    """What a person says of an episode."""

    NONE = "none"
    REAL = "real"
    FALSE = "false"
    KNOWN = "known"

    @property
    def counts(self) -> bool:
        """Whether an episode of this verdict counts against the false-alarm budget."""
        return self in (Verdict.NONE, Verdict.FALSE)


class Entry(msgspec.Struct, array_like=True):
    """An episode: ``id`` the bytes of its UUID, ``end`` None while it is open, ``alerts`` told so far, ``charts`` over
    their limits when it opened, the highest first, ``bucket`` the part of the promise meter that counted it.

    ``raised``: by chart, the natural logarithm by which its limit was raised for this episode (`core.adaptation`);
    ``automatic``: whether that was done without a person.
    """

    id: bytes
    detector: str
    start: int
    charts: tuple[str, ...]
    bucket: int
    end: int | None = None
    peak: float = 0.0
    alerts: int = 1
    verdict: Verdict = Verdict.NONE
    raised: dict[str, float] = {}
    automatic: bool = False

    @property
    def blamed(self) -> str:
        """The chart that opened it; a sensor's episode has its detector."""
        return self.charts[0] if self.charts else self.detector

    @property
    def name(self) -> str:
        """The episode's id."""
        return str(uuid.UUID(bytes=self.id))


class Ledger:
    """Those of one vehicle under one model, oldest first; ``entries`` are None before the first."""

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: list[Entry] | None = None

    def note(self, alert: Alert, bucket: int) -> Entry | None:
        """An alert was made; the entry of its episode, unless that is forgotten."""
        if alert.phase is Phase.START:
            entry = Entry(uuid.UUID(alert.episode_id).bytes, alert.detector, alert.start, _charts(alert), bucket)
            entry.peak = alert.peak
            self.entries = [*(self.entries or ())[1 - KEPT :], entry]
            return entry
        found = self._of_episode(uuid.UUID(alert.episode_id).bytes)
        if found is not None:
            found.peak, found.alerts = alert.peak, alert.sequence + 1
            found.end = alert.end if alert.phase is Phase.END else None
        return found

    def find(self, name: str) -> Entry | None:
        """The entry of an episode's or an alert's id; None for another, or one that is no id."""
        try:
            wanted = uuid.UUID(name)
        except ValueError:
            return None
        return self._of_episode(wanted.bytes) or self._of_alert(wanted)

    def _of_episode(self, number: bytes) -> Entry | None:
        return next((entry for entry in reversed(self.entries or ()) if entry.id == number), None)

    def _of_alert(self, wanted: uuid.UUID) -> Entry | None:
        """An alert's id is made of its episode's, its phase and its number: what could have been told is tried."""
        for entry in reversed(self.entries or ()):
            episode = uuid.UUID(bytes=entry.id)
            for number in range(entry.alerts):
                phases = (Phase.UPDATE, Phase.END) if number else (Phase.START,)
                if any(alert_id(episode, phase, number) == wanted for phase in phases):
                    return entry
        return None


def _charts(alert: Alert) -> tuple[str, ...]:
    """The charts that opened an episode, highest first."""
    if alert.detector.startswith(SENSOR_PREFIX):
        return ()
    over = [signal.chart for signal in alert.signals if signal.level >= ALARM_LEVEL]
    return tuple(dict.fromkeys(over))[:CHARTS]
