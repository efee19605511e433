"""The streaming bill per truck: state bytes and microseconds a tick of a recurrent net and of its rivals.

All are opened by the product's own ``start_session`` (one thread) and called as the product calls: arrays bound once.
They take turns in short rounds, and the figure of each is its fastest tenth, so that other work on the machine counts
little. The speed of a call also depends on where its memory lies, so each setting is measured in several processes
of its own. The input is random, states and windows are zero.

``streaming_bill.py`` prints the bill; ``streaming_bill.py HIDDEN TRUCKS`` is one of those processes, and prints JSON.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import rivals
from msgspec import structs
from onnx import helper

sys.path.append(str(Path(__file__).resolve().parents[1]))

from small_models import many_signals, model_bytes, random_weights, small_spec
from tickover.core.manifest import INPUT, ColdStart
from tickover.model.binding import Bound
from tickover.model.session import open_bytes, start_session
from tickover_export.cells import carry, run
from tickover_export.networks import autoencoder
from tickover_export.nodes import Nodes
from tickover_export.spec import GraphSpec, InputDrift
from tickover_train.config import ChartsConfig, NetworkConfig

SIGNALS: Final = 16
INPUTS: Final = 2 * SIGNALS
WINDOW_LSTM: Final = 60
WINDOW_ATTENTION: Final = 128
CONTEXTS: Final = (1_000, 10_000, 100_000)
SIZES: Final = {32: (8, 20), 64: (12, 38), 128: (24, 71)}
"""Hidden size to bottleneck and transformer width (2 layers), chosen for nearly equal parameter counts."""
TRUCKS: Final = (1, 4, 8, 64)
LAYERS: Final = 2
FLOAT: Final = 4
PROCESSES: Final = 5
ROUNDS: Final = 41
ROUND_S: Final = 0.0005
"""How long each contender is called in a round, at least once."""
QUICK: Final = 10
"""The percentile of the rounds that is reported."""

NETWORK: Final = "streaming GRU"
LSTM: Final = f"window LSTM ({WINDOW_LSTM}, run again)"
FULL: Final = f"transformer ({WINDOW_ATTENTION}, run again)"
CACHED: Final = f"transformer ({WINDOW_ATTENTION}, cache)"
DETECTOR: Final = "whole detector: GRU and charts"
ONE: Final = "one GRU operator alone"
EMPTY: Final = "a call that does nothing"

DEFAULT_HIDDEN: Final = NetworkConfig().hidden
"""What ``tickover train`` makes unless told otherwise."""


Measured = dict[str, dict[str, Any]]
"""By contender: parameters, state bytes, and the microseconds of a call in every round."""


@dataclass(frozen=True)
class Contender:
    """A call for one tick of all trucks; its network's weights; what it keeps between ticks, per truck."""

    call: Bound
    parameters: int
    state_bytes: int


def bound(session: Any, sizes: Mapping[str, int]) -> Bound:
    """The session with an array for every input and output; ``sizes`` says what its free dimensions are."""
    inputs, outputs = (
        {value.name: np.zeros([sizes.get(size, size) for size in value.shape], np.float32) for value in values}
        for values in (session.get_inputs(), session.get_outputs())
    )
    inputs[INPUT][:] = np.random.default_rng(0).normal(size=inputs[INPUT].shape)
    return Bound(session, inputs, outputs)


def product_spec(hidden: int) -> GraphSpec:
    """The product's default model but for its size."""
    charts = ChartsConfig()
    spec = small_spec(
        signals=many_signals(SIGNALS),
        banks=charts.banks,
        warm_up_ticks=round(charts.warm_up_s),
        baseline_span_s=charts.baseline_span_s,
        cold=(ColdStart(excess=1.0, fades_s=60.0),) * SIGNALS,
        input_drift=InputDrift(low=(-2.0,) * SIGNALS, high=(2.0,) * SIGNALS, span_s=charts.input_drift_span_s),
    )
    network = structs.replace(spec.network, hidden=hidden, bottleneck=SIZES[hidden][0])
    whole: GraphSpec = structs.replace(spec, network=network)
    return whole


def streaming_gru(hidden: int, trucks: int) -> Contender:
    """The product's network alone, by its own graph builder: like is compared with like."""
    spec, nodes = product_spec(hidden), Nodes()
    weights = random_weights(spec)
    expected = autoencoder(nodes, spec, weights, INPUT)
    size = sum(array.size for name, array in weights.items() if name.split(".")[0] not in ("scaler", "residual"))
    return streaming(nodes, expected, SIGNALS, size, trucks)


def one_operator(hidden: int, trucks: int) -> Contender:
    """Its encoder's operator and nothing else: half of what a recurrent autoencoder cannot do without."""
    spec, nodes = product_spec(hidden), Nodes()
    weights = random_weights(spec)
    h = run(nodes, "gru", "encoder", INPUT, weights, carry(nodes, "gru", "encoder", hidden))
    size = sum(array.size for name, array in weights.items() if name.startswith("encoder."))
    return streaming(nodes, h, hidden, size, trucks)


def streaming(nodes: Nodes, output: str, width: int, parameters: int, trucks: int) -> Contender:
    """A graph of the product's builder from ``x`` ``[T, B, 2F]`` to ``output`` ``[T, B, width]``."""
    graph = nodes.graph("network", {INPUT: ("T", "B", INPUTS)}, {output: ("T", "B", width)})
    session = start_session(rivals.finished(graph).SerializeToString())
    state_bytes = FLOAT * sum(state.size for state in nodes.states)
    return Contender(bound(session, {"T": 1, "B": trucks}), parameters, state_bytes)


def whole_detector(hidden: int, trucks: int) -> Contender:
    """The product's model file: scaling, input drift correction, network, cold start, baseline, charts, score."""
    model = open_bytes(model_bytes(product_spec(hidden)))
    sizes = {"T": 1, "B": trucks}
    return Contender(bound(model.session, sizes), model.manifest.network.parameters, model.initial.nbytes)


def rival(made: rivals.Made, sizes: Mapping[str, int], state_bytes: int) -> Contender:
    """A model of ``rivals`` and its number of parameters."""
    model, parameters = made
    return Contender(bound(start_session(model.SerializeToString()), sizes), parameters, state_bytes)


def cached_transformer(width: int, trucks: int, context: int) -> Contender:
    """A transformer that keeps keys and values of ``context`` ticks, this one included."""
    made = rivals.transformer(INPUTS, WINDOW_ATTENTION, width, LAYERS, cached=True)
    sizes = {"b": trucks, "n": context - 1, "m": context}
    return rival(made, sizes, 2 * LAYERS * context * width * FLOAT)


def empty(trucks: int) -> Contender:
    """One operator over the input: what the runtime asks for any call."""
    shape: list[str | int | None] = ["T", "B", INPUTS]
    values = [helper.make_tensor_value_info(name, 1, shape) for name in (INPUT, "y")]
    graph = helper.make_graph([helper.make_node("Abs", [INPUT], ["y"])], "empty", values[:1], values[1:])
    return rival((rivals.finished(graph), 0), {"T": 1, "B": trucks}, 0)


def contenders(hidden: int, trucks: int) -> dict[str, Contender]:
    """All of them, the streaming network first."""
    _, width = SIZES[hidden]
    lstm = rivals.window_lstm(INPUTS, WINDOW_LSTM, hidden)
    full = rivals.transformer(INPUTS, WINDOW_ATTENTION, width, LAYERS, cached=False)
    return {
        NETWORK: streaming_gru(hidden, trucks),
        LSTM: rival(lstm, {"b": trucks}, WINDOW_LSTM * INPUTS * FLOAT),
        FULL: rival(full, {"b": trucks}, WINDOW_ATTENTION * INPUTS * FLOAT),
        CACHED: cached_transformer(width, trucks, WINDOW_ATTENTION),
        DETECTOR: whole_detector(hidden, trucks),
        ONE: one_operator(hidden, trucks),
        EMPTY: empty(trucks),
    }


def interleaved(calls: Mapping[str, Callable[[], None]]) -> dict[str, list[float]]:
    """Microseconds of each call in every round; the calls take turns, so that a slow moment hits all."""
    counts = {name: max(1, round(ROUND_S / timed(call, 3))) for name, call in calls.items()}
    rounds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            call()
            rounds[name].append(timed(call, counts[name]) * 1e6)
    return rounds


def timed(call: Callable[[], None], count: int) -> float:
    """Seconds of one of ``count`` calls."""
    begin = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - begin) / count


def usual(taken: list[float]) -> float:
    """What a call costs while it is left alone."""
    return float(np.percentile(taken, QUICK))


def bill() -> list[dict[str, Any]]:
    """A row per setting and contender: parameters, state bytes, microseconds per truck and tick, and the ratio."""
    settings = list(product(SIZES, TRUCKS))
    found: dict[tuple[int, int], list[Measured]] = {setting: [] for setting in settings}
    for hidden, trucks in settings * PROCESSES:
        command = [sys.executable, __file__, str(hidden), str(trucks)]
        found[hidden, trucks].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    return [row for setting in settings for row in rows(*setting, found[setting])]


def measured(hidden: int, trucks: int) -> Measured:
    """What one process finds."""
    chosen = contenders(hidden, trucks)
    rounds = interleaved({name: row.call for name, row in chosen.items()})
    return {
        name: {"parameters": row.parameters, "state_bytes": row.state_bytes, "us": rounds[name]}
        for name, row in chosen.items()
    }


def rows(hidden: int, trucks: int, found: list[Measured]) -> list[dict[str, Any]]:
    """The rows of one setting; ``ratio`` is to the streaming GRU."""
    us = {name: usual([taken for one in found for taken in one[name]["us"]]) for name in found[0]}
    return [
        {
            "name": name,
            "hidden": hidden,
            "trucks": trucks,
            **row,
            "us": us[name] / trucks,
            "ratio": us[name] / us[NETWORK],
        }
        for name, row in found[0].items()
    ]


def contexts(hidden: int) -> list[dict[str, Any]]:
    """What remembering 1k, 10k and 100k ticks costs a cached transformer, beside the GRU that does not grow."""
    _, width = SIZES[hidden]
    ours = streaming_gru(hidden, 1)
    found = []
    for ticks in CONTEXTS:
        theirs = cached_transformer(width, 1, ticks)
        rounds = interleaved({"gru": ours.call, "transformer": theirs.call})
        found.append(
            {
                "context": ticks,
                "gru_bytes": ours.state_bytes,
                "transformer_bytes": theirs.state_bytes,
                "gru_us": usual(rounds["gru"]),
                "transformer_us": usual(rounds["transformer"]),
            }
        )
    return found


def main() -> None:
    """Print the bill, or what one process finds."""
    if sys.argv[1:]:
        print(json.dumps(measured(*map(int, sys.argv[1:]))))
        return
    for row in bill():
        print(f"{row['hidden']:4d} {row['trucks']:3d} {row['name']:32s} {row['us']:8.2f} us {row['ratio']:7.2f}")


if __name__ == "__main__":
    main()
