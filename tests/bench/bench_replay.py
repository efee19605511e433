"""How fast a replay is on one core: from ready arrays, against the bare onnxruntime floor, and from a CSV file.

Prints ticks per second of CPU time and the ratio to the floor, which is the same graph in a bare ``session.run`` over
chunks of the same size. 16 signals, 1 Hz, GRU autoencoder with hidden 32 and random weights whose charts are far below
the limit, so that no episode opens. ``--json`` prints the figures as JSON.
"""

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from tickover.core.manifest import (
    CHART,
    EXPECTED,
    INPUT,
    NEXT_PREFIX,
    SCORE,
    Signal,
)
from tickover.core.pipeline import Pipeline
from tickover.core.resample import Ticks
from tickover.core.values import SECOND, Readings
from tickover.jobs.replay import (
    Source,
    Tally,
    finish,
    replay,
)
from tickover.logs.mapping import mapping_of
from tickover.logs.reading import read_log
from tickover.model.binding import CHUNK
from tickover.model.detector import Detector
from tickover.model.session import open_bytes
from tickover_export.charts.ewma import Ewma

SIGNALS: Final = 16
HIDDEN: Final = 32
SPANS_S: Final = (5, 30, 120)
"""The charts that training makes by default."""
TICKS: Final = 400_000
CSV_TICKS: Final = 300_000
BLOCK: Final = 16_384
RAW_ROWS: Final = 11
ROUNDS: Final = 3
LIMIT: Final = 1e6


def detector() -> Detector:
    """A model as large as a real one."""
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    from small_models import model_bytes, small_spec

    signals = tuple(Signal(name=f"s{place}", low=-1e6, high=1e6, hold_s=5.0) for place in range(SIGNALS))
    banks = tuple(Ewma(name=f"mean{span_s}", span_s=float(span_s)) for span_s in SPANS_S)
    spec = small_spec(signals=signals, hidden=HIDDEN, banks=banks, warm_up_ticks=30, baseline_span_s=1800.0)
    limits = np.full(SIGNALS * len(banks), LIMIT, np.float32)
    return Detector(open_bytes(model_bytes(spec, limits=limits)))


def blocks(names: tuple[str, ...], ticks: int) -> list[Readings]:
    """Ready arrays: a row per tick."""
    values = np.random.default_rng(0).normal(40.0, 5.0, (ticks, SIGNALS))
    when = np.arange(ticks, dtype=np.int64) * SECOND
    return [Readings("truck", names, when[at : at + BLOCK], values[at : at + BLOCK]) for at in range(0, ticks, BLOCK)]


def best(*measures: Callable[[], int]) -> list[float]:
    """Ticks per second of CPU time in each one's fastest round; rounds take turns, so that all see the same machine."""
    rates = [0.0] * len(measures)
    for _ in range(ROUNDS):
        for place, measure in enumerate(measures):
            began = time.process_time()
            ticks = measure()
            rates[place] = max(rates[place], ticks / (time.process_time() - began))
    return rates


def floor(one: Detector) -> Callable[[], int]:
    """The graph alone, in chunks of the detector's own size, state fed back."""
    session, spans = one.model.session, one.model.spans
    x = np.random.default_rng(0).normal(40.0, 5.0, (CHUNK, 1, SIGNALS)).astype(np.float32)
    state = {name: one.new_state()[None, None, span].copy() for name, span in spans.items()}
    outputs = [SCORE, CHART, EXPECTED, *(NEXT_PREFIX + name for name in state)]

    def measure() -> int:
        feed: dict[str, Any] = {INPUT: x, **state}
        for _ in range(TICKS // CHUNK):
            after = session.run(outputs, feed)
            feed = {INPUT: x, **dict(zip(state, after[3:], strict=True))}
        return TICKS // CHUNK * CHUNK

    return measure


def from_arrays(one: Detector) -> Callable[[], int]:
    """Ticks, detector and episodes over ready arrays."""
    ready = blocks(one.manifest.names, TICKS)

    def measure() -> int:
        pipeline, ticks = Pipeline(one), 0
        for block in ready:
            pipeline.feed(block)
            ticks += sum(len(output.scored.ticks.time) for output in pipeline.pump())
        return ticks + sum(len(output.scored.ticks.time) for output in pipeline.flush())

    return measure


def ticks_alone(one: Detector, rows_per_tick: int) -> Callable[[], int]:
    """Only readings to ticks; counts rows. With more than one row a tick, each row holds one signal, as loggers do."""
    ready = blocks(one.manifest.names, TICKS)
    if rows_per_tick > 1:
        turn = np.arange(TICKS)[:, None] % SIGNALS != np.arange(SIGNALS)
        values = np.where(turn, np.nan, np.concatenate([block.values for block in ready]))
        when = np.arange(TICKS, dtype=np.int64) * SECOND // rows_per_tick
        cuts = range(0, TICKS, BLOCK)
        ready = [Readings("truck", ready[0].signals, when[at : at + BLOCK], values[at : at + BLOCK]) for at in cuts]

    def measure() -> int:
        ticks = Ticks.of("truck", one.manifest)
        for block in ready:
            ticks.add(block)
        return TICKS

    return measure


def write_csv(path: Path, one: Detector) -> None:
    """A wide log with ISO times and three decimals."""
    with path.open("w") as file:
        file.write("time," + ",".join(one.manifest.names) + "\n")
        for block in blocks(one.manifest.names, CSV_TICKS):
            times = np.datetime_as_string(block.time.astype("M8[us]").astype("M8[s]")).tolist()
            rows = zip(times, block.values.tolist(), strict=True)
            file.writelines(f"{when}Z,{','.join(f'{value:.3f}' for value in row)}\n" for when, row in rows)


def from_csv(one: Detector, folder: Path) -> tuple[Callable[[], int], Callable[[], int]]:
    """A whole replay of a CSV file, and reading it only."""
    path = folder / "log.csv"
    write_csv(path, one)
    mapping = mapping_of(one.manifest)

    def run() -> int:
        pipeline, tally = Pipeline(one), Tally()
        for _ in replay(pipeline, one.manifest, Source((path,), mapping, "truck"), tally):
            pass
        for _ in finish(pipeline, tally):
            pass
        return tally.ticks

    def read() -> int:
        rows = read_log(path, mapping, vehicle="truck", counts=Counter(), on_bad=lambda message: None)
        return sum(len(block.time) for block in rows)

    return run, read


def main() -> None:
    """Measure and print."""
    one = detector()
    with tempfile.TemporaryDirectory() as folder:
        bare, arrays, csv, reading, wide, raw = best(
            floor(one),
            from_arrays(one),
            *from_csv(one, Path(folder)),
            ticks_alone(one, 1),
            ticks_alone(one, RAW_ROWS),
        )
    figures = {
        "floor_ticks_per_s": round(bare),
        "arrays_ticks_per_s": round(arrays),
        "arrays_over_floor": round(arrays / bare, 3),
        "csv_ticks_per_s": round(csv),
        "csv_read_only_ticks_per_s": round(reading),
        "csv_over_floor": round(csv / bare, 3),
        "wide_rows_to_ticks_per_s": round(wide),
        "raw_rows_to_ticks_per_s": round(raw),
    }
    if "--json" in sys.argv[1:]:
        print(json.dumps(figures))
        return
    print(f"bare onnxruntime, chunks of {CHUNK}: {bare:,.0f} ticks/s")
    print(f"replay from ready arrays: {arrays:,.0f} ticks/s, {arrays / bare:.2f} of the floor (target 300,000)")
    print(f"readings to ticks alone: {wide:,.0f} wide rows/s, {raw:,.0f} rows/s of {RAW_ROWS} a tick")
    print(f"replay from CSV: {csv:,.0f} ticks/s (target 100,000); reading alone {reading:,.0f} rows/s")


if __name__ == "__main__":
    main()
