"""An episode under way, and the alerts about it: their ids, severity, named signals and freeze-frame."""

import uuid
from typing import Final, NamedTuple

import msgspec
import numpy as np

from tickover.core.decimals import number
from tickover.core.freeze_frame import Ring
from tickover.core.manifest import EpisodePolicy
from tickover.core.values import (
    Alert,
    Contribution,
    EndReason,
    Phase,
    Severity,
)

NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_DNS, "tickover")
"""Namespace of episode ids."""
MISSING_DIGITS: Final = 4
ORDER: Final = tuple(Severity)


class Episode(msgspec.Struct):
    """The episode at hand.

    ``told``: time of its newest alert, None while it waits for ``open_after_s``; ``known``: the newest tick that was
    not BLIND; ``low_since``: the first LOW tick after the newest HIGH; ``last``: the newest tick at which it was open;
    ``over``: what was over its limit so far (``Episodes`` numbers it), None in states from before that was remembered.
    """

    start: int
    rewinds: int
    known: int
    witness: list[bool]
    low_since: int | None = None
    peak: float = 0.0
    worst: tuple[Contribution, ...] = ()
    told: int | None = None
    last: int = 0
    sequence: int = 0
    severity: Severity = Severity.WARNING
    over: list[int] | None = None


class Told(NamedTuple):
    """An alert, and the place in the block of the tick that caused it."""

    tick: int
    alert: Alert


class AlertMaker:
    """Makes the alerts about one vehicle's episodes under one detector; ``ring`` holds its newest ticks."""

    __slots__ = ("_detector", "_digest", "_vehicle", "ring")

    def __init__(self, digest: str, vehicle: str, detector: str, ring: Ring) -> None:
        self._digest, self._vehicle, self._detector, self.ring = digest, vehicle, detector, ring

    def alert(
        self,
        episode: Episode,
        phase: Phase,
        named: tuple[Contribution, ...],
        upto: int,
        time: int,
        reason: EndReason | None = None,
        score: float | None = None,
    ) -> Alert:
        """The next message about an episode; the ring's ticks before ``upto`` are its freeze-frame.

        ``score`` is that of the detector, where it is not the model's at the freeze-frame's last tick.

        No clock and no random number: whoever runs the same ticks again makes the same alert, under the same id, and a
        receiver drops the repetition.
        """
        past, sequence = self.ring.rows(upto), episode.sequence
        episode.sequence += 1
        name = episode_id(self._vehicle, self._digest, self._detector, episode.start, episode.rewinds)
        return Alert(
            alert_id=str(alert_id(name, phase, sequence)),
            episode_id=str(name),
            vehicle=self._vehicle,
            detector=self._detector,
            model_digest=self._digest,
            phase=phase,
            sequence=sequence,
            severity=episode.severity,
            reason=reason,
            start=episode.start,
            time=time,
            end=episode.last if phase == Phase.END else None,
            score=number(past.score[-1]) if score is None else score,
            peak=episode.peak,
            signals=named,
            freeze_frame=self.ring.frame(upto),
            missing=round(float(np.isnan(past.observed).mean()), MISSING_DIGITS),
        )


def alert_id(episode: uuid.UUID, phase: Phase, sequence: int) -> uuid.UUID:
    """UUIDv5 of what makes an alert unique."""
    return uuid.uuid5(episode, f"{phase.value}:{sequence}")


def severity_of(peak: float, policy: EpisodePolicy) -> Severity:
    """How bad an episode of this peak is."""
    if peak >= policy.critical_level:
        return Severity.CRITICAL
    return Severity.MAJOR if peak >= policy.major_level else Severity.WARNING


def worse(severity: Severity, than: Severity) -> bool:
    """Whether one severity is above another."""
    return ORDER.index(severity) > ORDER.index(than)


def episode_id(vehicle: str, digest: str, detector: str, start: int, rewinds: int = 0) -> uuid.UUID:
    """UUIDv5 of what makes an episode unique; ``rewinds`` counts how often the vehicle's clock was put back before."""
    parts = [vehicle, digest, detector, str(start), *([str(rewinds)] if rewinds else [])]
    return uuid.uuid5(NAMESPACE, "\n".join(parts))
