"""Seeded histories of a small fleet, and what a fleet made of them: alerts, scores, states, counts.

Trucks mostly drive and are well; some of the time they stop, lose signals, show faults, send rows twice, late or out of
order, have their clocks set back, fall asleep and wake from their saved state, or are reset.
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from msgspec import structs

import paths
from tickover.core.ledger import Verdict
from tickover.core.manifest import SENSOR_KINDS, StandsAt
from tickover.core.pipeline import Pipeline
from tickover.core.policy import EpisodeOverrides, SensorOverrides, Settings
from tickover.core.values import SECOND
from tickover.daemon.events import Advance, Event, Judge, Reset, rows_of
from tickover.daemon.fleet import Fleet
from tickover.logs.reading import load_mapping, read_log
from tickover.model.detector import Detector

DEMO = paths.ROOT / "deploy" / "demo"
SETTINGS = Settings(
    episodes=EpisodeOverrides(open_after_s=1.0, close_after_s=5.0, hold_off_s=2.0, no_data_s=8.0, freeze_frame_ticks=7),
    sensors=SensorOverrides(
        kinds=SENSOR_KINDS, outside_s=4.0, stale_s=8.0, unseen_s=20.0, frozen_s=30.0, update_every_s=30.0
    ),
)
START = 1_700_000_000
WELL = 1000
"""Rows of the demo's trip before its fault."""
VEHICLES = ("a", "b", "c", "d")
PUMP, SLEEP, VERDICT = "pump", "sleep", "verdict"
Step = Event | str | tuple[str, str]


@cache
def detector() -> Detector:
    """The demo's, whose first signals are called frozen sooner in a part of their range."""
    found = Detector.load(DEMO / "truck.onnx")
    steps = [
        (StandsAt(above=0.0, frozen_s=40.0), StandsAt(above=middle, frozen_s=20.0)) for middle in (5.0, 900.0, 4.0)
    ]
    habits = [
        structs.replace(one, frozen_s=40.0, frozen_at=at)
        for one, at in zip(found.manifest.signals, steps, strict=False)
    ]
    found.manifest = structs.replace(found.manifest, signals=(*habits, *found.manifest.signals[len(habits) :]))
    return found


@cache
def trip() -> np.ndarray:
    """Of the demo's trip, without a fault: ``[WELL, F]``."""
    mapping = load_mapping(DEMO / "mapping.toml")
    blocks = read_log(DEMO / "trip.csv.gz", mapping, vehicle="t", counts=Counter(), on_bad=print)
    return next(iter(blocks)).values[:WELL]


def new_fleet(seed: int) -> Fleet:
    """One in three runs late readings too, one in seven has two detectors, one in five remembers no reading."""
    late = {"anomaly-replayed": Pipeline(detector(), SETTINGS, "anomaly-replayed", sensors_of=())}
    pipelines = {"anomaly": Pipeline(detector(), SETTINGS)}
    if seed % 7 == 3:
        pipelines["second"] = Pipeline(detector(), name="second")
    window = 0 if seed % 5 == 2 else 600 * SECOND
    return Fleet(
        pipelines, detector().manifest.names, None, 15 * SECOND, window, late if seed % 3 == 0 and window else {}
    )


def history(seed: int, seconds: int = 120, *, vehicles: tuple[str, ...] = ()) -> Iterator[Step]:
    """What happens to the fleet, in order; without ``vehicles``, to one to four of them."""
    random = np.random.default_rng(seed)
    vehicles = vehicles or VEHICLES[: len(VEHICLES) - seed % len(VEHICLES)]
    trucks = [_truck(name, np.random.default_rng([seed, place]), seconds) for place, name in enumerate(vehicles)]
    at_once = int(random.choice([1, 1, 1, 3, 10]))
    waiting: dict[str, list[tuple[int, list[float]]]] = {}
    for second in range(seconds):
        for name, truck in zip(vehicles, trucks, strict=True):
            what = next(truck)
            if isinstance(what, list):
                waiting.setdefault(name, []).extend(what)
            else:
                yield from _events(waiting, name)
                yield from what
        if second % at_once == 0:
            for name in [name for name in vehicles if random.random() < 0.95]:
                yield from _events(waiting, name)
            if random.random() < 0.9:
                yield PUMP
    for name in vehicles:
        yield from _events(waiting, name)
    yield PUMP


def _events(waiting: dict[str, list[tuple[int, list[float]]]], name: str) -> Iterator[Event]:
    rows = waiting.pop(name, [])
    if rows:
        yield rows_of(name, [time for time, _ in rows], [values for _, values in rows])


def _truck(name: str, random: np.random.Generator, seconds: int) -> Iterator[Any]:
    """Each second: rows of (microseconds, values), or events in place of them."""
    state = {"offset": int(random.integers(0, 5)), "fault": "", "left": 0, "shift": int(random.integers(0, SECOND))}
    first, sent = int(random.integers(0, WELL - seconds)), list[tuple[int, list[float]]]()
    wild = random.random() < 0.7
    for second in range(seconds):
        values = trip()[first + second]
        if wild and state["left"] <= 0 and random.random() < 0.04:
            kinds = ["spike", "missing", "outside", "frozen", "stop", "silent", "twice", "late", "swap", "fast", "none"]
            state["fault"], state["left"] = str(random.choice(kinds)), int(random.integers(1, 25))
            state["column"] = int(random.integers(0, trip().shape[1]))
        if wild and random.random() < 0.01:
            yield _rare(name, random, START + second + state["offset"])
            continue
        time = (START + second + state["offset"]) * SECOND + state["shift"]
        rows = [(time, values.tolist())]
        if state["left"] > 0:
            state["left"] -= 1
            rows = _faulty(state, rows, sent, random)
        sent += rows
        yield rows


def _faulty(
    state: dict[str, Any],
    rows: list[tuple[int, list[float]]],
    sent: list[tuple[int, list[float]]],
    random: np.random.Generator,
) -> list[tuple[int, list[float]]]:
    time, values = rows[0]
    fault, column = state["fault"], state["column"]
    if fault == "spike":
        values[column] += 3 * trip()[:, column].std()
    elif fault == "missing":
        values[column] = np.nan
    elif fault == "outside":
        values[column] = 1e6
    elif fault == "frozen" and sent:
        values[column] = sent[-1][1][column]
    elif fault == "stop":
        state["offset"] += 4
    elif fault == "silent":
        return []
    elif fault == "twice" and sent:
        return [*rows, sent[-1], (time, [value + 1 for value in values])]
    elif fault == "late" and len(sent) > 20:
        old = sent[-int(random.integers(2, 20))]
        return [(old[0] + int(random.integers(0, 2)), old[1]), *rows]
    elif fault == "swap":
        return [*rows, (time - SECOND // 2, values)]
    elif fault == "fast":
        return [(time + place * SECOND // 5, [*values[:-1], values[-1] + place / 10]) for place in range(5)]
    elif fault == "none":
        return [(time, [np.nan] * len(values))]
    return rows


def _rare(name: str, random: np.random.Generator, second: int) -> tuple[Step, ...]:
    kind = int(random.integers(0, 5))
    if kind == 0:
        return (Advance(name, (second + int(random.integers(0, 30))) * SECOND),)
    if kind == 1:
        return PUMP, (SLEEP, name)
    if kind == 2:
        times = [(second - 100_000 + place) * SECOND for place in range(70)]
        return (rows_of(name, times, trip()[:70].tolist()),)
    return (Reset(name),) if kind == 3 else (PUMP, (VERDICT, name))


def made_of(steps: Iterator[Step], fleet: Fleet) -> list[Any]:
    """Everything that can be seen of a run, for comparison."""
    seen: list[Any] = []
    newest: dict[str, str] = {}
    for step in steps:
        if step == PUMP:
            outcome = fleet.pump()
            # Vehicles have nothing to do with one another: which of them comes first in a pump says nothing.
            seen.append((sorted(outcome.alerts, key=lambda alert: alert.vehicle), outcome.notices))
            seen.append(sorted(_plain(name, output) for name, output in outcome.outputs))
            newest |= {alert.vehicle: alert.episode_id for alert in outcome.alerts}
        elif isinstance(step, tuple) and step[0] == VERDICT:
            fleet.apply(Judge(step[1], newest.get(step[1], ""), Verdict.FALSE))
        elif isinstance(step, tuple):
            if step[1] in fleet:
                state, pages = fleet.state(step[1]), fleet.pages(step[1], True)
                fleet.forget(step[1])
                fleet.restore(step[1], state, pages.get)
                seen.append((state, pages))
        else:
            fleet.apply(step)
    for name in fleet.vehicles:
        seen.append((name, fleet.newest(name), fleet.is_open(name), fleet.never_read(name)))
        seen.append({detector: promise.state() for detector, promise in fleet.promises(name).items()})
        seen.append((fleet.state(name), fleet.pages(name, True)))
    return [*seen, fleet.counts, fleet.signal_counts]


def _plain(name: str, output: Any) -> tuple[Any, ...]:
    ticks, scores = output.scored.ticks, output.scored.scores
    arrays = (ticks.time, ticks.trip, ticks.values, scores.score, scores.chart, scores.expected, output.scored.open)
    outside = b"" if ticks.outside is None else ticks.outside.tobytes()
    alerts = [alert.alert_id for alert in output.alerts]
    return (name, ticks.vehicle, outside, alerts, *(np.asarray(array).tobytes() for array in arrays))
