"""Measure and draw all of docs/why-gated.md: `python tests/bench/why_gated.py LOG… [--seeds 3] [--only PART]`.

Writes docs/why-gated/figures.json, one SVG per part, and the tables between the markers of docs/why-gated.md.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Final

import fused
import matplotlib
import onnxruntime
import recall
import streaming_bill
import torch

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "tickover"
from matplotlib import pyplot as plt  # noqa: E402

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "why-gated.md"
FOLDER: Final = ROOT / "docs" / "why-gated"
CELLS: Final = ("rnn", "gru", "lstm")
COLOURS: Final = {"rnn": "#c1440e", "gru": "#1b6ca8", "lstm": "#3f8f3f"}
MUST: Final = 10
"""How many times faster than a window that is run again the streaming network is to be."""
Rows = list[dict[str, Any]]


def measure_horizons(logs: list[Path], seeds: int) -> Rows:
    """Train every cell on the same trips by `tickover train` and read the horizons from its run folder."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.toml"
        config.write_text("[calibration]\nfolds = 1\n")
        for cell in CELLS:
            for seed in range(seeds):
                run = Path(folder) / f"{cell}-{seed}"
                options = ["--out", run, "--cell", cell, "--seed", str(seed), "--config", config]
                subprocess.run([sys.executable, "-m", "tickover", "train", *logs, *options], check=True)
                found = json.loads((run / "metrics.json").read_text())["horizon"]
                rows.append({"cell": cell, "seed": seed, **found})
    return rows


def measure_recall(seeds: int) -> Rows:
    """R^2 of every cell and lag, for each seed."""
    return [
        {"cell": cell, "lag": lag, "r2": [recall.recall(cell, lag, seed) for seed in range(seeds)]}
        for cell in CELLS
        for lag in recall.LAGS
    ]


def measure_training(_: int) -> Rows:
    """Loop over fused, median of the pairs."""
    return [{"cell": cell, "ratio": median(found), "pairs": found} for cell in CELLS for found in [fused.ratios(cell)]]


def measure_bill(_: int) -> Rows:
    """Every size and number of trucks a call."""
    return streaming_bill.bill()


def measure_context(_: int) -> Rows:
    """The cost of remembering 1k, 10k and 100k ticks."""
    return streaming_bill.contexts(streaming_bill.DEFAULT_HIDDEN)


def table(header: str, lines: list[list[str]]) -> str:
    """A Markdown table; ``header`` holds the columns, split by ``|``."""
    columns = header.split("|")
    return "\n".join(["|".join(["", *row, ""]) for row in [columns, ["---"] * len(columns), *lines]])


def seconds(horizon: dict[str, Any]) -> str:
    """The horizon in ticks of 1 s; beyond the farthest lag it is only known to be larger."""
    return f"{horizon['lag']}" if horizon["reached"] else f"> {horizon['lag']}"


def horizon_table(rows: Rows) -> str:
    """Seconds, one column per seed."""
    lines = [
        [
            cell,
            *(", ".join(seconds(row[way]) for row in rows if row["cell"] == cell) for way in ("memory", "state")),
        ]
        for cell in CELLS
    ]
    return table("cell|memory horizon, s (per seed)|through the state, s (per seed)", lines)


def recall_table(rows: Rows) -> str:
    """Median over seeds, with the spread."""
    lags = sorted({row["lag"] for row in rows})
    cells = {(row["cell"], row["lag"]): row["r2"] for row in rows}
    lines = [
        [cell, *(f"{median(r):.2f} ({min(r):.2f} to {max(r):.2f})" for r in (cells[cell, lag] for lag in lags))]
        for cell in CELLS
    ]
    return table("cell|" + "|".join(f"{lag} ticks" for lag in lags), lines)


def training_table(rows: Rows) -> str:
    """Loop over fused."""
    return table("cell|tick-by-tick loop / fused cell", [[row["cell"], f"{row['ratio']:.1f}"] for row in rows])


def bill_table(rows: Rows) -> str:
    """A line per size and network; µs per truck and tick, and the ratio to the streaming network, by trucks a call."""
    trucks = streaming_bill.TRUCKS
    lines = []
    for hidden, name in dict.fromkeys((row["hidden"], row["name"]) for row in rows):
        chosen = [row for row in rows if (row["hidden"], row["name"]) == (hidden, name)]
        sizes = [f"{chosen[0][key]:,}" for key in ("parameters", "state_bytes")]
        costs = [f"{row['us']:.2f} ({row['ratio']:.1f} ×)" for row in sorted(chosen, key=lambda row: row["trucks"])]
        lines.append([f"{hidden}", name, *sizes, *costs])
    calls = "|".join(f"{number} truck{'s' * (number > 1)} a call" for number in trucks)
    return table(f"hidden|network|parameters|state bytes per truck|{calls}", lines)


def context_table(rows: Rows) -> str:
    """Bytes and microseconds against context."""
    return table(
        "ticks of context|GRU bytes|transformer bytes|GRU µs|transformer µs",
        [
            [
                f"{row['context']:,}",
                f"{row['gru_bytes']:,}",
                f"{row['transformer_bytes']:,}",
                f"{row['gru_us']:.0f}",
                f"{row['transformer_us']:.0f}",
            ]
            for row in rows
        ],
    )


def axes(title: str, x: str, y: str) -> Any:
    """A plain figure."""
    figure, ax = plt.subplots(figsize=(7, 4))
    ax.set(title=title, xlabel=x, ylabel=y)
    ax.grid(alpha=0.3)
    return figure, ax


def draw_horizon(rows: Rows) -> Any:
    """Gradient norm over its maximum, against lag."""
    figure, ax = axes(
        "How far back the output still feels the input", "lag, ticks of 1 s", "gradient norm / its maximum"
    )
    for row in rows:
        curve = row["memory"]["curve"]
        peak = max(curve[1:])
        label = row["cell"] if row["seed"] == 0 else None
        ax.semilogy(
            range(1, len(curve)), [v / peak for v in curve[1:]], color=COLOURS[row["cell"]], alpha=0.7, label=label
        )
    ax.axhline(0.01, color="grey", linestyle="--")
    ax.set_ylim(1e-6, 2)
    ax.legend()
    return figure


def draw_recall(rows: Rows) -> Any:
    """R^2 against lag."""
    figure, ax = axes("A value recalled k ticks later", "k, ticks", "share of variance recalled (R²)")
    for cell in CELLS:
        chosen = [row for row in rows if row["cell"] == cell]
        ax.semilogx(
            [r["lag"] for r in chosen], [median(r["r2"]) for r in chosen], "o-", color=COLOURS[cell], label=cell
        )
        for row in chosen:
            ax.plot([row["lag"]] * len(row["r2"]), row["r2"], ".", color=COLOURS[cell], alpha=0.5)
    ax.set_xticks(recall.LAGS, [str(lag) for lag in recall.LAGS])
    ax.legend()
    return figure


def draw_training(rows: Rows) -> Any:
    """One bar per cell."""
    figure, ax = axes("Training: Python loop over the fused cell", "", "time ratio")
    ax.bar([row["cell"] for row in rows], [row["ratio"] for row in rows], color=[COLOURS[row["cell"]] for row in rows])
    ax.axhline(1, color="grey", linestyle="--")
    return figure


def draw_bill(rows: Rows) -> Any:
    """Ratio to the streaming GRU against trucks per call, a panel for each rival and a line for each size."""
    rivals = (streaming_bill.LSTM, streaming_bill.FULL, streaming_bill.CACHED)
    figure, panels = plt.subplots(1, len(rivals), figsize=(10, 4), sharey=True)
    for name, ax in zip(rivals, panels, strict=True):
        for hidden in streaming_bill.SIZES:
            chosen = [row for row in rows if (row["name"], row["hidden"]) == (name, hidden)]
            ax.loglog(
                [row["trucks"] for row in chosen], [row["ratio"] for row in chosen], "o-", label=f"hidden {hidden}"
            )
        ax.axhline(MUST, color="grey", linestyle="--")
        ax.set(title=name, xlabel="trucks per call")
        ax.set_xticks(streaming_bill.TRUCKS, [str(trucks) for trucks in streaming_bill.TRUCKS])
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    panels[0].set_ylabel("µs a tick, streaming GRU = 1")
    panels[-1].legend()
    figure.tight_layout()
    return figure


def draw_context(rows: Rows) -> Any:
    """Memory against context."""
    figure, ax = axes("Memory against context", "ticks of context", "state, bytes")
    x = [row["context"] for row in rows]
    ax.loglog(x, [row["transformer_bytes"] for row in rows], "o-", color="#8a4fbf", label="transformer with cache")
    ax.loglog(x, [row["gru_bytes"] for row in rows], "o-", color=COLOURS["gru"], label="streaming GRU")
    ax.legend()
    return figure


PARTS: Final[dict[str, tuple[Callable[[Rows], str], Callable[[Rows], Any]]]] = {
    "horizon": (horizon_table, draw_horizon),
    "recall": (recall_table, draw_recall),
    "training": (training_table, draw_training),
    "bill": (bill_table, draw_bill),
    "context": (context_table, draw_context),
}
MEASURES: Final = {
    "recall": measure_recall,
    "training": measure_training,
    "bill": measure_bill,
    "context": measure_context,
}


def machine() -> str:
    """What the figures were measured on."""
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, onnxruntime {onnxruntime.__version__}"
    return f"{platform.machine()}, {os.cpu_count()} cores, one thread; {versions}"


def fill(part: str, text: str) -> None:
    """Replace what stands between a part's markers in the page."""
    page = PAGE.read_text()
    begin, end = f"<!-- {part} -->", f"<!-- /{part} -->"
    head, _, rest = page.partition(begin)
    _, found, tail = rest.partition(end)
    if not found:
        raise SystemExit(f"{PAGE}: expected the markers {begin} and {end}")
    PAGE.write_text(f"{head}{begin}\n{text}\n{end}{tail}")


def main() -> None:
    """Measure the chosen parts, draw all that have been measured, and fill in the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", nargs="+", type=Path, help="recorded trips, for the horizons")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=PARTS, action="append", help="measure only this part (repeatable)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    store = FOLDER / "figures.json"
    figures = json.loads(store.read_text()) if store.exists() else {}
    for part in options.only or PARTS:
        print(f"measuring: {part}", file=sys.stderr, flush=True)
        rows = measure_horizons(options.logs, options.seeds) if part == "horizon" else MEASURES[part](options.seeds)
        figures[part] = rows
        tell, draw = PARTS[part]
        fill(part, tell(rows))
        draw(rows).savefig(FOLDER / f"{part}.svg", metadata={"Date": None})
        store.write_text(json.dumps(figures, indent=1))
    fill("machine", machine())


if __name__ == "__main__":
    main()
