"""One graph that is the whole detector: missing values, scaling, network, residuals, charts, limits, score.

Inputs: ``x`` ``[T, B, F]`` in engineering units, NaN = missing, and each state ``[1, B, size]``. Outputs: ``score``
``[T, B]``, ``chart`` ``[T, B, C]``, ``expected`` ``[T, B, F]``, and each state's successor. T and B are free.
"""

from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper

from tickover.core.manifest import (
    CHART,
    EXPECTED,
    INPUT,
    SCORE,
    StateTensor,
)
from tickover.core.values import FloatArray
from tickover_export.cells import Weights, gates
from tickover_export.charts.base import ResidualTensors
from tickover_export.charts.fused import charts
from tickover_export.networks import ARCHITECTS, NORMALISED
from tickover_export.nodes import Nodes
from tickover_export.slow_means import baseline, input_drift
from tickover_export.spec import GraphSpec, InputDrift
from tickover_export.trip_age import ages, cold_spread, warm

OPSET: Final = 18
IR_VERSION: Final = 9
"""What onnx 1.14 wrote with opset 18; every onnxruntime from 1.15 reads it."""

PRODUCER: Final = "tickover"


def build(weights: Weights, spec: GraphSpec, limits: FloatArray) -> onnx.ModelProto:
    """The model without its metadata. ``limits`` ``[C]`` in the order of ``spec.charts``; inf switches a chart off.

    ValueError when a weight or limit is missing, misshapen or not finite, or the spec makes no sense.
    """
    check_spec(spec)
    check_weights(weights, spec)
    nodes = Nodes()
    _detector(nodes, spec, weights, _scales(spec, limits))
    signals = len(spec.signals)
    outputs = {SCORE: ("T", "B"), CHART: ("T", "B", len(limits)), EXPECTED: ("T", "B", signals)}
    graph = nodes.graph(spec.name, {INPUT: ("T", "B", signals)}, outputs)
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name=PRODUCER)


def states_of(spec: GraphSpec) -> tuple[StateTensor, ...]:
    """The state tensors of the graph that ``build`` makes, in order."""
    check_spec(spec)
    nodes = Nodes()
    zeros = {name: np.zeros(shape, np.float32) for name, shape in weight_shapes(spec).items()}
    scales = {name: np.ones_like(value) if name.endswith(".scale") else value for name, value in zeros.items()}
    _detector(nodes, spec, scales, np.zeros(len(spec.charts), np.float32))
    return tuple(nodes.states)


def _detector(nodes: Nodes, spec: GraphSpec, weights: Weights, scales: FloatArray) -> None:
    # The order of nodes is part of the file's bytes: a model of the same weights and spec has the same digest.
    mask, values = _normalise(nodes, spec, weights)
    normalised = values
    if spec.input_drift:
        moved = input_drift(nodes, spec, spec.input_drift, normalised, mask)
        # The subtraction moves missing values, which are 0, away from it; the mask puts them back.
        shifted = nodes.add("Sub", normalised, moved, name="climate/taken_off")
        normalised = nodes.add("Mul", shifted, mask, name=NORMALISED)
    network_input = nodes.add("Concat", normalised, mask, name="network/input", axis=-1)
    expected = ARCHITECTS[spec.network.arch](nodes, spec, weights, network_input)
    # Expected values are stated as the signal is, not as the network saw it.
    restored = nodes.add("Add", expected, moved, name="expected/restored") if spec.input_drift else expected
    in_units = nodes.add("Mul", restored, "scaler.scale", name="expected/scaled")
    nodes.add("Add", in_units, "scaler.center", name=EXPECTED)
    # Operators that nothing reads still cost a call: without warm-up and cold start the graph has no age.
    age = ages(nodes, mask, len(spec.signals)) if spec.warm_up_ticks or spec.cold else None
    valid = warm(nodes, mask, age, spec.warm_up_ticks) if age and spec.warm_up_ticks else mask
    off = _standard(nodes, weights, normalised, expected)
    if age and spec.cold:
        off = nodes.add("Div", off, cold_spread(nodes, spec, age), name="residual/aged")
    residual = _residual(nodes, spec, off, valid)
    tensors = ResidualTensors(residual, valid, values, tuple(signal.name for signal in spec.signals))
    raw = charts(nodes, spec.banks, tensors, spec.tick_period_s)
    nodes.add("Mul", raw, nodes.floats("chart.scale", scales), name=CHART)
    _score(nodes, mask)


def _normalise(nodes: Nodes, spec: GraphSpec, weights: Weights) -> tuple[str, str]:
    """Mask with 1 = present, and normalised values with 0 for missing, both ``[T, B, F]``, always finite."""
    # IsNaN and a Where between two constants say the same and cost 0.6 us more a tick (ADR 12).
    nought = nodes.add("Sub", INPUT, INPUT, name="x/nought")  # inf - inf is NaN too
    present = nodes.add("Greater", nought, nodes.floats("below", -1.0), name="present")  # false for NaN
    mask = nodes.add("Cast", present, name="mask", to=TensorProto.FLOAT)
    center, scale = (nodes.floats(name, weights[name]) for name in ("scaler.center", "scaler.scale"))
    # NaN must not reach a network cell: onnxruntime's GRU and LSTM swallow it silently. A missing value becomes the
    # centre, which is 0 once it is scaled.
    filled = nodes.add("Where", present, INPUT, center, name="x/filled")
    normalised = nodes.add("Div", nodes.add("Sub", filled, center, name="x/centred"), scale, name="x/scaled")
    name = "x/bounded" if spec.input_drift else NORMALISED
    return mask, _clip(nodes, normalised, spec.input_clip, name=name)


def _standard(nodes: Nodes, weights: Weights, normalised: str, expected: str) -> str:
    """The residual over its usual spread, ``[T, B, F]``."""
    off = nodes.add("Sub", normalised, expected, name="residual/off")
    centred = nodes.add("Sub", off, _floats(nodes, weights, "residual.center"), name="residual/centred")
    return nodes.add("Div", centred, _floats(nodes, weights, "residual.scale"), name="residual/raw")


def _residual(nodes: Nodes, spec: GraphSpec, raw: str, valid: str) -> str:
    """The standardised residual ``[T, B, F]``, less its baseline, clipped, 0 where not valid."""
    if spec.baseline_span_s is not None:
        clipped = _clip(nodes, raw, spec.clip, name="baseline/clipped")
        raw = nodes.add("Sub", raw, baseline(nodes, spec, clipped, valid), name="residual/levelled")
    clipped = _clip(nodes, raw, spec.clip, name="residual/clipped")
    return nodes.add("Mul", clipped, valid, name="residual")


def _score(nodes: Nodes, mask: str) -> None:
    """The largest chart; NaN (0 / 0) where no signal is present."""
    # 0 / 0 is NaN: no operator with a condition is needed to say that nothing is known.
    axis = nodes.integers("last/axis", [-1])
    largest = nodes.add("ReduceMax", CHART, axis, name="score/largest", keepdims=0)
    anything = nodes.add("ReduceMax", mask, axis, name="score/anything", keepdims=0)
    nodes.add("Div", nodes.add("Mul", largest, anything, name="score/known"), anything, name=SCORE)


def _clip(nodes: Nodes, x: str, limit: float, *, name: str) -> str:
    low, high = nodes.floats(f"{name}/low", -limit), nodes.floats(f"{name}/high", limit)
    return nodes.add("Clip", x, low, high, name=name)


def _floats(nodes: Nodes, weights: Weights, name: str) -> str:
    return nodes.floats(name, weights[name])


def _scales(spec: GraphSpec, limits: FloatArray) -> FloatArray:
    """What each chart of the graph is multiplied with: its unit over its limit; 0 switches it off."""
    limits = np.asarray(limits, dtype=np.float64)
    units = [chart.bank.unit for chart in spec.charts]
    if limits.shape != (len(units),) or not (limits > 0).all():
        raise ValueError(f"limits: expected {len(units)} positive numbers, got shape {limits.shape}: {limits.tolist()}")
    scales: FloatArray = (np.array(units) / limits).astype(np.float32)
    return scales


def weight_shapes(spec: GraphSpec) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight that the spec asks for."""
    network, signals = spec.network, len(spec.signals)
    stacked = gates(network.cell) * network.hidden
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(
        ("scaler.center", "scaler.scale", "residual.center", "residual.scale"), (signals,)
    )
    inputs = {"encoder": (3 if network.arch == "forecaster" else 2) * signals}
    if network.arch != "forecaster":
        shapes |= {"bottleneck.weight": (network.bottleneck, network.hidden), "bottleneck.bias": (network.bottleneck,)}
        inputs["decoder"] = network.bottleneck
    for cell, width in inputs.items():
        shapes |= {f"{cell}.weight_ih": (stacked, width), f"{cell}.weight_hh": (stacked, network.hidden)}
        shapes |= {f"{cell}.bias_ih": (stacked,), f"{cell}.bias_hh": (stacked,)}
    return shapes | {"output.weight": (signals, network.hidden), "output.bias": (signals,)}


def check_weights(weights: Weights, spec: GraphSpec) -> None:
    """ValueError when a weight is missing, unknown, misshapen or not finite, or a scale is not positive."""
    shapes = weight_shapes(spec)
    if shapes.keys() != weights.keys():
        missing, unknown = sorted(shapes.keys() - weights.keys()), sorted(weights.keys() - shapes.keys())
        raise ValueError(
            f"weights: expected those of the spec, got missing {missing or 'none'}, unknown {unknown or 'none'}"
        )
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ValueError(f"weights: {name}: expected shape {shape}, got {weights[name].shape}")
        if not np.isfinite(weights[name]).all():
            raise ValueError(f"weights: {name}: expected finite numbers")
        if name.endswith(".scale") and not (weights[name] > 0).all():
            raise ValueError(f"weights: {name}: expected positive numbers")


def check_spec(spec: GraphSpec) -> None:
    """ValueError when the spec makes no sense as a whole."""
    if spec.network.arch == "seq2seq" and (spec.network.window or 0) < 2:
        raise ValueError(f"spec: expected a window of 2 ticks or more for seq2seq, got {spec.network.window}")
    if not spec.signals or not spec.banks:
        raise ValueError("spec: expected at least one signal and one bank of charts")
    if spec.cold and len(spec.cold) != len(spec.signals):
        raise ValueError(f"spec: expected a cold start for each of {len(spec.signals)} signals, got {len(spec.cold)}")
    if spec.input_drift:
        _check_input_drift(spec.input_drift, len(spec.signals))
    names = [bank.name for bank in spec.banks]
    if len(set(names)) < len(names):
        raise ValueError(f"spec: bank names must be unique, got {names}")
    known = {signal.name for signal in spec.signals}
    for chart in spec.charts:
        if unknown := sorted(set(chart.signals) - known):
            raise ValueError(f"spec: bank {chart.bank.name}: expected signals of the model, got {unknown}")


def _check_input_drift(drift: InputDrift, signals: int) -> None:
    ranges = list(zip(drift.low, drift.high, strict=False))
    if len(drift.low) != signals or len(drift.high) != signals or any(low > high for low, high in ranges):
        raise ValueError(f"spec: expected a usual range low <= high for each of {signals} signals, got {ranges}")
