"""The streaming bill per truck: state bytes and microseconds a tick of a recurrent net and of its rivals.

All run in onnxruntime on one thread, interleaved, medians over rounds; sizes in ``SETTINGS``.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any, Final

import numpy as np
import rivals

SIGNALS: Final = 16
INPUTS: Final = 2 * SIGNALS
WINDOW_LSTM: Final = 60
WINDOW_ATTENTION: Final = 128
CONTEXTS: Final = (1_000, 10_000, 100_000)
SIZES: Final = {32: (8, 20), 64: (12, 38), 128: (24, 71)}
"""Hidden size to bottleneck and transformer width (2 layers), chosen for nearly equal parameter counts."""
LAYERS: Final = 2
FLOAT: Final = 4
ROUNDS: Final = 7

Timed = Callable[[], Any]


def zeros(*shape: int) -> np.ndarray:
    """float32 zeros."""
    return np.zeros(shape, np.float32)


def contenders(hidden: int, trucks: int) -> dict[str, dict[str, Any]]:
    """Every contender's call for one tick of ``trucks`` trucks, parameters, and network state bytes per truck."""
    bottleneck, width = SIZES[hidden]
    gru, gru_size = rivals.streaming_gru(INPUTS, hidden, bottleneck)
    lstm, lstm_size = rivals.window_lstm(INPUTS, WINDOW_LSTM, hidden)
    full, full_size = rivals.transformer(INPUTS, WINDOW_ATTENTION, width, LAYERS, cached=False)
    cached, cached_size = rivals.transformer(INPUTS, WINDOW_ATTENTION, width, LAYERS, cached=True)
    state = zeros(1, trucks, hidden)
    past = zeros(trucks, WINDOW_ATTENTION - 1, width)
    sessions = [rivals.session(model) for model in (gru, lstm, full, cached)]
    feeds: list[dict[str, np.ndarray]] = [
        {"x": zeros(1, trucks, INPUTS), "encoder.h": state, "decoder.h": state},
        {"x": zeros(WINDOW_LSTM, trucks, INPUTS)},
        {"x": zeros(trucks, WINDOW_ATTENTION, INPUTS)},
        {"x": zeros(trucks, 1, INPUTS)} | {f"l{i}.{kv}.past": past for i in range(LAYERS) for kv in "kv"},
    ]
    sizes = (gru_size, lstm_size, full_size, cached_size)
    states = (
        2 * hidden * FLOAT,
        WINDOW_LSTM * INPUTS * FLOAT,
        WINDOW_ATTENTION * INPUTS * FLOAT,
        2 * LAYERS * WINDOW_ATTENTION * width * FLOAT,
    )
    names = ("streaming GRU", "window LSTM (60, run again)", "transformer (128, run again)", "transformer (128, cache)")
    return {
        name: {"call": lambda s=session, f=feed: s.run(None, f), "parameters": size, "state_bytes": bytes_}
        for name, session, feed, size, bytes_ in zip(names, sessions, feeds, sizes, states, strict=True)
    }


def interleaved(calls: dict[str, Timed], seconds: float = 0.15) -> dict[str, float]:
    """Median microseconds of each call; the calls take turns, so that a slow moment hits all."""
    counts = {}
    for name, call in calls.items():
        begin, n = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            call()
            n += 1
        counts[name] = max(n, 3)
    rounds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            begin = time.perf_counter()
            for _ in range(counts[name]):
                call()
            rounds[name].append((time.perf_counter() - begin) / counts[name] * 1e6)
    return {name: median(found) for name, found in rounds.items()}


def bill(hidden: int, trucks: int) -> list[dict[str, Any]]:
    """A row per contender: parameters, state bytes, microseconds per truck and tick, ratio to the streaming GRU."""
    found = contenders(hidden, trucks)
    times = interleaved({name: row["call"] for name, row in found.items()})
    ours = times["streaming GRU"]
    return [
        {
            "name": name,
            "hidden": hidden,
            "trucks": trucks,
            "parameters": row["parameters"],
            "state_bytes": row["state_bytes"],
            "us": times[name] / trucks,
            "ratio": times[name] / ours,
        }
        for name, row in found.items()
    ]


def contexts(hidden: int) -> list[dict[str, Any]]:
    """What remembering 1k, 10k and 100k ticks costs a cached transformer, beside the GRU that does not grow."""
    _, width = SIZES[hidden]
    ours = contenders(hidden, 1)["streaming GRU"]
    model, _ = rivals.transformer(INPUTS, WINDOW_ATTENTION, width, LAYERS, cached=True)
    session = rivals.session(model)
    rows = []
    for ticks in CONTEXTS:
        past = zeros(1, ticks, width)
        feed = {"x": zeros(1, 1, INPUTS)} | {f"l{i}.{kv}.past": past for i in range(LAYERS) for kv in "kv"}
        times = interleaved({"gru": ours["call"], "transformer": lambda f=feed: session.run(None, f)})
        rows.append(
            {
                "context": ticks,
                "gru_bytes": ours["state_bytes"],
                "transformer_bytes": 2 * LAYERS * past.nbytes,
                "gru_us": times["gru"],
                "transformer_us": times["transformer"],
            }
        )
    return rows
