"""The charts of clean trips, run through the exported graph itself with all limits at 1. No torch."""

from collections.abc import Mapping, Sequence

import numpy as np

from tickover.core.chart_signals import ChartSignals
from tickover.core.manifest import Budget
from tickover.core.values import FloatArray
from tickover.model.detector import Detector
from tickover.model.session import open_bytes
from tickover_export.graph import build
from tickover_export.package import manifest_of, package
from tickover_export.spec import GraphSpec
from tickover_train.calibration.legs import cut_legs
from tickover_train.calibration.limits import ScoredTrip
from tickover_train.data import Trip


def open_unlimited(weights: Mapping[str, FloatArray], spec: GraphSpec) -> Detector:
    """A detector whose charts come in their own units: every limit is 1."""
    limits = np.ones(len(spec.charts), np.float32)
    unstated = Budget(episodes=1.0, per_s=3600.0)
    proto = build(dict(weights), spec, limits)
    return Detector(open_bytes(package(proto, manifest_of(spec, limits, budget=unstated))))


def chart_trips(detector: Detector, trips: Sequence[Trip], seed: int = 0, *, settled: bool = False) -> list[ScoredTrip]:
    """The trips in order as one vehicle's, as the device and ``evaluate`` run them, and once more cut into legs.

    What belongs to the vehicle (charts, baselines) is carried from trip to trip and from leg to leg; the network starts
    each anew. ``settled``: the vehicle has driven all of it once before, so that its slow means are where they belong.
    """
    values = [trip.values for trip in trips]
    legs = cut_legs(values, detector.manifest.tick_period_s, seed)
    whole = charts_in_order(detector, values, settled=settled)
    pieces = iter(charts_in_order(detector, [leg for own in legs for leg in own], settled=settled))
    return [
        ScoredTrip(trip.source, charts, tuple(next(pieces) for _ in own))
        for trip, charts, own in zip(trips, whole, legs, strict=True)
    ]


def charts_in_order(detector: Detector, trips: Sequence[FloatArray], *, settled: bool = False) -> list[FloatArray]:
    """Charts ``[T, C]`` in their own units of one vehicle's trips ``[T, F]``, one after the other.

    Charts that a model has switched off read 0; those that are held because a signal is missing read NaN.
    """
    manifest = detector.manifest
    units = np.array([chart.limit or 0.0 for chart in manifest.charts], np.float32)
    looks = ChartSignals.of(manifest)
    scored = []
    detector.reset(trip_only=False)
    for trip in trips if settled else ():
        detector.reset()
        detector.run(trip)
    for trip in trips:
        detector.reset()
        charts = detector.run(trip).chart * units
        charts[~looks.fresh(~np.isnan(trip))] = np.nan
        scored.append(charts)
    return scored
