"""docs/quality.md and its pictures, from the results of ``quality.py``."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "tickover"
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

Row = dict[str, Any]
NOT_RUN: Final = "not run yet"
RATES: Final = (1.0, 0.2, 0.1)
MODEL: Final = "model"
FLOORS: Final = ("random", "always on", "clock")
COLOURS: Final = ("#1b6ca8", "#4bb3d3", "#c1440e", "#3f8f3f", "#7d4fa3", "#6b7280")
HEAD: Final = """# Quality

How well tickover detects, with its defaults, on trips, kinds and seasons that it was not made on. One command makes
all of it; it can be interrupted and goes on where it was:

    make quality                     # or: python tests/bench/quality.py --out FOLDER

60 car trips, ten OBD-II signals at 1 Hz, July 2017 to February 2018; the one with a known measuring fault is left out.
*Mixed*: every other trip by date is learnt, the rest judged. *Season*: 37 trips of summer are learnt, 22 of February
judged, without `retune`. Faults of thirteen kinds are injected into clean trips, rounded to the signal's resolution
([the protocol](evaluation.md)); defects of the recordings are left out of what is learnt, and alarms on them count as
right. The model runs as on the device: slow means hold while an episode is open, sensor episodes count, limits follow a
vehicle that breaks its promise. Peers are fitted on the model's own training trips.

Figures are means over the seeds of training, the least and the most in brackets; the faults are the same for all. A
rate stands with its exact 95 % Poisson interval, seed by seed. *Recall at a rate*: the level is swept over the judged
trips; the limits are those that the model holds for that budget, since they decide when slow means hold. What has not
been run says so; nothing is estimated.
"""
KEPT: Final = """
Kept: the interval of the realised rate includes the budget and ends at three times it, at most; *below it*: it ends
before the budget; *not supported*: the judged hours are too few to show it.
"""
IDEAS: Final = """The level chart alone, with each further default chart, and all; on the training trips of the
mixed split, first seed.
"""


class Results:
    """Rows of the steps that have been run."""

    def __init__(self, results: Mapping[Any, Any], seeds: Sequence[int]) -> None:
        self._results, self.seeds = results, seeds

    def each(self, name: str, split: str, pick: Callable[[list[Row]], Any]) -> list[tuple[int, Any]]:
        """Seed and what is picked from the rows, for the seeds that have been run."""
        return [
            (step.seed, pick(found["rows"]))
            for step, found in self._results.items()
            if found and step.name == name and step.split == split
        ]

    def rows(self, step: str, split: str, **wanted: str) -> list[tuple[int, Row]]:
        """Seed and row, of rows whose fields are as wanted."""
        return [
            (seed, row)
            for seed, rows in self.each(step, split, list)
            for row in rows
            if all(row.get(key) == value for key, value in wanted.items())
        ]

    def steps(self) -> list[tuple[Any, Any]]:
        return list(self._results.items())


def spread(values: Sequence[float | None], digits: int = 2) -> str:
    """Mean, least and most."""
    known = [value for value in values if value is not None]
    if not known:
        return "–" if values else NOT_RUN
    mean = f"{sum(known) / len(known):.{digits}f}"
    return mean if len(known) == 1 else f"{mean} ({min(known):.{digits}f} to {max(known):.{digits}f})"


def at(row: Row, rate: float) -> float:
    """Recall at a rate of false onsets an hour."""
    return float(next(point["recall"] for point in row["curve"] if point["allowed"] == rate))


def interval(rate: Row) -> str:
    return f"{rate['per_hour']:.2f} [{rate['low']:.2f}, {rate['high']:.2f}]"


def intervals(rows: Sequence[tuple[int, Row]]) -> str:
    return "; ".join(interval(row["false_alarms"]) for _, row in rows) or NOT_RUN


def holds(row: Row, budget: float) -> str:
    """Whether a budget is supported by what happened: the interval includes it and ends at three times it, at most."""
    rate = row["false_alarms"]
    if rate["low"] > budget:
        return "broken"
    if rate["high"] > 3 * budget:
        return "not supported"
    return "yes" if rate["high"] >= budget else "yes, below it"


def seeds_of(rows: Sequence[tuple[int, Any]]) -> str:
    return ", ".join(str(seed) for seed, _ in rows) or "–"


def table(columns: str, lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table; columns are split by ``|``."""
    names = columns.split("|")
    return "\n".join("| " + " | ".join(row) + " |" for row in [names, ["---"] * len(names), *lines])


def goals(found: Results) -> str:
    """The measures with what they must reach, and what was measured."""
    hourly = found.rows("whole", "mixed", what="1/h")
    rare = found.rows("whole", "mixed", what="1/10h")
    winter = found.rows("whole", "season", what="1/h")
    legs = found.rows("legs", "mixed", name=MODEL)
    peers = strongest(found, "beside", "mixed")
    lines = [
        [
            "mixed, recall at ≤ 1, 0.2, 0.1 false episodes/h",
            ".75/.65/.52",
            ".85/.75/.65",
            rungs(found, "mixed"),
            three(peers),
            seeds_of(hourly),
        ],
        own_limits("mixed, limits for 1/h: recall; false episodes/h; kept", ".65; yes", ".8", hourly, 1.0),
        own_limits("mixed, limits for 1/10h: recall; false episodes/h; kept", ".45; yes", ".6", rare, 0.1),
        [
            "median delay at 1/h, s",
            "≤ 40",
            "≤ 20",
            spread([row["delay_at_rate_s"] for _, row in hourly], 0),
            spread([row["delay_at_rate_s"] for _, row in peers], 0),
            seeds_of(hourly),
        ],
        *season_lines(winter, strongest(found, "beside", "season"), rungs(found, "season")),
        *retune_lines(found),
        [
            "legs of 3 to 8 minutes, recall at 1/h",
            ".62",
            ".75",
            spread([at(row, 1.0) for _, row in legs]),
            spread([at(row, 1.0) for _, row in strongest(found, "legs", "mixed")]),
            seeds_of(legs),
        ],
        *skab_lines(found),
        *case_lines(found),
        *cost_lines(found),
    ]
    return table("measure|must|to reach for|measured|best simple peer|seeds", lines)


def rungs(found: Results, split: str) -> str:
    """Recall of the model at each rate, its limits those of that very budget: they decide when slow means hold."""
    steps = (("whole", "1/h"), ("between", "1/5h"), ("whole", "1/10h"))
    return " / ".join(
        spread([at(row, rate) for _, row in found.rows(step, split, what=what)])
        for (step, what), rate in zip(steps, RATES, strict=True)
    )


def three(rows: Sequence[tuple[int, Row]]) -> str:
    return " / ".join(spread([at(row, rate) for _, row in rows]) for rate in RATES) if rows else NOT_RUN


def own_limits(what: str, must: str, reach: str, rows: Sequence[tuple[int, Row]], budget: float) -> list[str]:
    kept = "; ".join(holds(row, budget) for _, row in rows)
    measured = f"{spread([row['recall_at_limit'] for _, row in rows])}; {intervals(rows)}; {kept}" if rows else NOT_RUN
    return [what, must, reach, measured, "", seeds_of(rows)]


def season_lines(winter: Sequence[tuple[int, Row]], peers: Sequence[tuple[int, Row]], ranked: str) -> list[list[str]]:
    seeds = seeds_of(winter)
    return [
        ["season, false episodes/h at limits for 1/h", "≤ 1.5", "≤ 1", intervals(winter), intervals(peers), seeds],
        [
            "season, time in alarm",
            "≤ .03",
            "≤ .01",
            spread([row["in_alarm"] for _, row in winter], 3),
            spread([row["in_alarm"] for _, row in peers], 3),
            seeds,
        ],
        [
            "season, recall at limits; of it in the clean twin, too",
            "≥ .45",
            ".6",
            f"{spread([row['recall_at_limit'] for _, row in winter])}; {spread([row['chance'] for _, row in winter])}",
            spread([row["recall_at_limit"] for _, row in peers]),
            seeds,
        ],
        ["season, recall at ≤ 1, 0.2, 0.1 an hour", "≥ .45 at 1", ".6", ranked, three(peers), seeds],
    ]


def retune_lines(found: Results) -> list[list[str]]:
    each = found.each("retunes", "season", list)
    recalls = [min(row["recall_at_limit"] for row in rows) for _, rows in each]
    rates = [max(row["false_alarms"]["per_hour"] for row in rows) for _, rows in each]
    measured = f"{spread(recalls)}; {spread(rates)}" if each else NOT_RUN
    what = "`retune` on every set of six consecutive 2018 trips, worst set: recall; false episodes/h"
    return [[what, "≥ .4; ≤ 2", "≥ .55; ≤ 1.2", measured, "", seeds_of(each)]]


def skab_lines(found: Results) -> list[list[str]]:
    each = found.each("skab", "skab", lambda rows: rows[0]["tickover, one model"])
    keys = (("f1", 3, 1), ("far", 1, 100), ("vus_pr", 3, 1))
    measured = (
        "; ".join(spread([row[key] * by for _, row in each], digits) for key, digits, by in keys) if each else NOT_RUN
    )
    what = "SKAB, one configuration: F1; FAR %; VUS-PR"
    return [[what, ".80; ≤ 20; .85", ".86; 12; .91", measured, "", seeds_of(each)]]


def case_lines(found: Results) -> list[list[str]]:
    rows = found.rows("alternator", "mixed")
    told = "; ".join(
        f"{row['what'].removeprefix('alternator_fault_')}: "
        + (
            "silent"
            if row["delay_s"] is None
            else f"{row['delay_s']} s, {'open' if row['open'] else 'not open'} at the end"
        )
        for _, row in rows
    )
    return [["alternator cases, first alert after", "≤ 60 s, open to the end", "", told or NOT_RUN, "", seeds_of(rows)]]


def cost_lines(found: Results) -> list[list[str]]:
    rows = found.rows("cost", "mixed")
    told = "; ".join(f"{row['tick']:.2f}, {row['chunk']:.2f}, {row['state']:.2f}" for _, row in rows)
    return [["tick, chunk, state against the charts of a19afef", "≤ 1.5", "≤ 1.2", told or NOT_RUN, "", "–"]]


def strongest(found: Results, name: str, split: str) -> list[tuple[int, Row]]:
    """For each seed the peer with the highest recall at one false alarm an hour."""
    best: dict[int, Row] = {}
    for seed, row in found.rows(name, split):
        if row["name"] not in (MODEL, *FLOORS) and (seed not in best or at(row, 1.0) > at(best[seed], 1.0)):
            best[seed] = row
    return list(best.items())


def scorers(found: Results, split: str) -> str:
    """Everything that was judged on whole trips and in legs."""
    kinds: dict[str, list[tuple[int, Row]]] = {}
    for name in ("whole", "between", "beside", "legs"):
        for seed, row in found.rows(name, split):
            where = "legs" if name == "legs" else "whole trips"
            limits = f", limits for {row['what']}" if row["what"] in ("1/5h", "1/10h") else ""
            kinds.setdefault(f"{row['name']}{limits}, {where}", []).append((seed, row))
    lines = [
        [
            what,
            spread([row["recall_at_limit"] for _, row in rows]),
            *(spread([at(row, rate) for _, row in rows]) for rate in RATES),
            spread([row["chance"] for _, row in rows]),
            spread([row["in_alarm"] for _, row in rows], 3),
            spread([row["delay_at_limit_s"] for _, row in rows], 0),
            spread([row["vus_pr"] for _, row in rows]),
            intervals(rows),
        ]
        for what, rows in kinds.items()
    ]
    columns = "|recall at limit|at 1/h|at 1/5h|at 1/10h|chance|time in alarm|delay, s|VUS-PR|false episodes/h [95 %]"
    return table(columns, lines) if lines else NOT_RUN


def ladder(found: Results, split: str) -> str:
    """What calibration says of every budget, out of sample."""
    lines = []
    for seed, row in found.rows("train", split):
        budget = row["budget"]
        kinds = list(row["recall"].values())
        supported = "yes" if row["supported"] else "no"
        rate = f"{budget['realised']:.2f} [{budget['low']:.2f}, {budget['high']:.2f}]"
        off = sum(limit is None for limit in row["limits"])
        recall = f"{sum(kinds) / len(kinds):.2f}" if kinds else "–"
        lines.append([str(seed), row["words"], rate, f"{budget['hours']:.1f}", supported, recall, str(off)])
    columns = "seed|budget|realised an hour [95 %]|hours|supported|recall|charts off"
    return table(columns, lines) if lines else NOT_RUN


def draw_curves(found: Results) -> Figure | None:
    """Recall against false alarms an hour, model and peers, either split."""
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.8), sharey=True)
    drawn = False
    for axis, split in zip(axes, ("mixed", "season"), strict=True):
        lines: dict[str, list[Row]] = {}
        rare = found.rows("whole", split, what="1/10h")
        for limits, (_, row) in [
            *((", limits for 1/h", one) for one in found.rows("whole", split, what="1/h")),
            *((", limits for 1/10h", one) for one in rare),
            *(("", one) for one in found.rows("beside", split)),
        ]:
            if row["name"] not in FLOORS:
                lines.setdefault(row["name"] + limits, []).append(row)
        for colour, (name, rows) in zip(COLOURS, lines.items(), strict=False):
            drawn = True
            rates = [point["allowed"] for point in rows[0]["curve"]]
            values = [[at(row, rate) for row in rows] for rate in rates]
            axis.plot(rates, [sum(v) / len(v) for v in values], color=colour, marker="o", ms=3, label=name)
            axis.fill_between(rates, [min(v) for v in values], [max(v) for v in values], color=colour, alpha=0.15)
        axis.set(xscale="log", xlabel="false alarms an hour", title=split, ylim=(0, 1))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("recall")
    if drawn:
        axes[0].legend(fontsize=8)
    return figure if drawn else None


def bars(groups: dict[str, list[float]], axis: Any, label: str) -> None:
    """Horizontal bars of means with the least and the most."""
    names = sorted(groups, key=lambda name: sum(groups[name]) / len(groups[name]))
    means = [sum(groups[name]) / len(groups[name]) for name in names]
    # The mean of equal values may be off by its rounding.
    low = [max(0.0, mean - min(groups[name])) for name, mean in zip(names, means, strict=True)]
    high = [max(0.0, max(groups[name]) - mean) for name, mean in zip(names, means, strict=True)]
    axis.barh(names, means, xerr=[low, high], color=COLOURS[0])
    axis.set_xlabel(label)
    axis.grid(alpha=0.3, axis="x")


def draw_groups(found: Results, key: str, name: str, value: str, label: str) -> Figure | None:
    """Bars of a value by kind or signal, either split, at one false alarm an hour."""
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.8))
    drawn = False
    for axis, split in zip(axes, ("mixed", "season"), strict=True):
        groups: dict[str, list[float]] = {}
        for _, row in found.rows("whole", split, what="1/h"):
            own: dict[str, list[float]] = {}
            for cell in row[key]:
                if cell[value] is not None:
                    own.setdefault(cell[name], []).append(cell[value])
            for group, values in own.items():
                groups.setdefault(group, []).append(sum(values) / len(values))
        axis.set_title(split)
        if groups:
            bars(groups, axis, label)
            drawn = True
    figure.tight_layout()
    return figure if drawn else None


def draw_ideas(found: Results) -> Figure | None:
    rows = found.rows("ideas", "mixed")
    if not rows:
        return None
    figure, axis = plt.subplots(figsize=(7, 3.4))
    for place, (colour, rate) in enumerate(zip(COLOURS, RATES, strict=False)):
        heights = [at(row, rate) for _, row in rows]
        axis.barh(
            [y + 0.27 * (1 - place) for y in range(len(rows))], heights, 0.25, color=colour, label=f"{rate:g} an hour"
        )
    axis.set_yticks(range(len(rows)), [row["what"] for _, row in rows])
    axis.set_xlabel("recall on training trips, each judged by a network that has not seen it")
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3, axis="x")
    figure.tight_layout()
    return figure


def ideas(found: Results) -> str:
    lines = [
        [
            row["what"],
            *(f"{at(row, rate):.3f}" for rate in RATES),
            f"{row['recall_at_limit']:.3f}",
            interval(row["false_alarms"]),
        ]
        for _, row in found.rows("ideas", "mixed")
    ]
    return table("charts|at 1/h|at 1/5h|at 1/10h|at limits|false episodes/h [95 %]", lines) if lines else NOT_RUN


def runs(found: Results) -> str:
    """Which step was run when, and what was not."""
    lines = [
        [
            step.name,
            step.split,
            str(step.seed),
            *((done["commit"], f"{done['seconds']:.0f}") if done else (NOT_RUN, "")),
        ]
        for step, done in found.steps()
    ]
    return table("step|split|seed|commit|seconds", lines)


def write(page: Path, results: Mapping[Any, Any], seeds: Sequence[int]) -> None:
    """The page, and its pictures in a folder of the page's name beside it."""
    found = Results(results, seeds)
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        "curves": draw_curves(found),
        "kinds": draw_groups(found, "cells", "kind", "recall_at_rate", "recall at 1 false alarm an hour"),
        "signals": draw_groups(found, "signals", "signal", "recall_at_rate", "recall at 1 false alarm an hour"),
        "delays": draw_groups(found, "cells", "kind", "delay_at_rate_s", "median delay at 1 false alarm an hour, s"),
        "ideas": draw_ideas(found),
    }
    for name, figure in pictures.items():
        if figure:
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")

    def picture(name: str, words: str) -> str:
        return f"![{words}]({folder.name}/{name}.svg)" if pictures[name] else f"*{words}: {NOT_RUN}*"

    parts = [
        HEAD,
        "## What it shows\n",
        goals(found),
        KEPT,
        "## Recall against false alarms\n",
        picture("curves", "recall against false alarms an hour, band: least to most over the seeds"),
        *(f"\n### {split.capitalize()}\n\n{scorers(found, split)}" for split in ("mixed", "season")),
        "\n## By kind, by signal, delays\n",
        *(
            picture(name, words)
            for name, words in (
                ("kinds", "recall by kind of fault, mean over magnitudes"),
                ("signals", "recall by signal"),
                ("delays", "median delay by kind"),
            )
        ),
        "\n## The ladder of budgets\n",
        *(
            f"### {split.capitalize()}, out of sample on the training trips\n\n{ladder(found, split)}\n"
            for split in ("mixed", "season")
        ),
        "## Each idea alone\n",
        IDEAS,
        picture("ideas", "recall of each idea"),
        "",
        ideas(found),
        "\n## What was run\n",
        runs(found),
    ]
    page.write_text("\n".join(parts) + "\n", encoding="utf-8")
