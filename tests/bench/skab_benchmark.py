"""The Skoltech Anomaly Benchmark (Katser and Kozitsin 2020, doi 10.34740/KAGGLE/DSV/1693952): files, rule, figures.

The rule: learn from a file's first ``TRAIN_ROWS`` rows, be judged on the rest; labels are for judging only. Beside the
figures stands the benchmark's own leaderboard (v0.9, README of github.com/waico/SKAB).
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from tickover.core.values import FloatArray
from tickover.errors import LogError
from tickover_train.calibration.rates import Rate, poisson_rate
from tickover_train.evaluation.bench import GRACE_S
from tickover_train.evaluation.metrics import (
    MERGE_S,
    Bools,
    Floats,
    Ints,
    detected_at,
    label_ranges,
    nab,
    onsets,
    points,
)
from tickover_train.evaluation.vus_pr import vus_pr

TRAIN_ROWS: Final = 400
FRONT_ROWS: Final = 600
"""Normal rows put in front of each test part, to tell a detector from a clock."""
CLOCK_ROWS: Final = 170
"""The clock alarms from this test row on, whatever it sees."""
NAB_WINDOW: Final = 30
"""Rows after a change point in which a detection counts; the leaderboard's 30 s."""
FOLDERS: Final = ("valve1", "valve2", "other")
LEADERBOARD: Final[dict[str, tuple[float, float, float]]] = {
    "Conv-AE": (0.79, 13.69, 17.77),
    "MSET": (0.73, 20.82, 20.08),
    "LSTM-AE": (0.68, 14.24, 35.56),
    "T-squared+Q (PCA-based)": (0.67, 13.95, 36.32),
    "Vanilla LSTM": (0.64, 15.4, 39.93),
    "MSCRED": (0.64, 13.56, 41.16),
    "LSTM-VAE": (0.56, 9.13, 55.03),
    "T-squared": (0.56, 12.14, 52.56),
    "Vanilla AE": (0.45, 7.56, 66.57),
    "Isolation forest": (0.4, 6.86, 72.09),
}
"""Published F1, FAR % and MAR %; not causal, and the windows differ from method to method."""


@dataclass(frozen=True, slots=True)
class SkabFile:
    """One run: ``values`` float32 ``[T, 8]``, ``anomaly`` bool ``[T]``, ``changes`` the change points' rows."""

    name: str
    values: FloatArray
    anomaly: Bools
    changes: Ints


@dataclass(frozen=True, slots=True)
class Judged:
    """One detector on one file's test part, row by row."""

    anomaly: Bools
    changes: Ints
    score: Floats
    alarm: Bools


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures over all files; ``vus_pr`` is the mean over files, ``vus_pr_pooled`` is over all rows together."""

    f1: float
    far: float
    mar: float
    nab: float
    events: int
    detected: int
    delay_s: float | None
    false_onsets: Rate
    vus_pr: float
    vus_pr_pooled: float


def signal_names(folder: Path) -> list[str]:
    """The eight sensors' names as identifiers, in the order of the columns."""
    path = folder / "anomaly-free" / "anomaly-free.csv"
    return [name.strip().replace(" ", "_") for name in _rows(path)[0][1:]]


def read_files(folder: Path) -> list[SkabFile]:
    """The 34 labelled runs in order of name; LogError when there are none."""
    paths = sorted(path for name in FOLDERS for path in (folder / name).glob("*.csv"))
    if not paths:
        raise LogError(f"{folder}: expected the folders {', '.join(FOLDERS)} with SKAB's files, found none")
    return [_read(path) for path in paths]


def read_normal(folder: Path) -> FloatArray:
    """The anomaly-free run, ``[T, 8]``."""
    return np.array([row[1:] for row in _rows(folder / "anomaly-free" / "anomaly-free.csv")[1:]], dtype=np.float32)


def _read(path: Path) -> SkabFile:
    rows = _rows(path)
    table = np.array([row[1:] for row in rows[1:]], dtype=np.float64)
    sensors = len(rows[0]) - 3
    return SkabFile(
        f"{path.parent.name}/{path.name}",
        table[:, :sensors].astype(np.float32),
        table[:, sensors] > 0,
        np.flatnonzero(table[:, sensors + 1] > 0),
    )


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter=";"))


def with_front(file: SkabFile, front: FloatArray) -> SkabFile:
    """The file with normal rows ``front`` ``[FRONT_ROWS, 8]`` between its training rows and its test part."""
    if front.shape != (FRONT_ROWS, file.values.shape[1]):
        raise ValueError(f"front: expected {FRONT_ROWS} rows of {file.values.shape[1]} sensors, got {front.shape}")
    return SkabFile(
        file.name,
        np.concatenate((file.values[:TRAIN_ROWS], front, file.values[TRAIN_ROWS:])),
        np.insert(file.anomaly, TRAIN_ROWS, np.zeros(FRONT_ROWS, dtype=bool)),
        np.where(file.changes >= TRAIN_ROWS, file.changes + FRONT_ROWS, file.changes),
    )


def own_front(file: SkabFile) -> FloatArray:
    """``FRONT_ROWS`` normal rows at the file's own settings that no model has learnt.

    The test rows before the first anomaly, to and fro until there are enough: no joint has a step, and the last row is
    the test part's first. A file whose test part begins inside an anomaly gives its training rows before that one.
    """
    first = 0 if file.anomaly[TRAIN_ROWS] else TRAIN_ROWS
    return _to_and_fro(file.values[first : first + int(np.argmax(file.anomaly[first:]))])


def learnt_front(file: SkabFile) -> FloatArray:
    """``FRONT_ROWS`` of the file's own training rows, back and forth again: nothing is new to a detector but the time.

    They end with the last training row before any anomaly, so that joints have no step (but in a file whose training
    rows hold an anomaly).
    """
    anomaly = file.anomaly[:TRAIN_ROWS]
    last = int(np.argmax(anomaly)) if anomaly.any() else TRAIN_ROWS
    return _to_and_fro(file.values[:last][::-1])


def _to_and_fro(rows: FloatArray) -> FloatArray:
    """The first rows there and back until they are ``FRONT_ROWS``; as many of them as go evenly."""
    half = FRONT_ROWS // 2
    rows = rows[: max(n for n in range(1, half + 1) if half % n == 0 and n <= len(rows))]
    return np.tile(np.concatenate((rows, rows[::-1])), (half // len(rows), 1))


def moved_front(file: SkabFile, normal: FloatArray, seed: int) -> FloatArray:
    """``FRONT_ROWS`` consecutive rows of the anomaly-free run, which was made at other settings.

    A stretch of it is moved and stretched, signal by signal, until its *first* 400 rows have mean and spread of the
    file's training rows; the 600 rows after those are given, with all the drift that they have.
    """
    need = TRAIN_ROWS + FRONT_ROWS
    start = int(np.random.default_rng(seed).integers(0, len(normal) - need + 1))
    first, rest = normal[start : start + TRAIN_ROWS], normal[start + TRAIN_ROWS : start + need]
    own = file.values[:TRAIN_ROWS]
    spread = np.where(first.std(0) > 0, first.std(0), 1.0)
    front: FloatArray = ((rest - first.mean(0)) / spread * own.std(0) + own.mean(0)).astype(np.float32)
    return front


def tested(file: SkabFile, score: FloatArray, alarm: Bools) -> Judged:
    """Cut scores of the whole file to the rows that count."""
    changes = file.changes[file.changes >= TRAIN_ROWS] - TRAIN_ROWS
    part = slice(TRAIN_ROWS, None)
    return Judged(file.anomaly[part], changes, score[part].astype(np.float64), alarm[part])


def clock(file: SkabFile) -> Judged:
    """The floor: on after ``CLOCK_ROWS`` test rows."""
    rows = np.arange(len(file.values), dtype=np.float32) - TRAIN_ROWS
    return tested(file, rows, rows >= CLOCK_ROWS)


def figures(judged: Sequence[Judged]) -> Figures:
    """Every figure of one detector over the files' test parts; a row is a second."""
    labels, scores = [one.anomaly for one in judged], [one.score for one in judged]
    alarms = [one.alarm for one in judged]
    pointwise = points(labels, alarms)
    found: list[int | None] = []
    false = 0
    for one in judged:
        allowed = one.anomaly.copy()
        for first, end in label_ranges(one.anomaly).tolist():
            begun = detected_at(one.alarm, first, end - 1 + int(GRACE_S), int(MERGE_S))
            found.append(None if begun is None else begun - first)
            allowed[first : end + int(GRACE_S)] = True
        false += int((~allowed[onsets(one.alarm, int(MERGE_S))]).sum())
    delays = [delay for delay in found if delay is not None]
    switches = [np.flatnonzero(np.diff(alarm.astype(np.int8), prepend=0)) for alarm in alarms]
    hours = sum(int((~label).sum()) for label in labels) / 3600.0
    return Figures(
        f1=pointwise.f1,
        far=pointwise.far,
        mar=pointwise.mar,
        nab=nab([one.changes for one in judged], switches, NAB_WINDOW),
        events=len(found),
        detected=len(delays),
        delay_s=float(np.median(delays)) if delays else None,
        false_onsets=poisson_rate(false, hours),
        vus_pr=float(np.nanmean([vus_pr([label], [score]) for label, score in zip(labels, scores, strict=True)])),
        vus_pr_pooled=vus_pr(labels, scores),
    )
