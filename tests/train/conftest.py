"""A small model file with random weights over three linked signals, and trips for it. No torch."""

from pathlib import Path

import numpy as np
import pytest

from tickover.core.manifest import (
    Budget,
    EpisodePolicy,
    Network,
    Signal,
)
from tickover_export.charts.cusum import Cusum
from tickover_export.charts.ewma import Ewma
from tickover_export.charts.ewms import Ewms
from tickover_export.graph import build, weight_shapes
from tickover_export.package import manifest_of, package
from tickover_export.spec import GraphSpec

SIGNALS = tuple(Signal(name=name, unit="V", low=-500.0, high=500.0, hold_s=3.0) for name in ("a", "b", "twin"))
BANKS = (
    Ewma(name="fast", span_s=10.0),
    Ewms(name="energy", span_s=30.0),
    Cusum(name="cusum", allowance=0.5, saturation=100.0),
)


def make_spec():
    return GraphSpec(
        name="small",
        signals=SIGNALS,
        network=Network(cell="gru", arch="autoencoder", hidden=6, bottleneck=3),
        tick_period_s=1.0,
        gap_limit_s=30.0,
        lateness_s=0.0,
        warm_up_ticks=20,
        banks=BANKS,
    )


def make_model(path: Path, limits: float = 2.5) -> Path:
    spec = make_spec()
    rng = np.random.default_rng(1)
    weights = {name: rng.normal(0, 0.2, shape).astype(np.float32) for name, shape in weight_shapes(spec).items()}
    weights |= {"scaler.center": np.array([20, 0, 40], np.float32), "scaler.scale": np.array([4, 2, 8], np.float32)}
    weights |= {"residual.center": np.zeros(3, np.float32), "residual.scale": np.ones(3, np.float32)}
    chart_limits = np.full(len(BANKS) * len(SIGNALS), limits, np.float32)
    chart_limits[-3:] *= 20
    budget = Budget(episodes=1.0, per_s=3600.0)
    policy = EpisodePolicy(close_after_s=10.0, hold_off_s=20.0)
    manifest = manifest_of(spec, chart_limits, budget=budget, episodes=policy)
    path.write_bytes(package(build(weights, spec, chart_limits), manifest))
    return path


def make_trip(seed, ticks=900):
    rng = np.random.default_rng(seed)
    a = 20 + 4 * np.sin(np.arange(ticks) / 11 + seed) + 0.3 * rng.standard_normal(ticks)
    b = 2 * rng.standard_normal(ticks)
    return np.stack((a, b, 2 * a + 0.05 * rng.standard_normal(ticks)), axis=1).astype(np.float32)


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("model") / "small.onnx")


@pytest.fixture(scope="session")
def trips():
    return [make_trip(seed) for seed in range(4)]


@pytest.fixture(scope="session")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    for seed in range(4):
        rows = [f"{tick},{a:.3f},{b:.3f},{c:.3f}" for tick, (a, b, c) in enumerate(make_trip(seed))]
        (folder / f"trip{seed}.csv").write_text("\n".join(["t_s,a,b,twin", *rows]) + "\n")
    return sorted(folder.glob("*.csv"))
