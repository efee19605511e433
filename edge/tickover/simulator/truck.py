"""The truck: route, drive train, body and sensors together, one tick at a time."""

import math
from collections.abc import Iterable, Iterator
from random import Random
from typing import Final

import numpy as np

from tickover.core.values import SECOND, Readings
from tickover.simulator.body import Body, Weather
from tickover.simulator.drive import DriveTrain
from tickover.simulator.faults import Fault, FaultSchedule, Values
from tickover.simulator.route import Route
from tickover.simulator.signals import CHANNELS, SIGNALS, TYRES

START: Final = 1_772_431_200 * SECOND
"""2026-03-02 06:00:00 UTC, a Monday."""
LONGEST_STEP_S: Final = 0.5
"""The physics are stepped at least this often, whatever the tick period."""
NAMES: Final = tuple(signal.name for signal in SIGNALS)


class Truck:
    """One vehicle's endless readings, a row per tick while the ignition is on.

    Equal seeds give equal readings. During a break (25 to 60 minutes after each round) nothing is reported: the clock
    jumps and a new trip begins. ``faults`` must be in order of start and may be endless. ``outside`` fixes the mean
    outside temperature in C.
    """

    def __init__(
        self,
        seed: int,
        *,
        vehicle: str = "truck",
        period_s: float = 1.0,
        start: int = START,
        faults: Iterable[Fault] = (),
        outside: float | None = None,
    ) -> None:
        if not (period_s > 0 and math.isfinite(period_s)):
            raise ValueError(f"period_s: expected more than 0 seconds, got {period_s}")
        self.vehicle = vehicle
        self.start = start
        self._period = round(period_s * SECOND)
        self._steps = max(1, math.ceil(period_s / LONGEST_STEP_S))
        self._dt = period_s / self._steps
        self._tick = 0
        # A generator for each purpose: a fault that draws noise leaves route and physics as they are without it, so a
        # truck with faults equals the same truck without them up to the first fault. Python's Random and not numpy's,
        # because it promises equal sequences across versions and machines; the bundled recording is rebuilt from them.
        physics = Random(f"{seed}:physics")
        self._weather = Weather(physics, outside)
        self._body = Body(physics, self._weather.at(start / SECOND))
        self._drive = DriveTrain(physics)
        self._route = Route(Random(f"{seed}:route"))
        self._noise = Random(f"{seed}:noise")
        self._schedule = FaultSchedule(iter(faults), Random(f"{seed}:sensors"))
        self._last: Values = self._sense()

    def tick(self) -> tuple[int, Values]:
        """The next tick: its time in microseconds and one value per signal (NaN = not reported)."""
        self._rest()
        time = self.start + self._tick * self._period
        now_s = self._tick * self._period / SECOND
        self._schedule.advance(now_s, self._last)
        for _ in range(self._steps):  # Euler's rule is too coarse for engine speed and boost at a long tick period
            self._step(time / SECOND)
        values = self._sense()
        self._schedule.disturb(now_s, values)
        self._last = [_quantised(value, channel) for value, channel in zip(values, _STEPS, strict=True)]
        self._tick += 1
        return time, list(self._last)

    def block(self, ticks: int) -> Readings:
        """The next ticks as one block; equal to that many calls of ``tick``."""
        rows = [self.tick() for _ in range(ticks)]
        time = np.array([time for time, _ in rows], dtype=np.int64)
        values = np.array([values for _, values in rows], dtype=np.float64).reshape(ticks, len(NAMES))
        return Readings(self.vehicle, NAMES, time, values)

    def blocks(self, ticks: int = 1024) -> Iterator[Readings]:
        """Blocks without end."""
        while True:
            yield self.block(ticks)

    def _rest(self) -> None:
        seconds = self._route.take_break()
        if seconds:
            self._tick += round(seconds * SECOND / self._period)
            now = (self.start + self._tick * self._period) / SECOND
            self._body.rest(seconds, self._weather.at(now))

    def _step(self, time_s: float) -> None:
        damage = self._schedule.damage
        outside = self._weather.at(time_s)
        target = self._route.step(self._dt, self._drive.speed)
        self._drive.step(self._dt, target, self._body.auxiliary, damage)
        self._body.step(self._dt, self._drive, outside, self._route.door_open, damage)

    def _sense(self) -> Values:
        drive, body, damage = self._drive, self._body, self._schedule.damage
        exact = (
            drive.speed * 3.6,
            drive.rpm,
            float(drive.gear),
            drive.load * 100.0,
            drive.boost,
            drive.fuel,
            body.tank + body.slosh,
            body.coolant,
            body.oil,
            body.oil_pressure(drive.rpm, damage),
            body.voltage,
            body.air,
            *(body.tyre_pressure(number) for number in range(len(TYRES))),
            body.cargo,
            self._weather.at((self.start + self._tick * self._period) / SECOND),
        )
        gauss = self._noise.gauss
        return [value + channel.noise * gauss(0, 1) for value, channel in zip(exact, CHANNELS, strict=True)]


_STEPS: Final = tuple((c.resolution, c.decimals, float(c.signal.low), float(c.signal.high)) for c in CHANNELS)


def _quantised(value: float, step: tuple[float, int, float, float]) -> float:
    """The value as the sensor reports it: inside its range and on its grid."""
    if math.isnan(value):
        return value
    resolution, decimals, low, high = step
    # Rounded twice: a multiple of 0.1 has float noise in its last digit. The 0.0 turns -0.0 into 0.0, as logs show it.
    return round(round(min(high, max(low, value)) / resolution) * resolution, decimals) + 0.0
