"""SKAB: the rule about rows, the figures of perfect, silent and clock detectors, and normal rows in front."""

import numpy as np
import pytest

from bench import skab_benchmark as skab

SENSORS = [f"s {n}" for n in range(8)]


def write(path, rows, labels=True, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    head = ["datetime", *SENSORS, *(["anomaly", "changepoint"] if labels else [])]
    lines = [";".join(head)]
    for row in range(rows):
        values = [f"{value:.4f}" for value in rng.normal(5, 1, 8)]
        marks = [str(float(570 <= row < 900)), str(float(row in (570, 900)))] if labels else []
        lines.append(";".join([f"2020-03-09 10:{row // 60:02d}:{row % 60:02d}", *values, *marks]))
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("skab")
    write(folder / "valve1" / "0.csv", 1000)
    write(folder / "other" / "1.csv", 1100, seed=1)
    write(folder / "anomaly-free" / "anomaly-free.csv", 3000, labels=False, seed=2)
    return folder


def judge(files, score):
    return skab.figures([skab.tested(file, score(file), score(file) >= 1.0) for file in files])


def test_files_are_read_in_order_with_their_labels(folder):
    first, second = skab.read_files(folder)
    assert [(file.name, len(file.values)) for file in (first, second)] == [
        ("other/1.csv", 1100),
        ("valve1/0.csv", 1000),
    ]
    assert first.anomaly.sum() == 330
    assert first.changes.tolist() == [570, 900]
    assert skab.signal_names(folder)[0] == "s_0"


def test_a_perfect_and_a_silent_detector(folder):
    files = skab.read_files(folder)
    perfect = judge(files, lambda file: file.anomaly.astype(np.float32) * 2)
    assert (perfect.f1, perfect.far, perfect.mar, perfect.detected) == (1.0, 0.0, 0.0, 2)
    assert perfect.nab == pytest.approx(100.0)
    assert perfect.vus_pr > 0.95
    silent = judge(files, lambda file: np.zeros(len(file.values), np.float32))
    assert (silent.f1, silent.far, silent.mar, silent.detected, silent.nab) == (0.0, 0.0, 1.0, 0, 0.0)


def fronts(folder, files):
    normal = skab.read_normal(folder)
    return {
        "own": [skab.own_front(file) for file in files],
        "learnt": [skab.learnt_front(file) for file in files],
        "moved": [skab.moved_front(file, normal, seed) for seed, file in enumerate(files)],
    }


@pytest.mark.parametrize("kind", ["own", "learnt", "moved"])
def test_normal_rows_in_front_expose_the_clock(folder, kind):
    files = skab.read_files(folder)
    fronted = [skab.with_front(file, front) for file, front in zip(files, fronts(folder, files)[kind], strict=True)]
    for file, longer in zip(files, fronted, strict=True):
        assert len(longer.values) == len(file.values) + skab.FRONT_ROWS
        assert longer.anomaly.sum() == file.anomaly.sum()
        assert not longer.anomaly[: 570 + skab.FRONT_ROWS].any()
        assert longer.changes.tolist() == [570 + skab.FRONT_ROWS, 900 + skab.FRONT_ROWS]
        np.testing.assert_array_equal(longer.values[:400], file.values[:400])
        np.testing.assert_array_equal(longer.values[1000:], file.values[400:])
        np.testing.assert_allclose(longer.values[400:1000].mean(0), file.values[:400].mean(0), atol=0.5)
    before = skab.figures([skab.clock(file) for file in files])
    after = skab.figures([skab.clock(file) for file in fronted])
    assert before.f1 > 0.75
    assert after.f1 < before.f1 - 0.15


def test_own_rows_in_front_are_unseen_normal_and_without_a_step(folder):
    file = skab.read_files(folder)[0]
    front = skab.own_front(file)
    assert {row.tobytes() for row in front} == {row.tobytes() for row in file.values[400:550]}
    np.testing.assert_array_equal(front[0], file.values[400])
    np.testing.assert_array_equal(front[-1], file.values[400])
    inside = skab.SkabFile("inside", file.values, file.anomaly | (np.arange(len(file.anomaly)) >= 104), file.changes)
    assert {row.tobytes() for row in skab.own_front(inside)} == {row.tobytes() for row in file.values[:100]}


def test_learnt_rows_in_front_are_training_rows_without_a_step(folder):
    file = skab.read_files(folder)[0]
    front = skab.learnt_front(file)
    assert {row.tobytes() for row in front} == {row.tobytes() for row in file.values[100:400]}
    np.testing.assert_array_equal(front[0], file.values[399])
    np.testing.assert_array_equal(front[-1], file.values[399])
    inside = skab.SkabFile("inside", file.values, file.anomaly | (np.arange(len(file.anomaly)) >= 104), file.changes)
    assert {row.tobytes() for row in skab.learnt_front(inside)} == {row.tobytes() for row in file.values[4:104]}


@pytest.mark.data
def test_the_clock_scores_on_the_real_files_as_design_says(data_dir):
    files = skab.read_files(data_dir / "skab")
    assert len(files) == 34
    assert skab.figures([skab.clock(file) for file in files]).f1 == pytest.approx(0.82, abs=0.01)
