"""Golden vectors: synthetic ticks and their answers, inside the model file, replayed at every load.

They prove that this machine's onnxruntime computes what the exporting one did. The ticks hold missing spans, a spike
and a reset. They start with the warm-up over, so that the charts move; the reset shows the warm-up itself.
"""

import binascii
from itertools import pairwise
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct

from tickover.core.manifest import (
    AGE,
    CHART,
    EXPECTED,
    INPUT,
    KEY_GOLDEN,
    NEXT_PREFIX,
    SCORE,
    Manifest,
)
from tickover.core.values import FloatArray
from tickover.errors import ModelError
from tickover.model.binding import Bound, call_size

MAX_TICKS: Final = 300
TOLERANCE: Final = 1e-3
"""Largest difference from a golden value, relative to it where it is over 1."""


class Golden(Struct, frozen=True, kw_only=True):
    """T ticks: ``x`` and ``expected`` ``[T, F]``, ``score`` ``[T]``; a trip starts before tick 0 and tick ``reset``."""

    x: FloatArray
    reset: int
    score: FloatArray
    expected: FloatArray


class _Text(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As stored: float32 little-endian in base64."""

    ticks: int
    reset: int
    x: bytes
    score: bytes
    expected: bytes


def encode(golden: Golden) -> str:
    """As JSON text for the metadata."""
    arrays = {name: getattr(golden, name).astype("<f4").tobytes() for name in ("x", "score", "expected")}
    return msgspec.json.encode(_Text(ticks=len(golden.x), reset=golden.reset, **arrays)).decode()


def decode(text: str, signals: int) -> Golden:
    """The other way round; ModelError when it is damaged."""
    try:
        raw = msgspec.json.decode(text, type=_Text)
    except (msgspec.DecodeError, binascii.Error, RecursionError) as error:
        raise ModelError(f"{KEY_GOLDEN}: {error}") from error
    if not (1 <= raw.ticks <= MAX_TICKS and 0 < raw.reset <= raw.ticks):
        raise ModelError(f"{KEY_GOLDEN}: expected 1 to {MAX_TICKS} ticks with a reset, got {raw.ticks} and {raw.reset}")
    shapes = {"x": (raw.ticks, signals), "score": (raw.ticks,), "expected": (raw.ticks, signals)}
    return Golden(reset=raw.reset, **{name: _array(name, getattr(raw, name), shape) for name, shape in shapes.items()})


def answers(session: Any, manifest: Manifest, x: FloatArray, reset: int) -> tuple[FloatArray, FloatArray]:
    """Score ``[T]`` and expected ``[T, F]`` of ``x`` ``[T, F]``, with a new trip before tick ``reset``."""
    ticks, signals = x.shape
    score = np.empty((ticks, 1), np.float32)
    chart = np.empty((ticks, 1, len(manifest.charts)), np.float32)
    expected = np.empty((ticks, 1, signals), np.float32)
    states = {state.name: np.full((1, 1, state.size), state.initial, np.float32) for state in manifest.states}
    fresh = {state.name: states[state.name].copy() for state in manifest.states if state.reset == "trip"}
    if AGE in states:
        states[AGE][:] = 1.0
    for start, end in pairwise(sorted({*range(0, ticks, call_size(manifest)), reset, ticks})):
        after = {name: np.empty_like(state) for name, state in states.items()}
        outputs = {SCORE: score[start:end], CHART: chart[start:end], EXPECTED: expected[start:end]}
        outputs |= {NEXT_PREFIX + name: state for name, state in after.items()}
        Bound(session, {INPUT: np.ascontiguousarray(x[start:end, None]), **states}, outputs)()
        states = after | fresh if end == reset else after
    return score[:, 0], expected[:, 0]


def check(session: Any, manifest: Manifest, golden: Golden) -> None:
    """ModelError when the session's answers differ from the golden ones."""
    score, expected = answers(session, manifest, golden.x, golden.reset)
    for name, got, wanted in ((SCORE, score, golden.score), (EXPECTED, expected, golden.expected)):
        if not np.array_equal(np.isnan(got), np.isnan(wanted)):
            raise ModelError(
                f"{KEY_GOLDEN}: expected {name} to be missing at the same ticks as when the model was exported"
            )
        error = np.abs(got - wanted) / np.maximum(1.0, np.abs(wanted))
        worst = float(np.nanmax(error, initial=0.0))
        if not worst <= TOLERANCE:
            raise ModelError(
                f"{KEY_GOLDEN}: {name} differs from the exported answers by {worst:.3g}, expected at most {TOLERANCE}"
            )


def _array(name: str, data: bytes, shape: tuple[int, ...]) -> FloatArray:
    size = int(np.prod(shape)) * 4
    if len(data) != size:
        raise ModelError(f"{KEY_GOLDEN}: {name}: expected {size} bytes, got {len(data)}")
    return np.frombuffer(data, "<f4").astype(np.float32).reshape(shape)
