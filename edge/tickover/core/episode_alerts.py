"""An episode under way, and the alerts about it: their ids, severity, named signals and freeze-frame."""

import uuid
from typing import Final

import msgspec
import numpy as np

from tickover.core.attribution import Attribution
from tickover.core.chart_signals import BoolArray
from tickover.core.freeze_frame import Ring, number
from tickover.core.manifest import EpisodePolicy, Manifest
from tickover.core.values import (
    Alert,
    Contribution,
    EndReason,
    Phase,
    Scores,
    Severity,
    TickBlock,
)

NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_DNS, "tickover")
"""Namespace of episode ids."""
MISSING_DIGITS: Final = 4
ORDER: Final = tuple(Severity)


class Episode(msgspec.Struct):
    """The episode at hand.

    ``told``: time of its newest alert, None while it waits for ``open_after_s``; ``known``: the newest tick that was
    not BLIND; ``low_since``: the first LOW tick after the newest HIGH; ``last``: the newest tick at which it was open.
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


class AlertMaker:
    """Makes the alerts about one vehicle's episodes under one detector; ``ring`` holds its newest ticks."""

    def __init__(self, manifest: Manifest, digest: str, vehicle: str, detector: str, policy: EpisodePolicy) -> None:
        self._digest, self._vehicle, self._detector, self._policy = digest, vehicle, detector, policy
        self._attribution = Attribution(manifest, policy.top_signals)
        self.ring = Ring(policy.freeze_frame_ticks, manifest.names)

    def severity(self, peak: float) -> Severity:
        """How bad an episode of this peak is."""
        if peak >= self._policy.critical_level:
            return Severity.CRITICAL
        return Severity.MAJOR if peak >= self._policy.major_level else Severity.WARNING

    def named(self, tick: int, ticks: TickBlock, scores: Scores, fresh: BoolArray) -> tuple[Contribution, ...]:
        """The signals to name at one tick of the block that the ring shows; ``fresh`` bool ``[T, C]``."""
        return self._attribution.at(tick, ticks, scores, fresh[tick], self.ring)

    def alert(
        self,
        episode: Episode,
        phase: Phase,
        named: tuple[Contribution, ...],
        upto: int,
        time: int,
        reason: EndReason | None = None,
    ) -> Alert:
        """The next message about an episode; the ring's ticks before ``upto`` are its freeze-frame.

        No clock and no random number: whoever runs the same ticks again makes the same alert, under the same id, and a
        receiver drops the repetition.
        """
        past, sequence = self.ring.rows(upto), episode.sequence
        episode.sequence += 1
        name = episode_id(self._vehicle, self._digest, self._detector, episode.start, episode.rewinds)
        return Alert(
            alert_id=str(uuid.uuid5(name, f"{phase.value}:{sequence}")),
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
            score=number(past.score[-1]),
            peak=episode.peak,
            signals=named,
            freeze_frame=self.ring.frame(upto),
            missing=round(float(np.isnan(past.observed).mean()), MISSING_DIGITS),
        )


def worse(severity: Severity, than: Severity) -> bool:
    """Whether one severity is above another."""
    return ORDER.index(severity) > ORDER.index(than)


def episode_id(vehicle: str, digest: str, detector: str, start: int, rewinds: int = 0) -> uuid.UUID:
    """UUIDv5 of what makes an episode unique; ``rewinds`` counts how often the vehicle's clock was put back before."""
    parts = [vehicle, digest, detector, str(start), *([str(rewinds)] if rewinds else [])]
    return uuid.uuid5(NAMESPACE, "\n".join(parts))
