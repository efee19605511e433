"""How long messages gather: never for a truck that sends now and then, nor where it would delay what a model says."""

from itertools import count

import pytest
from msgspec.structs import replace

from daemon_process import MODEL
from tickover.core.manifest import Manifest
from tickover.daemon import pace
from tickover.daemon.pace import Pace
from tickover.model.detector import Detector


def manifest(period_s: float, lateness_s: float) -> Manifest:
    return replace(Detector.load(MODEL).manifest, tick_period_s=period_s, lateness_s=lateness_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock comes half a second later."""
    ticks = count()
    monkeypatch.setattr(pace.time, "monotonic", lambda: next(ticks) / 2)


def gathered(rate: int, vehicles: int, *manifests: Manifest) -> float:
    """After three seconds at so many messages a second."""
    one = Pace(manifests)
    for _ in range(6):
        one.came(rate // 2)
    return one.gather_s(vehicles)


@pytest.mark.usefixtures("clock")
def test_messages_of_a_fast_truck_gather_for_a_part_of_the_time_that_its_model_takes() -> None:
    assert gathered(100, 1, manifest(1.0, 1.0)) == pytest.approx(0.1)
    assert gathered(100, 1, manifest(0.1, 0.1)) == pytest.approx(0.01)
    assert gathered(100, 1, manifest(1.0, 1.0), manifest(0.1, 0.1)) == pytest.approx(0.01)
    assert gathered(100, 1, manifest(0.01, 0.01)) == 0.0


@pytest.mark.usefixtures("clock")
def test_messages_of_a_slow_truck_do_not_gather() -> None:
    assert gathered(10, 1, manifest(1.0, 1.0)) == 0.0


@pytest.mark.usefixtures("clock")
def test_those_of_a_fleet_do_whatever_they_are() -> None:
    assert [gathered(10, vehicles, manifest(0.01, 0.01)) for vehicles in (10, 11, 100, 101)] == [0.0, 0.01, 0.01, 0.03]


@pytest.mark.usefixtures("clock")
def test_a_truck_that_slows_down_is_slow() -> None:
    one = Pace([manifest(1.0, 1.0)])
    for messages in (50, 50, 50, 1, 1, 1, 1):
        one.came(messages)
    assert one.gather_s(1) == 0.0
