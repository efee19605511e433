"""Does `recovered` mean recovered? Faults that stand, and faults that are over, and how their episodes end.

    python tests/bench/recovered.py MODEL.onnx [--split mixed|season] [--legs] [--trips 4] [--kinds gain steps ...]

Faults of several kinds and sizes are put into judged trips (legs: into legs), at 420 s (90 s) of each, one signal after
another. A fault *stands* to the end of its 18 minutes (of the leg), or it is *over* after four minutes (one) and the
rest is clean. An episode is a fault's when it opens within two minutes of the fault's beginning and names its signal.
Counted are, of the standing faults, the episodes that ended before the fault did, by reason, and all episodes that name
the signal, too, for one fault; and of the faults that are over, how their episodes ended. The clean trips give false
episodes per hour and the share of time in alarm.
"""

import argparse
import os
import pickle
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from quality_steps import Work

from tickover.core.values import Alert, FloatArray, Phase
from tickover.logs.inspection import propose_mapping
from tickover.logs.mapping import Mapping
from tickover.model.detector import Detector
from tickover_train.calibration.legs import cut_legs
from tickover_train.data import load_trips
from tickover_train.evaluation.habits import Habits, habits_of
from tickover_train.evaluation.scorers import ModelScorer, Span

Change = Callable[[FloatArray, float, np.random.Generator], FloatArray]
"""Clean values ``[N]`` of one signal, and its spread, to faulty ones."""
SOON_S: Final = 120
"""An episode is a fault's when it opens so soon."""
SEED: Final = 0
RAMP_S: Final = 60
SLOW_RAMP_S: Final = 300


class Place(NamedTuple):
    """Where faults lie: they begin at ``begin`` seconds, last for ``last`` s, or are over after ``over`` s."""

    begin: int
    last: int
    over: int
    least: int


WHOLE: Final = Place(420, 1080, 240, 1500)
LEGS: Final = Place(90, 390, 60, 240)


class Case(NamedTuple):
    """A fault: in which trip, of which signal, of which kind, and whether it is over before the end."""

    trip: int
    signal: int
    kind: str
    over: bool


def kinds() -> dict[str, dict[str, Change]]:
    """Changes by group and name."""
    steps = {f"step{size:+d}": _step(size) for k in (3, 6, 12) for size in (k, -k)}
    ramps = {"ramp+4": _ramp(4.0, RAMP_S), "ramp-8": _ramp(-8.0, SLOW_RAMP_S)}
    return {
        "gains": {f"gain{factor:g}": _gain(factor) for factor in (0.4, 0.6, 0.8, 1.2, 1.5, 2.0)},
        "steps": steps | ramps,
        "steps of one": {"step+1": _step(1), "step-1": _step(-1)},
        "noise": {"noise2": _noise(2.0), "noise8": _noise(8.0)},
        "stuck": {"stuck": lambda x, spread, random: np.full_like(x, x[0])},
        "gone": {"gone": lambda x, spread, random: np.full_like(x, np.nan)},
    }


def _step(size: float) -> Change:
    return lambda x, spread, random: x + size * spread


def _gain(factor: float) -> Change:
    return lambda x, spread, random: x * factor


def _ramp(size: float, seconds: int) -> Change:
    return lambda x, spread, random: x + size * spread * np.minimum(np.arange(len(x)) / seconds, 1.0)


def _noise(size: float) -> Change:
    return lambda x, spread, random: x + size * spread * random.normal(size=len(x))


def faulty(clean: FloatArray, case: Case, change: Change, habits: Habits, place: Place, detector: Detector) -> Span:
    """The span of a fault; readings that leave the plausible range are out of it."""
    signals, at = detector.manifest.signals, case.signal
    values = clean[place.begin : place.begin + place.last].astype(np.float64)
    ends = place.over if case.over else len(values)
    changed = change(values[:ends, at], float(habits.spread[at]), np.random.default_rng(at))
    whole = values[:ends].copy()
    whole[:, at] = changed
    rounded = changed if np.isnan(changed).all() else habits.rounded(whole)[:, at]
    values[:ends, at] = np.where(np.isnan(values[:ends, at]), np.nan, rounded)
    beyond = (values[:, at] < signals[at].low) | (values[:, at] > signals[at].high)
    outside = np.full(values.shape, np.nan, np.float32) if beyond.any() else None
    if outside is not None:
        outside[beyond, at], values[beyond, at] = values[beyond, at], np.nan
    return Span(case.trip, place.begin, values.astype(np.float32), outside)


class Alerts(ModelScorer):
    """A model that tells the alerts of spans, as seconds and alert from where the fault begins."""

    def alerts_of(self, spans: Sequence[Span]) -> list[list[tuple[float, Alert]]]:
        found: list[list[tuple[float, Alert]]] = []
        for first in range(0, len(spans), 256):
            some = spans[first : first + 256]
            pieces = [self._piece(span) for span in some]
            self._held.run(pieces)
            for span, piece in zip(some, pieces, strict=True):
                begin = int(self._times[span.trip][span.start])
                found.append([((alert.time - begin) / 1e6, alert) for alert in piece.alerts])
        return found


def fate(alerts: Sequence[tuple[float, Alert]], signal: str, ends: int) -> tuple[list[str], int]:
    """How the episodes of a fault of one signal ended (``open``: not before ``ends`` seconds); how many named it."""
    named = {
        alert.episode_id: when
        for when, alert in alerts
        if alert.phase is Phase.START and when < ends and signal in [one.signal for one in alert.signals]
    }
    own = {name for name, when in named.items() if when <= SOON_S}
    reasons = {alert.episode_id: str(alert.reason) for when, alert in alerts if alert.reason and when < ends}
    return [reasons.get(name, "open") for name in own], len(named)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("TICKOVER_DATA", str(Path(__file__).resolve().parents[3] / "shared" / "data"))
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, default=Path(default), help="the folder that holds kit-obd/")
    parser.add_argument("--split", choices=("mixed", "season"), default="mixed")
    parser.add_argument("--legs", action="store_true")
    parser.add_argument("--trips", type=int, default=4)
    parser.add_argument("--kinds", nargs="+", choices=list(kinds()), default=list(kinds()))
    parser.add_argument("--keep", type=Path, help="pickle of all alerts")
    args = parser.parse_args()
    detector, place = Detector.load(args.model), LEGS if args.legs else WHOLE
    _, logs = Work(args.split, SEED, args.data, args.model.parent).logs
    trips = load_trips(logs, propose_mapping(logs, Mapping())[0], Counter(), print)
    habits, values = habits_of([trip.values for trip in trips]), [trip.values for trip in trips]
    if args.legs:
        values = [leg for cut in cut_legs(values, detector.manifest.tick_period_s, SEED) for leg in cut]
    model = Alerts(detector)
    chosen = [number for number, one in enumerate(values) if len(one) > place.least]
    chosen = chosen[1 :: max(1, len(chosen) // args.trips)][: args.trips]
    outside = None if args.legs else [trip.outside for trip in trips]
    marks = [[place.begin] if number in chosen else [] for number in range(len(values))]
    tracks = model.clean(values, marks, outside)
    hours = sum(map(len, values)) * detector.manifest.tick_period_s / 3600.0
    starts = sum(alert.phase is Phase.START for trip in model.alerts for alert in trip)
    ends = Counter(str(alert.reason) for trip in model.alerts for alert in trip if alert.reason)
    in_alarm = sum(int(track.open.sum()) for track in tracks) / sum(map(len, values))
    rates = f"{starts / hours:.2f} episodes an hour, {in_alarm:.4f} of the time in alarm"
    print(f"clean: {hours:.1f} h, {rates}; {dict(ends)}", flush=True)
    changes = {name: change for group in args.kinds for name, change in kinds()[group].items()}
    groups = {name: group for group in args.kinds for name in kinds()[group]}
    cases = [
        Case(trip, signal, kind, over)
        for trip in chosen
        for signal in range(len(detector.manifest.names))
        for kind in changes
        for over in (False, True)
    ]
    spans = [faulty(values[case.trip], case, changes[case.kind], habits, place, detector) for case in cases]
    told = model.alerts_of(spans)
    found: dict[tuple[str, bool], Counter[str]] = {}
    for case, span, alerts in zip(cases, spans, told, strict=True):
        count = found.setdefault((groups[case.kind], case.over), Counter())
        reasons, named = fate(alerts, detector.manifest.names[case.signal], len(span.values))
        count["faults"] += 1
        count["told"] += bool(reasons)
        count["episodes"] += named if reasons else 0
        count.update(reasons)
    for (group, over), count in sorted(found.items(), key=lambda one: one[0][1]):
        print(f"{group:14} {'is over' if over else 'stands ':8}", dict(count))
    if args.keep:
        args.keep.write_bytes(pickle.dumps((cases, told)))


if __name__ == "__main__":
    main()
