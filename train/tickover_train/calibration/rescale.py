"""New centre and scale for another truck: of its signals, and of the residuals that the old network then leaves."""

from collections.abc import Sequence

import numpy as np

from tickover.core.values import FloatArray
from tickover.model.detector import Detector
from tickover.model.session import open_bytes
from tickover_export.retune import Retuned
from tickover_train.calibration.residuals import least_scales, standard
from tickover_train.data import fit_scaler
from tickover_train.trips import Trip


def rescale(model: Retuned, trips: Sequence[Trip]) -> None:
    """Set ``scaler.*`` from the trips, then ``residual.*`` from what the network expects of them; limits are old still.

    For a truck whose signals lie elsewhere or span more or less: the network sees them in the range that it knows. How
    much wider residuals spread at a trip's start is the network's own and stays.
    """
    scaler = fit_scaler(trips)
    model.rescale({"scaler.center": scaler.center, "scaler.scale": scaler.scale})
    manifest = model.manifest
    residuals, least = residuals_of(model, trips), least_scales(trips, scaler)
    residual = standard(residuals, manifest.warm_up_ticks, manifest.cold, manifest.tick_period_s, least)
    model.rescale({"residual.center": residual.center, "residual.scale": residual.scale})


def residuals_of(model: Retuned, trips: Sequence[Trip]) -> list[FloatArray]:
    """Observed minus expected ``[T, F]`` of one vehicle's trips in order, in units of ``scaler.scale``."""
    detector = Detector(open_bytes(model.unlimited()))
    scale = model.scaling()["scaler.scale"]
    residuals = []
    for trip in trips:
        detector.reset()
        residuals.append(((trip.values - detector.run(trip.values).expected) / scale).astype(np.float32))
    return residuals
