"""The charts of clean trips, run through the exported graph itself with all limits at 1. No torch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tickover.core.chart_signals import ChartSignals
from tickover.core.manifest import Budget
from tickover.core.values import FloatArray
from tickover.model.detector import Detector
from tickover.model.session import open_bytes
from tickover_export.graph import build
from tickover_export.package import manifest_of, package
from tickover_export.spec import GraphSpec
from tickover_train.calibration.legs import legs_of
from tickover_train.calibration.scored import ScoredTrip, ScoredTrips
from tickover_train.stored.arrays import Again
from tickover_train.stored.room import Memory, Room
from tickover_train.trips import Trip, sources_of, values_of


def open_unlimited(weights: Mapping[str, FloatArray], spec: GraphSpec) -> Detector:
    """A detector whose charts come in their own units: every limit is 1."""
    limits = np.ones(len(spec.charts), np.float32)
    unstated = Budget(episodes=1.0, per_s=3600.0)
    proto = build(dict(weights), spec, limits)
    return Detector(open_bytes(package(proto, manifest_of(spec, limits, budget=unstated))))


def chart_trips(
    detector: Detector, trips: Sequence[Trip], seed: int = 0, *, settled: bool = False, room: Room | None = None
) -> Sequence[ScoredTrip]:
    """The trips in order as one vehicle's, as the device and ``evaluate`` run them, and once more cut into legs.

    What belongs to the vehicle (charts, baselines) is carried from trip to trip and from leg to leg; the network starts
    each anew. ``settled``: the vehicle has driven all of it once before, so that its slow means are where they belong.
    ``room``: where the charts are kept.
    """
    values = values_of(trips)
    whole, legs = ((room or Memory()).arrays() for _ in range(2))
    period, number = detector.manifest.tick_period_s, list[int]()

    def pieces() -> Iterator[FloatArray]:
        number.clear()
        for cut in legs_of(values, len(values), period, seed):
            number.append(len(cut))
            yield from cut

    for charts in charts_in_order(detector, values, settled=settled):
        whole.append(charts)
    for charts in charts_in_order(detector, Again(pieces), settled=settled):
        legs.append(charts)
    return ScoredTrips(sources_of(trips), whole, legs, number)


def charts_in_order(detector: Detector, trips: Iterable[FloatArray], *, settled: bool = False) -> Iterator[FloatArray]:
    """Charts ``[T, C]`` in their own units of one vehicle's trips ``[T, F]``, one after the other.

    Charts that a model has switched off read 0; those that are held because a signal is missing read NaN.
    ``settled``: the trips are run through twice.
    """
    manifest = detector.manifest
    units = np.array([chart.limit or 0.0 for chart in manifest.charts], np.float32)
    looks = ChartSignals.of(manifest)
    detector.reset(trip_only=False)
    for trip in trips if settled else ():
        detector.reset()
        detector.run(trip)
    for trip in trips:
        detector.reset()
        charts = detector.run(trip).chart * units
        charts[~looks.fresh(~np.isnan(trip))] = np.nan
        yield charts
