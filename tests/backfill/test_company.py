"""Vehicles that share calls of the graph: the same numbers as alone, and nobody waits for one that is gone."""

import contextlib
import threading

import numpy as np
import pytest

import paths
from tickover.errors import ModelError
from tickover.jobs.backfill.company import FEWEST_TICKS, Company
from tickover.model.detector import Detector

DETECTOR = Detector.load(paths.MODELS / "gru_autoencoder.onnx")
SIGNALS = len(DETECTOR.manifest.signals)
LENGTHS = {
    "equal": [[600, 300], [600, 300], [600, 300]],
    "unequal": [[1000, 3, 70], [64, 64, 64, 900], [1], [512, 700]],
    "alone": [[700, 20]],
}


class Gone(Exception):
    """A vehicle that could not go on."""


def trips(lengths):
    random = np.random.default_rng(3)
    return [[random.normal(20, 5, (ticks, 1, SIGNALS)).astype(np.float32) for ticks in mine] for mine in lengths]


def run(detector, blocks):
    """State and charts behind each of some blocks of one vehicle."""
    state, found = DETECTOR.new_state()[None], []
    for x in blocks:
        state, scores = detector.run_batch(state, x)
        found.append((state.tobytes(), scores.score.tobytes(), scores.chart.tobytes(), scores.expected.tobytes()))
    return found


def in_company(works):
    """Each function in a thread with a seat; all must end."""
    company, threads = Company(), []

    def sit(work):
        with contextlib.suppress(Gone), company.seat():
            work(company.detector(DETECTOR.digest, lambda: DETECTOR))

    for work in works:
        threads.append(threading.Thread(target=sit, args=(work,), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_each_vehicle_gets_what_it_gets_alone_to_the_bit(lengths):
    vehicles, found = trips(lengths), {}

    def of(number):
        return lambda detector: found.update({number: run(detector, vehicles[number])})

    in_company([of(number) for number in range(len(vehicles))])
    assert [found[number] for number in range(len(vehicles))] == [run(DETECTOR, blocks) for blocks in vehicles]


def test_a_vehicle_that_fails_holds_up_no_other():
    [blocks] = trips([[500, 500]])
    done = []

    def fails(detector):
        run(detector, blocks[:1])
        raise Gone

    in_company([fails, lambda detector: done.append(run(detector, blocks)), lambda detector: None])
    assert done == [run(DETECTOR, blocks)]


def test_an_error_of_the_graph_reaches_all_that_wait_and_ends_their_wait(monkeypatch):
    [blocks] = trips([[4 * FEWEST_TICKS]])
    told = []

    def broken(*_):
        raise ModelError("broken")

    def work(detector):
        try:
            run(detector, blocks)
        except ModelError as error:
            told.append(str(error))

    monkeypatch.setattr(DETECTOR, "run_batch", broken)
    in_company([work, work, work])
    assert told == ["broken"] * 3
