"""What a fleet dropped or repaired: by reason, by signal, since the start. A count never falls."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from tickover.core.pipeline import Pipeline
from tickover.core.windows import IndexArray
from tickover.daemon.late import FleetGate

CLOCK_BACK: Final = "clock_back"


class FleetCounts:
    """Counts of the ``gate``, of readings before the detectors (`add`), and of the ``pipelines`` on the way to ticks.

    ``columns``: the signals of all models and of the gate.
    """

    def __init__(self, columns: tuple[str, ...], gate: FleetGate, pipelines: Iterable[Pipeline]) -> None:
        self._columns, self._gate, self._pipelines = columns, gate, list(pipelines)
        self._counts: Counter[str] = Counter()
        self._by_signal: dict[str, IndexArray] = {}
        self._before: Counter[str] = Counter()
        self._signals_before: dict[str, Counter[str]] = {}

    def add(self, reason: str, by_signal: IndexArray) -> None:
        """Count readings by signal, int64 ``[F]`` of the columns."""
        self._counts[reason] += int(by_signal.sum())
        self._by_signal[reason] = self._by_signal.get(reason, 0) + by_signal

    def clock_back(self) -> None:
        """A vehicle's clock was put back."""
        self._counts[CLOCK_BACK] += 1

    @property
    def totals(self) -> Counter[str]:
        """By reason, over all detectors and vehicles, those that sleep or were reset included."""
        return Counter(gated=self._gate.shut) + self._counts + self.of_ticks() - self._before

    @property
    def by_signal(self) -> dict[str, Counter[str]]:
        """The same of single signals, by name and reason."""
        total = self._signal_totals()
        for name, counts in total.items():
            counts.subtract(self._signals_before.get(name, Counter()))
        return {name: +counts for name, counts in total.items()}

    def of_ticks(self) -> Counter[str]:
        """Readings dropped or repaired on the way to ticks, by reason, over all detectors."""
        total: Counter[str] = Counter()
        for pipeline in self._pipelines:
            total.update(pipeline.counts)
        return total

    def from_now(self) -> None:
        """What was counted so far was counted by an earlier run, whose inputs were applied again."""
        self._before += self.totals
        self._signals_before = self._signal_totals()

    def _signal_totals(self) -> dict[str, Counter[str]]:
        total: dict[str, Counter[str]] = {}
        sources: list[tuple[tuple[str, ...], Mapping[str, IndexArray]]] = [(self._columns, self._by_signal)]
        sources += [(pipeline.signals, pipeline.signal_counts) for pipeline in self._pipelines]
        for names, by_reason in sources:
            for reason, counted in by_reason.items():
                for name, count in zip(names, counted.tolist(), strict=True):
                    if count:
                        total.setdefault(name, Counter())[reason] += count
        return total
