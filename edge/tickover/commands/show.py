"""``tickover show``: describe a model file."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import click
from msgspec import UNSET

from tickover.commands.ui.files import FILE
from tickover.commands.ui.words import aligned
from tickover.core.coverage import gaps
from tickover.core.ladder import rung_lines, why_unsupported
from tickover.core.manifest import HORIZON_TICKS, Manifest, Signal
from tickover.core.time_format import span
from tickover.model.session import Model, open_model

WIDER: Final = 1.5
"""A signal counts as cold while its residual spreads at least this many times wider than usual."""


@click.command()
@click.argument("model", type=FILE, metavar="MODEL.onnx")
def show(model: Path) -> None:
    """Describe MODEL.onnx: signals, tick period, memory, limits, episode policy, training and parity.

    The file is checked as before detection. Exit code 1 when it is refused.
    """
    for line in describe(open_model(model)):
        click.echo(line)


def describe(model: Model) -> Iterator[str]:
    """The lines, section by section."""
    manifest = model.manifest
    yield f"{manifest.name}: {_network(manifest)}"
    yield ""
    yield from _pairs(_facts(model))
    yield ""
    yield from _table(
        ("signal", "unit", "plausible range", "hold", "tick value", "SPN", "VSS path"), _signals(manifest)
    )
    yield ""
    yield "limits in standard residuals; clears in: from the bound to under the limit, once the residual is zero again"
    yield from _table(("chart", "kind", "limit", "bound", "clears in"), _charts(manifest))
    yield from _indented(gaps(manifest))
    yield ""
    if manifest.ladder:
        yield "budgets of false alarms that the model holds limits for (`tickover retune --false-alarms` moves to one)"
        yield from _pairs(rung_lines(manifest))
        yield ""
    yield from _pairs(_episodes(manifest))
    yield ""
    yield from _pairs(_sensors(manifest))


def _network(manifest: Manifest) -> str:
    network = manifest.network
    sizes = [f"hidden {network.hidden}"]
    if network.arch != "forecaster":
        sizes.append(f"bottleneck {network.bottleneck}")
    if network.window:
        sizes.append(f"window {network.window} ticks ({span(network.window * manifest.tick_period_s)})")
    return f"{network.cell.upper()} {network.arch}, {', '.join(sizes)}, {network.parameters:,} weights"


def _facts(model: Model) -> Iterator[tuple[str, str]]:
    manifest, budget = model.manifest, model.manifest.false_alarms
    state = sum(item.size for item in manifest.states) * 4
    yield "file", f"{model.size:,} bytes, sealed, golden vectors replayed on this machine"
    yield "digest", model.digest
    yield "tick", f"every {span(manifest.tick_period_s)}; late by up to {span(manifest.lateness_s)}"
    yield "trip", f"ends at a gap over {span(manifest.gap_limit_s)}; the first {_warm_up(manifest)} warm up"
    if manifest.cold:
        yield "cold start", _cold(manifest)
    yield "state", f"{state:,} bytes per vehicle: {', '.join(f'{item.name} {item.size}' for item in manifest.states)}"
    yield "memory", _horizon(manifest)
    yield "false alarms", f"limits set for {budget.episodes:g} in {span(budget.per_s)}{_realised(manifest)}"
    if budget.is_measured and (why := why_unsupported(budget)):
        yield "", f"not supported: {why}"
    yield "training", _training(manifest)
    yield "parity", _parity(manifest)
    yield "made by", ", ".join(f"{name} {version}" for name, version in sorted(manifest.versions.items())) or "unknown"


def _warm_up(manifest: Manifest) -> str:
    return f"{manifest.warm_up_ticks} ticks ({span(manifest.warm_up_ticks * manifest.tick_period_s)})"


def _cold(manifest: Manifest) -> str:
    """The signals whose residuals count less at a trip's start, for longer than the warm-up."""
    ages = {name: cold.over_s(WIDER) for name, cold in zip(manifest.names, manifest.cold, strict=True)}
    warm_up_s = manifest.warm_up_ticks * manifest.tick_period_s
    slow = [f"{name} {span(age)}" for name, age in ages.items() if age > warm_up_s]
    return f"after the warm-up, residuals spread over {WIDER:g} times the usual until: {', '.join(slow) or 'no signal'}"


def _horizon(manifest: Manifest) -> str:
    if manifest.memory_horizon_s is None:
        return "horizon not measured"
    farthest = HORIZON_TICKS * manifest.tick_period_s

    def length(horizon: float) -> str:
        return span(horizon) + (" or more" if horizon >= farthest else "")

    state = manifest.state_horizon_s
    through = f"; through the state {length(state)}" if state is not None else ""
    return f"reaches back {length(manifest.memory_horizon_s)}{through}"


def _realised(manifest: Manifest) -> str:
    budget = manifest.false_alarms
    if budget.realised is None:
        return "; not measured on held-out driving"
    interval = f" ({budget.low:.2g} to {budget.high:.2g})" if budget.low is not None and budget.high is not None else ""
    legs = ""
    if found := budget.legs:
        lengths = f"{span(found.shortest_s)} to {span(found.longest_s)}"
        legs = f"; in legs of {lengths} {found.realised:.2g} ({found.low:.2g} to {found.high:.2g})"
    return f"; on held-out driving it gave {budget.realised:.2g} an hour{interval} over {budget.hours:.3g} h{legs}"


def _training(manifest: Manifest) -> str:
    training = manifest.training
    data = f", data {training.data_sha256[:12]}" if training.data_sha256 else ""
    return f"{training.trips} trips, {training.hours:.3g} h, seed {training.seed}{data}"


def _parity(manifest: Manifest) -> str:
    parity = manifest.parity
    if parity is None:
        return "not proven"
    tiled = " (tiled from fewer)" if parity.tiled else ""
    return f"scores differ from torch's by at most {parity.error:.2g} over {parity.ticks:,} ticks{tiled}"


def _signals(manifest: Manifest) -> Iterator[Sequence[str]]:
    for signal in manifest.signals:
        yield (
            signal.name,
            signal.unit or "-",
            f"{signal.low:g} .. {signal.high:g}",
            span(signal.hold_s) if signal.hold_s else "none",
            signal.aggregation,
            "-" if signal.spn is None else str(signal.spn),
            signal.vss or "-",
        )


def _charts(manifest: Manifest) -> Iterator[Sequence[str]]:
    for chart in manifest.charts:
        limit, clears = ("off", "-") if chart.limit is None else (f"{chart.limit:.3g}", span(chart.clears_s))
        yield chart.name, manifest.kinds.get(chart.kind, chart.kind), limit, f"{chart.bound:g}", clears


def _episodes(manifest: Manifest) -> Iterator[tuple[str, str]]:
    policy = manifest.episodes
    yield "episode opens", f"after {span(policy.open_after_s)} at or over the limit"
    yield "closes", f"after {span(policy.close_after_s)} under {policy.close_level:g} of the limit"
    yield "re-alarm hold-off", span(policy.hold_off_s)
    yield "no data", f"ends the episode after {span(policy.no_data_s)}"
    yield "told again", f"every {span(policy.update_every_s)}, and when severity rises or another signal joins"
    yield "severity", f"major from {policy.major_level:g}, critical from {policy.critical_level:g} times the limit"


def _sensors(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """When a sensor is called faulty; of single signals, what differs from the policy."""
    policy = manifest.sensors
    yield "out of range", f"for {span(policy.outside_s)}{_own(manifest, 'outside_s')}"
    yield "no data", f"for {span(policy.stale_s)} beyond the hold while others come{_own(manifest, 'stale_s')}"
    yield "not read yet", f"for {span(policy.unseen_s)} since a start{_own(manifest, 'unseen_s')}"
    yield "frozen", f"for {span(policy.frozen_s)} while others move{_own(manifest, 'frozen_s')}"
    if levels := [f"{signal.name} {_levels(signal)}" for signal in manifest.signals if signal.frozen_at]:
        yield "frozen sooner", "; ".join(levels)
    constants = [f"{signal.name} {signal.constant:g}" for signal in manifest.signals if signal.constant is not None]
    yield "constants", f"{', '.join(constants) or 'none'}; told when they change for {span(policy.departed_s)}"


def _own(manifest: Manifest, key: str) -> str:
    own = [(signal.name, limit) for signal in manifest.signals if (limit := getattr(signal, key)) not in (None, UNSET)]
    return f"; {', '.join(f'{name} {span(limit)}' for name, limit in own)}" if own else ""


def _levels(signal: Signal) -> str:
    """At which values a signal is called frozen sooner than elsewhere."""
    steps = signal.frozen_at or ()
    sooner, ends = [], [*(f"{step.above:.4g}" for step in steps[1:]), ""]
    for place, (step, end) in enumerate(zip(steps, ends, strict=True)):
        if step.frozen_s != signal.frozen_s:
            begin = f"from {step.above:.4g}" if place else ""
            where = f"{begin} to {end}" if begin and end else begin or f"under {end}"
            sooner.append(f"{span(step.frozen_s)} {where}")
    return ", ".join(sooner)


def _pairs(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield from _indented(aligned(pairs))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield from _indented(aligned([head, *rows]))


def _indented(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield f"  {line}"
