"""Everything that warms, charges, fills and leaks around the engine: first-order models, stepped by Euler's rule."""

import math
from random import Random
from typing import Final

from tickover.simulator.drive import DIESEL, RATED_RPM, DriveTrain
from tickover.simulator.faults import Damage
from tickover.simulator.signals import TYRES

HEAT_TO_COOLANT: Final = 0.28
"""Share of the fuel's energy that reaches the coolant."""
ENGINE_HEAT: Final = 250e3
"""Heat capacity of engine and coolant, J/K."""
BLOCK_LOSS: Final = 35.0
"""Heat that the block loses, W/K."""
RADIATOR: Final = 2200.0
"""Heat that the radiator takes at motorway speed with the thermostat open, W/K."""
THERMOSTAT: Final = (82.0, 92.0)
"""Begins to open and is fully open, C."""
FAN_C: Final = 97.0
OIL_LAG_S: Final = 260.0
SETPOINT: Final = (3.0, 5.0)
"""The cargo cooler stops and starts at these temperatures, C."""
CARGO_LEAK_S: Final = 9000.0
DOOR_LEAK_S: Final = 900.0
COOLING: Final = 0.008
"""Temperature that the running cooler takes from the cargo, K/s."""
COOLER_POWER: Final = 4500.0
COMPRESSOR_KPA: Final = (850.0, 1000.0)
"""The air compressor starts and stops at these pressures."""
COMPRESSOR_POWER: Final = 2500.0
COMPRESSOR_RATE: Final = 5.0
"""Pressure that the compressor adds at rated engine speed, kPa/s."""
BRAKE_AIR: Final = 60.0
"""Pressure that one full application of the brakes takes, kPa."""
AIR_LOSS: Final = 0.12
"""Pressure that suspension and small leaks take, kPa/s."""
TYRE_KPA: Final = 800.0
"""Tyre pressure at TYRE_REFERENCE_K."""
TYRE_REFERENCE_K: Final = 293.15
ATMOSPHERE: Final = 101.3
TYRE_LAG_S: Final = 900.0
TYRE_HEATING: Final = 0.05
"""Warming per (m/s)2 of speed, K."""
TANK_L: Final = 200.0
REFUEL_BELOW: Final = 35.0
CHARGE_V: Final = 28.2
REST_V: Final = 25.4
BATTERY_AH: Final = 180.0
DAY_S: Final = 86_400.0


class Weather:
    """Outside temperature (C): a seeded base for the season with a daily swing, warmest at 15:00."""

    def __init__(self, rng: Random, base: float | None = None) -> None:
        self.base = rng.uniform(2.0, 24.0) if base is None else base
        self.swing = rng.uniform(2.0, 5.0)

    def at(self, time_s: float) -> float:
        """Temperature at seconds since the epoch, UTC."""
        return self.base - self.swing * math.cos(2 * math.pi * (time_s / DAY_S - 0.125))


class Body:
    """Coolant, oil, battery, brake air, tyres, fuel tank and cargo."""

    def __init__(self, rng: Random, outside: float) -> None:
        self._rng = rng
        self.coolant = self.oil = outside + rng.uniform(0, 30)
        self.cargo = rng.uniform(*SETPOINT)
        self.cooling = False
        self.air = rng.uniform(*COMPRESSOR_KPA)
        self.compressing = False
        self.charge = rng.uniform(0.9, 1.0)
        self.voltage = CHARGE_V
        self.tyre_temp = outside
        self.tyre_cold = [TYRE_KPA + rng.uniform(-8, 8) for _ in TYRES]
        self.tank = rng.uniform(50, 95)
        self.slosh = 0.0
        self._braking = 0.0

    @property
    def auxiliary(self) -> float:
        """Power that the engine's belt gives to cooler, compressor and alternator, W."""
        return 1500.0 + COOLER_POWER * self.cooling + COMPRESSOR_POWER * self.compressing

    def step(self, dt: float, drive: DriveTrain, outside: float, door_open: bool, damage: Damage) -> None:
        """Advance ``dt`` seconds."""
        self._heat(dt, drive, outside, damage)
        self._electrics(dt, drive, outside, damage)
        self._air(dt, drive, damage)
        self._tyres(dt, drive, outside, damage)
        self._cargo(dt, outside, door_open, damage)
        self.tank = max(1.0, self.tank - 100.0 * (drive.fuel / 3600.0 * dt + damage.fuel_leak * dt) / TANK_L)
        self.slosh += -dt / 8.0 * self.slosh + 0.15 * (dt / 4.0) ** 0.5 * self._rng.gauss(0, 1)

    def oil_pressure(self, rpm: float, damage: Damage) -> float:
        """Gear pump behind a relief valve at 500 kPa, thinner oil gives less: kPa."""
        thin = 1.0 + 0.005 * (95.0 - self.oil)
        return min(500.0, (60.0 + 0.2 * rpm) * thin) * damage.oil_pump

    def tyre_pressure(self, number: int) -> float:
        """Gauge pressure by Gay-Lussac's law, kPa."""
        cold = self.tyre_cold[number] + ATMOSPHERE
        return cold * (self.tyre_temp + 273.15) / TYRE_REFERENCE_K - ATMOSPHERE

    def rest(self, seconds: float, outside: float) -> None:
        """The ignition is off: engine and tyres cool, the depot's mains keep the cargo cold, tank and charge refill."""
        engine = math.exp(-seconds * BLOCK_LOSS / ENGINE_HEAT)
        self.coolant = outside + (self.coolant - outside) * engine
        self.oil = outside + (self.oil - outside) * engine
        self.tyre_temp = outside + (self.tyre_temp - outside) * math.exp(-seconds / TYRE_LAG_S)
        self.cargo = self._rng.uniform(*SETPOINT)
        self.air = max(600.0, self.air - 0.02 * seconds)
        if self.tank < REFUEL_BELOW:
            self.tank = self._rng.uniform(80, 98)

    def _heat(self, dt: float, drive: DriveTrain, outside: float, damage: Damage) -> None:
        opening = (self.coolant - THERMOSTAT[0]) / (THERMOSTAT[1] - THERMOSTAT[0])
        opening = max(damage.thermostat, min(1.0, max(0.02, opening)))
        fan = 0.5 if self.coolant > FAN_C else 0.0
        airflow = min(1.0, 0.25 + fan + drive.speed / 24.0)
        taken = BLOCK_LOSS + RADIATOR * opening * airflow * damage.radiator
        heat = HEAT_TO_COOLANT * drive.fuel / 3600.0 * DIESEL
        self.coolant += dt * (heat - taken * (self.coolant - outside)) / ENGINE_HEAT
        self.oil += dt / OIL_LAG_S * (self.coolant + 6.0 + 14.0 * drive.load - self.oil)

    def _electrics(self, dt: float, drive: DriveTrain, outside: float, damage: Damage) -> None:
        consumers = 45.0 + 30.0 * self.cooling
        supply = damage.alternator * 120.0 * min(1.0, drive.rpm / 900.0)
        lacking = max(0.0, consumers - supply)
        self.charge = min(1.0, max(0.05, self.charge + dt / 3600.0 * (15.0 * (lacking == 0) - lacking) / BATTERY_AH))
        regulated = CHARGE_V - 0.02 * (outside - 20.0) - 0.004 * consumers
        resting = REST_V - 2.2 * (1.0 - self.charge) - 0.015 * lacking
        self.voltage += min(1.0, dt / 2.0) * ((regulated if lacking == 0 else resting) - self.voltage)

    def _air(self, dt: float, drive: DriveTrain, damage: Damage) -> None:
        pressed = max(0.0, drive.braking - self._braking)
        self._braking = drive.braking
        added = COMPRESSOR_RATE * drive.rpm / RATED_RPM * self.compressing
        self.air += dt * (added - AIR_LOSS - damage.air_leak) - BRAKE_AIR * pressed
        self.air = max(0.0, self.air)
        if self.air <= COMPRESSOR_KPA[0]:
            self.compressing = True
        elif self.air >= COMPRESSOR_KPA[1]:
            self.compressing = False

    def _tyres(self, dt: float, drive: DriveTrain, outside: float, damage: Damage) -> None:
        warm = outside + TYRE_HEATING * drive.speed * drive.speed
        self.tyre_temp += dt / TYRE_LAG_S * (warm - self.tyre_temp)
        self.tyre_cold[0] = max(0.0, self.tyre_cold[0] - damage.tyre_leak * dt)

    def _cargo(self, dt: float, outside: float, door_open: bool, damage: Damage) -> None:
        if self.cargo >= SETPOINT[1]:
            self.cooling = True
        elif self.cargo <= SETPOINT[0]:
            self.cooling = False
        leak = 1 / CARGO_LEAK_S + door_open / DOOR_LEAK_S
        self.cargo += dt * (leak * (outside - self.cargo) - COOLING * self.cooling * damage.cooler)
