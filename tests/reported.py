"""What a report tells of, for its tests and measurements: a manifest without a model file, and alerts."""

from collections.abc import Sequence

from tickover.core.manifest import (
    Budget,
    Chart,
    Manifest,
    Network,
    Signal,
)
from tickover.core.values import (
    SECOND,
    Alert,
    Contribution,
    EndReason,
    FreezeFrame,
    Phase,
    Severity,
)

START = 1_772_431_200 * SECOND
"""2026-03-02 06:00:00 UTC."""


def manifest(names: Sequence[str], banks: Sequence[str], *, unit: str = "kPa", tick_period_s: float = 1.0) -> Manifest:
    """Signals with one chart in each bank, bank by bank."""
    return Manifest(
        name="truck",
        signals=tuple(Signal(name=name, unit=unit) for name in names),
        tick_period_s=tick_period_s,
        gap_limit_s=30,
        lateness_s=2,
        states=(),
        warm_up_ticks=30,
        charts=tuple(
            Chart(name=f"{name}.{bank}", signals=(name,), kind="ewma", limit=1.0, bound=8.0, clears_s=9.0)
            for bank in banks
            for name in names
        ),
        false_alarms=Budget(episodes=1, per_s=3600),
        network=Network(cell="gru", arch="autoencoder", hidden=8, bottleneck=4),
    )


def alert(
    phase: Phase,
    blame: Contribution,
    *,
    vehicle: str = "truck-1",
    number: int = 0,
    start: int,
    time: int,
    peak: float = 3.0,
) -> Alert:
    """One alert of a vehicle's episode ``number``; times in microseconds. Its score is the blamed chart's level."""
    ended = phase is Phase.END
    return Alert(
        alert_id=f"{number}-{phase}",
        episode_id=f"{vehicle}-{number}",
        vehicle=vehicle,
        detector="anomaly",
        model_digest="ab" * 32,
        phase=phase,
        sequence=0,
        severity=Severity.MAJOR,
        reason=EndReason.RECOVERED if ended else None,
        start=start,
        time=time,
        end=time if ended else None,
        score=blame.level,
        peak=peak,
        signals=(blame,),
        freeze_frame=FreezeFrame((), (), (), (), ()),
        missing=0.0,
    )
