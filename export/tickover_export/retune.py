"""A finished model file with other limits, or other scaling: no weights are touched, no torch, no training data.

The graph holds them as named initialisers (``graph.build``): ``chart.scale`` (a chart's unit over its limit; 0 = off),
``scaler.*`` and ``residual.*``. Golden answers and seal are made anew, so the result has a digest of its own.
"""

from typing import Final

import numpy as np
import onnx
from msgspec import structs
from onnx import numpy_helper

from tickover.core.manifest import (
    Budget,
    Chart,
    Manifest,
    Rung,
    Training,
)
from tickover.core.values import FloatArray
from tickover.errors import ModelError
from tickover.model.session import open_bytes
from tickover_export.charts.base import ChartKind
from tickover_export.charts.registry import bank_of
from tickover_export.charts_off import WHY_OFF
from tickover_export.package import package

LIMITS: Final = "chart.scale"
SCALING: Final = ("scaler.center", "scaler.scale", "residual.center", "residual.scale")


class Retuned:
    """A model file opened for retuning; ModelError when it would not load, or has charts of a kind not known here."""

    def __init__(self, data: bytes) -> None:
        self.manifest: Manifest = open_bytes(data).manifest
        try:
            self._banks = [bank_of(chart) for chart in self.manifest.charts]
        except ValueError as error:
            raise ModelError(f"manifest: {error}") from error
        self._proto = onnx.load_from_string(data)
        self._constants = {item.name: item for item in self._proto.graph.initializer}

    @property
    def bounds(self) -> FloatArray:
        """What each chart can reach ``[C]``, in its own unit."""
        return np.array([chart.bound for chart in self.manifest.charts], np.float32)

    def scaling(self) -> dict[str, FloatArray]:
        """The arrays of ``SCALING``, ``[F]`` each."""
        return {name: self._read(name) for name in SCALING}

    def rescale(self, arrays: dict[str, FloatArray]) -> None:
        """Replace some of ``SCALING``; ValueError on another name or shape, or a scale that is not positive."""
        for name, array in arrays.items():
            if name not in SCALING or array.shape != self._read(name).shape or not np.isfinite(array).all():
                raise ValueError(f"{name}: expected one of {SCALING}, as finite numbers, one for each signal")
            if name.endswith(".scale") and not (array > 0).all():
                raise ValueError(f"{name}: expected positive numbers")
            self._write(name, array)

    def unlimited(self) -> bytes:
        """The model with every limit at 1: its charts come in their own units."""
        return self.finish(np.ones(len(self.manifest.charts), np.float32), self.manifest.false_alarms)

    def finish(
        self,
        limits: FloatArray,
        budget: Budget,
        training: Training | None = None,
        ladder: tuple[Rung, ...] | None = None,
    ) -> bytes:
        """The sealed model file with ``limits`` ``[C]`` (inf = off), set for ``budget``.

        ``ladder``: of the new limits; None: the one that the file has.
        """
        if limits.shape != self.bounds.shape or not (limits > 0).all():
            raise ValueError(f"limits: expected {len(self.bounds)} positive numbers, got {limits.tolist()}")
        charts = self.manifest.charts
        units = np.array([bank.unit for bank in self._banks])
        self._write(LIMITS, (units / limits.astype(np.float64)).astype(np.float32))
        period_s = self.manifest.tick_period_s
        changed = tuple(
            _limited(chart, bank, limit, period_s)
            for chart, bank, limit in zip(charts, self._banks, limits.tolist(), strict=True)
        )
        manifest = structs.replace(
            self.manifest,
            charts=changed,
            false_alarms=budget,
            ladder=self.manifest.ladder if ladder is None else ladder,
            training=training or self.manifest.training,
        )
        return package(self._proto, manifest)

    def _read(self, name: str) -> FloatArray:
        return np.asarray(numpy_helper.to_array(self._constants[name]), dtype=np.float32)

    def _write(self, name: str, array: FloatArray) -> None:
        shape = self._read(name).shape
        made = numpy_helper.from_array(np.ascontiguousarray(array.reshape(shape), dtype=np.float32), name)
        self._constants[name].CopyFrom(made)


def _limited(chart: Chart, bank: ChartKind, limit: float, period_s: float) -> Chart:
    """The chart with another limit, and with how long it then takes to clear."""
    clears_s = bank.clearing_ticks(limit, chart.bound, period_s) * period_s
    chart = structs.replace(chart, level=bank.LEVEL)
    if not np.isfinite(limit):
        return structs.replace(chart, limit=None, clears_s=clears_s, why_off=WHY_OFF)
    return structs.replace(chart, limit=limit, clears_s=clears_s, why_off="")
