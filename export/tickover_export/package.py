"""From a graph to a model file: manifest, golden vectors, full check, seal."""

from typing import Final

import numpy as np
import onnx
from msgspec import UNSET, structs
from onnx import helper, numpy_helper

from tickover.core.manifest import (
    KEY_GOLDEN,
    KEY_MANIFEST,
    Budget,
    Chart,
    EpisodePolicy,
    Manifest,
    Parity,
    Rung,
    Training,
)
from tickover.core.manifest_codec import encode
from tickover.core.values import FloatArray
from tickover.model.file import golden
from tickover.model.file.golden import Golden
from tickover.model.file.seal import seal
from tickover.model.session import start_session
from tickover_export.charts_off import WHY_OFF
from tickover_export.graph import states_of, weight_shapes
from tickover_export.spec import GraphSpec, Horizons

GOLDEN_SEED: Final = 20240229
GOLDEN_NUMBERS: Final = 9_600
"""Ticks times signals of the golden vectors: 300 ticks up to 32 signals, fewer with more."""
GOLDEN_LEAST_TICKS: Final = 60
GOLDEN_SPIKE: Final = 6.0
"""Height of the golden spike, in scaled units."""


def manifest_of(
    spec: GraphSpec,
    limits: FloatArray,
    *,
    budget: Budget,
    ladder: tuple[Rung, ...] = (),
    episodes: EpisodePolicy | None = None,
    horizons: Horizons | None = None,
    training: Training | None = None,
    versions: dict[str, str] | None = None,
    parity: Parity | None = None,
    log_mapping: str | None = None,
) -> Manifest:
    """What the model file says of itself. ``limits`` ``[C]`` as in ``graph.build``."""
    horizons = horizons or Horizons()
    parameters = sum(int(np.prod(shape)) for shape in weight_shapes(spec).values()) - 4 * len(spec.signals)
    return Manifest(
        name=spec.name,
        signals=spec.signals,
        tick_period_s=spec.tick_period_s,
        gap_limit_s=spec.gap_limit_s,
        lateness_s=spec.lateness_s,
        states=states_of(spec),
        warm_up_ticks=spec.warm_up_ticks,
        cold=spec.cold,
        charts=charts_of(spec, limits),
        kinds={bank.kind: bank.WORDS for bank in spec.banks},
        false_alarms=budget,
        ladder=ladder,
        episodes=episodes or EpisodePolicy(),
        network=structs.replace(spec.network, parameters=parameters),
        memory_horizon_s=horizons.memory_s,
        state_horizon_s=horizons.state_s,
        training=training or Training(),
        versions=versions or {},
        parity=parity,
        log_mapping=log_mapping or UNSET,
    )


def charts_of(spec: GraphSpec, limits: FloatArray) -> tuple[Chart, ...]:
    """The charts in the order of the output's columns."""
    return tuple(
        Chart(
            name=name,
            signals=signals,
            kind=bank.kind,
            limit=float(limit) if np.isfinite(limit) else None,
            bound=bank.bound(spec.clip),
            clears_s=bank.clearing_ticks(float(limit), bank.bound(spec.clip), spec.tick_period_s) * spec.tick_period_s,
            settings=bank.settings,
            why_off="" if np.isfinite(limit) else WHY_OFF,
            share=share,
            level=bank.LEVEL,
        )
        for (bank, name, signals), limit, share in zip(spec.charts, limits, spec.shares.tolist(), strict=True)
    )


def package(proto: onnx.ModelProto, manifest: Manifest) -> bytes:
    """The sealed model file of a graph from ``graph.build``; the same bytes for the same arguments on one machine."""
    model = onnx.ModelProto()
    model.CopyFrom(proto)
    manifest = structs.replace(manifest, spreads=_spreads(model))
    helper.set_model_props(model, {KEY_MANIFEST: encode(manifest)})
    onnx.checker.check_model(model, full_check=True)
    vectors = _golden(model, manifest)
    helper.set_model_props(model, {KEY_MANIFEST: encode(manifest), KEY_GOLDEN: golden.encode(vectors)})
    return seal(model.SerializeToString(deterministic=True))


def _spreads(model: onnx.ModelProto) -> tuple[float, ...]:
    """How far each signal's residual spreads, in its unit."""
    constants = {item.name: item for item in model.graph.initializer}
    scaler, residual = (numpy_helper.to_array(constants[f"{part}.scale"]) for part in ("scaler", "residual"))
    return tuple((scaler.astype(np.float64) * residual).ravel().tolist())


def _golden(model: onnx.ModelProto, manifest: Manifest) -> Golden:
    """Synthetic ticks and the graph's own answers."""
    constants = {item.name: item for item in model.graph.initializer}
    center, scale = (numpy_helper.to_array(constants[f"scaler.{part}"]) for part in ("center", "scale"))
    ticks = min(golden.MAX_TICKS, max(GOLDEN_LEAST_TICKS, GOLDEN_NUMBERS // len(center)))
    x = (center + scale * _wander(ticks, len(center))).astype(np.float32)
    reset = 2 * ticks // 3
    score, expected = golden.answers(start_session(model.SerializeToString()), manifest, x, reset)
    return Golden(x=x, reset=reset, score=score, expected=expected)


def _wander(ticks: int, signals: int) -> FloatArray:
    """Seeded noise that wanders, with a spike, each signal missing once, and all of them missing together."""
    random = np.random.default_rng(GOLDEN_SEED)
    steps = random.normal(size=(ticks, signals)).astype(np.float32)
    values = np.zeros_like(steps)
    for tick in range(ticks):
        values[tick] = 0.9 * values[tick - 1] + 0.4 * steps[tick]
    span = ticks // 15
    for signal in range(signals):
        start = int(random.integers(0, ticks - span))
        values[start : start + span, signal] = np.nan
    values[ticks // 5] = GOLDEN_SPIKE
    values[ticks // 3 : ticks // 3 + span] = np.nan
    return values
