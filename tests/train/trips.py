"""Small made-up trips: four linked signals, so that each can be expected from the others."""

from pathlib import Path

import numpy as np

from tickover.logs.mapping import Mapping, SignalColumn, TickRule
from tickover_train.config import (
    CalibrationConfig,
    ChartsConfig,
    CorruptionConfig,
    FitConfig,
    NetworkConfig,
    TrainConfig,
)
from tickover_train.trips import Trip

NAMES = ("speed", "rpm", "load", "coolant")
MAPPING = Mapping(signals={name: SignalColumn() for name in NAMES}, ticks=TickRule(period_s=1.0))


def trip(seed: int, ticks: int = 400) -> np.ndarray:
    """Float32 ``[ticks, 4]``."""
    random = np.random.default_rng(seed)
    speed = np.zeros(ticks)
    for tick in range(1, ticks):
        speed[tick] = 0.98 * speed[tick - 1] + random.normal(0.0, 0.6)
    rpm = 900.0 + 40.0 * speed + random.normal(0.0, 10.0, ticks)
    load = 0.5 * np.gradient(speed) + 0.1 * speed + random.normal(0.0, 0.05, ticks)
    coolant = 90.0 - 60.0 * np.exp(-np.arange(ticks) / 100.0) + random.normal(0.0, 0.3, ticks)
    return np.stack([speed, rpm, load, coolant], axis=1).astype(np.float32)


def trips(number: int = 5, ticks: int = 400) -> list[Trip]:
    return [Trip(f"trip-{seed}", trip(seed, ticks + 37 * seed)) for seed in range(number)]


def write_logs(folder: Path, number: int = 5, ticks: int = 400) -> Path:
    """The same trips as CSV files with a time column in seconds."""
    folder.mkdir()
    for one in trips(number, ticks):
        rows = np.column_stack([np.arange(len(one.values)), one.values.astype(np.float64)])
        header = ",".join(("t_s", *NAMES))
        np.savetxt(folder / f"{one.source}.csv", rows, fmt="%.6g", delimiter=",", header=header, comments="")
    return folder


def tiny(cell: str = "gru", arch: str = "autoencoder", **fit: object) -> TrainConfig:
    """A configuration that trains in a second or so."""
    settings = {"epochs": 2, "batch_rows": 4, "chunk": 64, "threads": 1, "device": "cpu"} | fit
    return TrainConfig(
        network=NetworkConfig(cell=cell, arch=arch, hidden=8, bottleneck=3, window_s=8.0),  # type: ignore[arg-type]
        fit=FitConfig(**settings),  # type: ignore[arg-type]
        corruption=CorruptionConfig(span_s=20.0),
        charts=ChartsConfig(warm_up_s=20.0),
        calibration=CalibrationConfig(folds=2),
    )


def linked_trip(seed: int = 0, ticks: int = 900) -> np.ndarray:
    """Float32 ``[ticks, 3]``: a wave, a random walk, and a redundant sensor of the wave."""
    rng = np.random.default_rng(seed)
    a = 20 + 5 * np.sin(np.arange(ticks) / 11) + 0.1 * rng.standard_normal(ticks)
    b = np.cumsum(rng.standard_normal(ticks)) * 0.3
    return np.stack((a, b, 2 * a + 0.01 * rng.standard_normal(ticks)), axis=1).astype(np.float32)
