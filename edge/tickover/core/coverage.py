"""What a model cannot alarm on: charts that are off, and signals that no chart looks at any more."""

from collections.abc import Iterator, Sequence
from typing import Final

from tickover.core.manifest import Chart, Manifest
from tickover.core.windows import IndexArray

UNUSABLE: Final = 0.2
UNKNOWN: Final = "the model file does not say why"


def charts_off(manifest: Manifest) -> tuple[Chart, ...]:
    """The charts without a limit."""
    return tuple(chart for chart in manifest.charts if chart.limit is None)


def unwatched(manifest: Manifest) -> tuple[str, ...]:
    """The signals that no chart with a limit looks at; constants are watched by their sensor."""
    watched = {name for chart in manifest.charts if chart.limit is not None for name in chart.signals}
    return tuple(signal.name for signal in manifest.signals if signal.name not in watched and signal.constant is None)


def unusable(names: tuple[str, ...], missing: Sequence[int] | IndexArray | None, ticks: int) -> list[tuple[str, float]]:
    """Signals without a usable value (missing, or out of range) in ``UNUSABLE`` of the ticks or more, and the share.

    ``missing`` ``[F]`` counts the ticks without one. Of such a signal a log says nothing, least of all that it is well.
    """
    if missing is None or not ticks:
        return []
    shares = ((name, int(count) / ticks) for name, count in zip(names, missing, strict=True))
    return [(name, share) for name, share in shares if share >= UNUSABLE]


def gaps(manifest: Manifest) -> Iterator[str]:
    """What the model cannot alarm on, for people, a line each; none for a model that watches all."""
    off = charts_off(manifest)
    if not off:
        return
    reasons: dict[str, list[str]] = {}
    for chart in off:
        reasons.setdefault(chart.why_off or UNKNOWN, []).append(chart.name)
    for reason, names in reasons.items():
        yield f"{len(names)} of {len(manifest.charts)} charts are off ({reason}): {', '.join(names)}"
    if len(off) == len(manifest.charts):
        yield "no chart has a limit: this model never alarms; only its sensors are watched"
    elif alone := unwatched(manifest):
        yield f"no chart watches {', '.join(alone)}: a deviation there never alarms"
