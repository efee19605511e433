"""Driver, gearbox and engine: from a target speed to engine speed, load, boost and fuel.

A 12 t rigid truck with a 180 kW diesel and an automated eight-speed gearbox. Longitudinal dynamics: inertia, rolling
resistance, slope and air drag (Guzzella and Sciarretta, Vehicle Propulsion Systems, chapter 2).
"""

from dataclasses import dataclass
from random import Random
from typing import Final

from tickover.simulator.faults import Damage
from tickover.simulator.route import STANDING

MASS: Final = 12_000.0
INERTIA: Final = 1.05
"""Rotating parts, as a factor on the mass."""
GRAVITY: Final = 9.81
ROLLING: Final = 0.0065
DRAG: Final = 2.9
"""Half of air density times drag area, N s2/m2."""
DRIVELINE: Final = 0.88
"""Efficiency from engine to wheels."""
POWER: Final = 180e3
"""Greatest engine power, W."""
RATED_RPM: Final = 1700.0
IDLE_RPM: Final = 650.0
TOP_GEAR: Final = 8
RPM_PER_MS_TOP: Final = 59.4
"""Engine speed per m/s in top gear: 1400 rpm at 85 km/h."""
RATIO_STEP: Final = 1.35
SHIFT_UP_RPM: Final = 1450.0
SHIFT_UP_LOAD_RPM: Final = 350.0
SHIFT_DOWN_RPM: Final = 1000.0
SHIFT_S: Final = 0.8
BETWEEN_SHIFTS_S: Final = 2.0
ENGINE_BRAKE: Final = 25e3
"""Power that the engine takes up at rated speed without fuel, W."""
FRICTION: Final = 9e3
"""Power that the idling engine needs for itself, W."""
DIESEL: Final = 35.8e6
"""Energy of a litre of diesel, J."""
EFFICIENCY: Final = 0.42
BOOST_KPA: Final = 230.0
BOOST_LAG_S: Final = 1.4
RPM_LAG_S: Final = 0.4
PEDAL: Final = 0.4
"""Acceleration asked for per m/s of missing speed, 1/s."""
HARDEST: Final = (-1.9, 0.9)
"""Hardest braking and acceleration asked for, m/s2."""
FULL_BRAKING: Final = 5.0
"""Deceleration of the fully used brakes, m/s2."""


@dataclass(slots=True)
class Slope:
    """Slope and driver's mood: two slow random walks that return to zero (Ornstein and Uhlenbeck)."""

    rng: Random
    grade: float = 0.0
    mood: float = 0.0

    def step(self, dt: float, speed: float) -> None:
        """Slope changes with distance (about 400 m), mood with time (about 20 s)."""
        share = min(1.0, speed * dt / 400.0)
        self.grade += -share * self.grade + 0.018 * (2 * share) ** 0.5 * self.rng.gauss(0, 1)
        share = dt / 20.0
        self.mood += -share * self.mood + 0.02 * (2 * share) ** 0.5 * self.rng.gauss(0, 1)


class DriveTrain:
    """Speed, gear, engine speed, load, boost and fuel; SI units except ``rpm``, ``boost`` (kPa) and ``fuel`` (L/h)."""

    def __init__(self, rng: Random) -> None:
        self.slope = Slope(rng)
        self.speed = 0.0
        self.gear = 0
        self.rpm = IDLE_RPM
        self.load = 0.0
        self.power = FRICTION
        self.boost = 0.0
        self.fuel = 0.0
        self.braking = 0.0
        self._since_shift = BETWEEN_SHIFTS_S

    def step(self, dt: float, target: float, auxiliary: float, damage: Damage) -> None:
        """Advance ``dt`` seconds towards ``target`` m/s with ``auxiliary`` W of belt-driven loads."""
        self.slope.step(dt, self.speed)
        wanted = target * (1 + self.slope.mood) if target > 0 else 0.0
        acceleration = min(HARDEST[1], max(HARDEST[0], PEDAL * (wanted - self.speed)))
        self._shift(dt, target)
        self._move(dt, acceleration, auxiliary)
        self._burn(dt, damage)

    def _shift(self, dt: float, target: float) -> None:
        self._since_shift += dt
        if self.speed < STANDING and target <= 0:
            self.gear = 0
        elif self.gear == 0:
            self.gear, self._since_shift = 1, 0.0
        elif self._since_shift >= BETWEEN_SHIFTS_S:
            turning = self.speed * rpm_per_ms(self.gear)
            if turning > SHIFT_UP_RPM + SHIFT_UP_LOAD_RPM * self.load and self.gear < TOP_GEAR:
                self.gear, self._since_shift = self.gear + 1, 0.0
            elif turning < SHIFT_DOWN_RPM and self.gear > 1:
                self.gear, self._since_shift = self.gear - 1, 0.0
        coupled = self.speed * rpm_per_ms(self.gear) if self.gear else 0.0
        self.rpm += min(1.0, dt / RPM_LAG_S) * (max(IDLE_RPM, coupled) - self.rpm)

    def _move(self, dt: float, acceleration: float, auxiliary: float) -> None:
        """Engine and brakes share the force; what the engine cannot give is not gained in speed."""
        resistance = MASS * GRAVITY * (ROLLING + self.slope.grade) + DRAG * self.speed * self.speed
        # At a standstill the brakes hold the truck: the engine does not work against slope and rolling resistance.
        if self.speed < STANDING and acceleration <= 0:
            resistance, acceleration = 0.0, -self.speed / dt
        force = MASS * INERTIA * acceleration + resistance
        at_wheel = max(self.speed, 1.0)  # force is power over speed, which at rest would have no limit
        limit = full_power(self.rpm) if self.gear and self._since_shift >= SHIFT_S else FRICTION
        available = max(0.0, limit - FRICTION - auxiliary) * DRIVELINE
        drag = ENGINE_BRAKE * self.rpm / RATED_RPM if self.gear else 0.0
        driving = min(max(0.0, force * at_wheel), available)
        self.braking = max(0.0, -force * at_wheel - drag) / (MASS * FULL_BRAKING * at_wheel)
        if force > 0:
            acceleration = (driving / at_wheel - resistance) / (MASS * INERTIA)
        self.speed = max(0.0, self.speed + acceleration * dt)
        overrun = force * at_wheel < -drag and self.gear > 0 and self.rpm > IDLE_RPM + 100
        self.power = 0.0 if overrun else FRICTION + auxiliary + driving / DRIVELINE
        self.load = min(1.0, self.power / full_power(self.rpm))

    def _burn(self, dt: float, damage: Damage) -> None:
        pressure = BOOST_KPA * self.load * min(1.0, self.rpm / RATED_RPM) * damage.boost
        self.boost += min(1.0, dt / BOOST_LAG_S) * (pressure - self.boost)
        self.fuel = 3600.0 * self.power / (EFFICIENCY * DIESEL) * damage.injection


def rpm_per_ms(gear: int) -> float:
    """Engine speed (rpm) per m/s in a gear from 1 to TOP_GEAR."""
    return float(RPM_PER_MS_TOP * RATIO_STEP ** (TOP_GEAR - gear))


def full_power(rpm: float) -> float:
    """Greatest power at an engine speed, W: rising to rated speed, then flat."""
    return POWER * min(1.0, rpm / RATED_RPM)
