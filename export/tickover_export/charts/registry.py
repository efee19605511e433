"""The kinds of control chart. A new one joins here by one line."""

from typing import Final, get_args

from msgspec import ValidationError, convert

from tickover.core.manifest import Chart
from tickover_export.charts.base import ChartKind
from tickover_export.charts.change import Change
from tickover_export.charts.cusum import Cusum
from tickover_export.charts.ewma import Ewma
from tickover_export.charts.ewms import Ewms
from tickover_export.charts.frozen import Frozen
from tickover_export.charts.spike import Spike

Bank = Ewma | Ewms | Cusum | Change | Spike | Frozen
"""What ``[[charts.banks]]`` of a training configuration may hold."""

KINDS: Final[dict[str, type[ChartKind]]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Bank)}
"""Each kind by its name."""


def bank_of(chart: Chart) -> ChartKind:
    """The bank of a manifest's chart, with the chart's name; ValueError when kind or settings are not known here."""
    kind = KINDS.get(chart.kind)
    if kind is None:
        raise ValueError(f"chart {chart.name}: expected a kind of {', '.join(KINDS)}, got {chart.kind}")
    chosen = {"signals": chart.signals} if "signals" in kind.__struct_fields__ else {}
    try:
        return convert({"kind": chart.kind, "name": chart.name} | chosen | chart.settings, kind)
    except ValidationError as error:
        raise ValueError(f"chart {chart.name}: settings of {chart.kind}: {error}") from error
