"""How long a chart takes, from its bound, to fall under its limit once the residual is zero again."""

import math

from tickover_export.charts.graph import bound
from tickover_export.spec import ChartBank, decay


def clearing_ticks(bank: ChartBank, limit: float, clip: float, period_s: float) -> int:
    """Ticks until the chart is under ``limit``; 0 when the chart is off (inf) or cannot reach its limit.

    A mean falls by ``decay`` at every tick, the energy's square likewise, a CUSUM by its allowance.
    """
    top = bound(bank, clip)
    if limit > top:
        return 0
    if bank.kind == "cusum":
        return math.floor((top - limit) / (bank.allowance or top)) + 1
    kept = decay(bank.span_s or 0.0, period_s)
    if kept == 0.0:
        return 1
    power = 2 if bank.kind == "energy" else 1
    return math.floor(power * math.log(limit / top) / math.log(kept)) + 1
