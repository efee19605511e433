"""The manifest as JSON text: written in format 2, read in formats 2 and 1.

Format 1 (tickover 0.1) differs in three things, and a model file of that format means the same as ever: a chart looks
at one ``signal`` instead of several ``signals`` and has ``span_s`` and ``allowance`` instead of ``settings``; the kind
``ewms`` is called ``energy``; ``episodes.hold_off_s`` is called ``cool_down_s``. What format 1 could not say is off, so
that a file of that format gives the alerts that it always gave: no sensor episodes, no update at another signal, slow
means that go on while an episode is open, charts that a trip leaves over their limit, limits that stay as they are. A
new export switches them on, ``retune`` leaves them; ``[episodes]`` and ``[sensors]`` of a mapping or a configuration do
for an old file.
"""

import math
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from tickover.core.manifest import (
    FORMAT_VERSION,
    MAX_CHARTS,
    MAX_SIGNALS,
    MAX_STATE,
    Chart,
    EpisodePolicy,
    Manifest,
    Name,
    NotNegative,
    Positive,
    SensorPolicy,
)
from tickover.errors import ModelError

FIRST_FORMAT: Final = 1
LEAST_PERIOD: Final = 1000
"""The shortest tick period, in microseconds."""


def encode(manifest: Manifest) -> str:
    """The manifest as JSON text in the newest format, stable for equal manifests."""
    return msgspec.json.encode(manifest, order="deterministic").decode()


def decode(text: str | bytes) -> Manifest:
    """Read and check a manifest; ModelError says which key is wrong."""
    try:
        version = msgspec.json.decode(text, type=_Version).format_version
        if version not in (FIRST_FORMAT, FORMAT_VERSION):
            raise ModelError(
                f"manifest: expected format version {FIRST_FORMAT} or {FORMAT_VERSION}, got {version}; "
                "use a tickover that reads it, or export the model again"
            )
        first = version == FIRST_FORMAT
        manifest = _of_first(text) if first else msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ModelError(f"manifest: {error}") from error
    _check(manifest)
    return manifest


class _Version(Struct):
    format_version: int


class _FirstChart(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A chart of format 1; its kind was one of three."""

    name: Name
    signal: Name
    kind: Literal["ewma", "energy", "cusum"]
    limit: Positive | None
    bound: Positive
    clears_s: NotNegative
    span_s: Positive | None = None
    allowance: Positive | None = None

    def now(self) -> Chart:
        """The same chart in the newest format."""
        settings = {"span_s": self.span_s, "allowance": self.allowance}
        if self.kind == "cusum":
            settings["saturation"] = self.bound
        return Chart(
            name=self.name,
            signals=(self.signal,),
            kind=FIRST_KINDS[self.kind][0],
            limit=self.limit,
            bound=self.bound,
            clears_s=self.clears_s,
            settings={name: number for name, number in settings.items() if number is not None},
        )


class _FirstPolicy(EpisodePolicy, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The episode policy of format 1."""

    hold_off_s: NotNegative = msgspec.field(default=60.0, name="cool_down_s")


class _First(Manifest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole manifest of format 1; it had no ``kinds``."""

    charts: tuple[_FirstChart, ...]  # type: ignore[assignment]
    kinds: Annotated[dict[Name, str], Meta(max_length=0)] = {}  # noqa: RUF012
    episodes: _FirstPolicy = _FirstPolicy()


FIRST_KINDS: Final = {
    "ewma": ("ewma", "running mean of the residual"),
    "energy": ("ewms", "running root mean square of the residual"),
    "cusum": ("cusum", "cumulative sum of the residual"),
}
"""The kinds of format 1: what each is called now, and what its charts show."""

SINCE_SECOND: Final = ("update_on_signal", "hold_slow_means", "skip_carried", "adapt_limits")
"""Switches of the episode policy that format 1 did not have."""


def _of_first(text: str | bytes) -> Manifest:
    """Read format 1 as if it had been written today."""
    first = msgspec.json.decode(text, type=_First)
    parts = {field: getattr(first, field) for field in Manifest.__struct_fields__}
    parts["format_version"] = FORMAT_VERSION
    policy = {field: getattr(first.episodes, field) for field in EpisodePolicy.__struct_fields__}
    parts["charts"] = tuple(chart.now() for chart in first.charts)
    parts["episodes"] = EpisodePolicy(**policy | dict.fromkeys(SINCE_SECOND, False) | {"persist_s": 0.0})
    parts["sensors"] = SensorPolicy(kinds=())
    used = {chart.kind for chart in parts["charts"]}
    parts["kinds"] = {name: words for name, words in FIRST_KINDS.values() if name in used}
    return Manifest(**parts)


def _check(manifest: Manifest) -> None:
    """What types alone cannot say: sizes, unique names, charts over known signals, finite ranges."""
    names = manifest.names
    if not 1 <= len(names) <= MAX_SIGNALS:
        raise ModelError(f"manifest: expected 1 to {MAX_SIGNALS} signals, got {len(names)}")
    for what, items in (
        ("signal", names),
        ("chart", [chart.name for chart in manifest.charts]),
        ("state", [state.name for state in manifest.states]),
    ):
        _unique(what, items)
    _check_charts(manifest)
    _check_ladder(manifest)
    if manifest.cold and len(manifest.cold) != len(names):
        raise ModelError(f"manifest: expected a cold start for each of {len(names)} signals, got {len(manifest.cold)}")
    if manifest.spreads and len(manifest.spreads) != len(names):
        raise ModelError(f"manifest: expected a spread for each of {len(names)} signals, got {len(manifest.spreads)}")
    for signal in manifest.signals:
        if not (math.isfinite(signal.low) and math.isfinite(signal.high) and signal.low < signal.high):
            raise ModelError(
                f"manifest: signal {signal.name}: expected a plausible range low < high, "
                f"got {signal.low} .. {signal.high}"
            )
        if signal.constant is not None and not math.isfinite(signal.constant):
            raise ModelError(f"manifest: signal {signal.name}: expected a finite constant, got {signal.constant}")
    if sum(state.size for state in manifest.states) > MAX_STATE:
        raise ModelError(f"manifest: expected a state of at most {MAX_STATE} numbers, got more")
    if manifest.period < LEAST_PERIOD:
        raise ModelError(f"manifest: expected a tick period of at least 0.001 s, got {manifest.tick_period_s} s")


def _check_ladder(manifest: Manifest) -> None:
    """Rarer budgets after more frequent ones, each with a limit or None for every chart."""
    rates = [rung.budget.per_hour for rung in manifest.ladder]
    if any(later >= rate for rate, later in pairwise(rates)):
        raise ModelError(
            f"manifest: ladder: expected budgets from the most frequent to the rarest, got {rates} an hour"
        )
    for rung in manifest.ladder:
        if len(rung.limits) != len(manifest.charts):
            raise ModelError(
                f"manifest: ladder: expected {len(manifest.charts)} limits, one for each chart, got {len(rung.limits)}"
            )


def _unique(what: str, names: Iterable[str]) -> None:
    twice = sorted(name for name, number in Counter(names).items() if number > 1)
    if twice:
        raise ModelError(f"manifest: expected {what} names to be unique, got twice: {', '.join(twice)}")


def _check_charts(manifest: Manifest) -> None:
    """At least one chart, each over signals and of a kind that the manifest lists."""
    if not manifest.charts:
        raise ModelError("manifest: expected at least one chart")
    if len(manifest.charts) > MAX_CHARTS:
        raise ModelError(f"manifest: expected at most {MAX_CHARTS} charts, got {len(manifest.charts)}")
    for what, used, listed in (
        ("signals", {signal for chart in manifest.charts for signal in chart.signals}, manifest.names),
        ("kinds", {chart.kind for chart in manifest.charts}, manifest.kinds),
    ):
        if unknown := sorted(used - set(listed)):
            raise ModelError(f"manifest: expected charts over listed {what}, got {', '.join(unknown)}")
    for chart in manifest.charts:
        _unique(f"chart {chart.name}: signal", chart.signals)
