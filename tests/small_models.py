"""Small models with seeded random weights. Run as a script, it writes those that ``tests/edge`` uses."""

from pathlib import Path

import numpy as np

from tickover.core.manifest import (
    ARCHITECTURES,
    CELLS,
    Budget,
    EpisodePolicy,
    Network,
    Signal,
)
from tickover_export.charts.base import ReferenceTicks
from tickover_export.charts.cusum import Cusum
from tickover_export.charts.ewma import Ewma
from tickover_export.charts.ewms import Ewms
from tickover_export.graph import build, weight_shapes
from tickover_export.package import manifest_of, package
from tickover_export.spec import GraphSpec

COMBINATIONS = [(cell, arch) for cell in CELLS for arch in ARCHITECTURES]

BANKS = (
    Ewma(name="fast", span_s=5.0),
    Cusum(name="sum", allowance=0.5, saturation=40.0),
    Ewms(name="energy", span_s=30.0),
    Ewma(name="slow", span_s=60.0),
)
SIGNALS = (
    Signal(name="coolant", unit="degC", low=-40.0, high=150.0, hold_s=5.0),
    Signal(name="rpm", unit="1/min", low=0.0, high=8000.0),
    Signal(name="speed", unit="km/h", low=0.0, high=250.0, hold_s=2.0),
)
FILES = {
    "gru_autoencoder.onnx": ("gru", "autoencoder", {"warm_up_ticks": 10}),
    "rnn_seq2seq.onnx": ("rnn", "seq2seq", {}),
    "lstm_forecaster.onnx": ("lstm", "forecaster", {"warm_up_ticks": 3, "baseline_span_s": 600.0}),
}
FOLDER = Path(__file__).parent / "models"


def small_spec(cell="gru", arch="autoencoder", *, signals=SIGNALS, hidden=6, banks=BANKS, **changes):
    network = Network(cell=cell, arch=arch, hidden=hidden, bottleneck=2, window=7 if arch == "seq2seq" else None)
    return GraphSpec(
        **{
            "name": f"{cell}_{arch}",
            "signals": signals,
            "network": network,
            "tick_period_s": 1.0,
            "gap_limit_s": 10.0,
            "lateness_s": 1.0,
            "warm_up_ticks": 5,
            "banks": banks,
        }
        | changes
    )


def reference_ticks(residual, spec, values=None):
    """What a chart's reference reads, all of one trip."""
    starts = np.arange(len(residual)) == 0
    values = residual if values is None else values
    return ReferenceTicks(residual, values, starts, tuple(signal.name for signal in spec.signals))


def many_signals(count):
    return tuple(Signal(name=f"s{place}") for place in range(count))


def random_weights(spec, seed=0):
    random = np.random.default_rng(seed)
    weights = {name: random.normal(0.0, 0.4, shape).astype(np.float32) for name, shape in weight_shapes(spec).items()}
    weights["scaler.center"] = random.uniform(0.0, 90.0, len(spec.signals)).astype(np.float32)
    weights["scaler.scale"] = random.uniform(0.5, 20.0, len(spec.signals)).astype(np.float32)
    weights["residual.scale"] = random.uniform(0.7, 1.5, len(spec.signals)).astype(np.float32)
    return weights


def limits_of(spec, off=(1,)):
    """Limits between 2 and 4; the charts named by place are off."""
    limits = np.linspace(2.0, 4.0, len(spec.charts)).astype(np.float32)
    limits[list(off)] = np.inf
    return limits


def ticks_of(spec, weights, ticks, seed=1, gaps=0.004):
    """Wandering values in engineering units with single and long gaps, and some trip starts."""
    random = np.random.default_rng(seed)
    signals = len(spec.signals)
    walk = np.zeros((ticks, signals))
    for tick in range(1, ticks):
        walk[tick] = 0.97 * walk[tick - 1] + random.normal(0.0, 0.3, signals)
    x = (weights["scaler.center"] + weights["scaler.scale"] * walk).astype(np.float32)
    x[random.random(x.shape) < 0.05] = np.nan
    x[ticks // 3 : ticks // 3 + ticks // 20] = np.nan
    x[ticks // 2 : ticks // 2 + ticks // 10, 0] = np.nan
    x[ticks // 4] = 1e30
    starts = random.random(ticks) < gaps
    starts[0] = True
    return x, starts


def model_bytes(spec, weights=None, limits=None):
    weights = random_weights(spec) if weights is None else weights
    limits = limits_of(spec) if limits is None else limits
    manifest = manifest_of(
        spec,
        limits,
        budget=Budget(episodes=1.0, per_s=3600.0),
        episodes=EpisodePolicy(close_after_s=5.0, hold_off_s=5.0),
        versions={"made by": "tests/small_models.py"},
    )
    return package(build(weights, spec, limits), manifest)


def spec_of_file(name):
    cell, arch, changes = FILES[name]
    return small_spec(cell, arch, **changes)


def main():
    FOLDER.mkdir(exist_ok=True)
    for name in FILES:
        (FOLDER / name).write_bytes(model_bytes(spec_of_file(name)))


if __name__ == "__main__":
    main()
