"""What the truck's sensors report: names, units, plausible ranges, resolution and noise.

SPN = suspect parameter number of SAE J1939-71; VSS = path in the COVESA Vehicle Signal Specification.
"""

from dataclasses import dataclass
from typing import Final

from tickover.core.manifest import Signal


@dataclass(frozen=True, slots=True)
class Channel:
    """A sensor: its signal, the step in which it reports (``resolution``) and its noise (one sigma), in its unit."""

    signal: Signal
    resolution: float
    noise: float

    @property
    def decimals(self) -> int:
        """Digits after the point that hold one step of the resolution exactly."""
        return len(f"{self.resolution:g}".partition(".")[2])


def _channel(
    name: str,
    unit: str,
    span: tuple[float, float],
    resolution: float,
    noise: float,
    spn: int,
    vss: str | None = None,
) -> Channel:
    signal = Signal(name=name, unit=unit, low=span[0], high=span[1], hold_s=HOLD_S, spn=spn, vss=vss)
    return Channel(signal, resolution, noise)


HOLD_S: Final = 5.0
"""How long a value stands for its signal when the next reading is late."""

CHANNELS: Final = (
    _channel("vehicle_speed", "km/h", (0, 140), 0.1, 0.1, 84, "Vehicle.Speed"),
    _channel("engine_speed", "rpm", (0, 3500), 1, 4, 190, "Vehicle.Powertrain.CombustionEngine.Speed"),
    _channel("gear", "", (0, 16), 1, 0, 523, "Vehicle.Powertrain.Transmission.CurrentGear"),
    _channel("engine_load", "%", (0, 125), 1, 0.8, 92),
    _channel("boost_pressure", "kPa", (0, 500), 2, 1, 102),
    _channel("fuel_rate", "L/h", (0, 120), 0.05, 0.1, 183),
    _channel("fuel_level", "%", (0, 100), 0.4, 0.15, 96, "Vehicle.Powertrain.FuelSystem.RelativeLevel"),
    _channel("coolant_temp", "C", (-40, 150), 1, 0.2, 110),
    _channel("oil_temp", "C", (-40, 180), 0.1, 0.15, 175),
    _channel("oil_pressure", "kPa", (0, 1000), 4, 3, 100),
    _channel("battery_voltage", "V", (8, 36), 0.05, 0.03, 168),
    _channel("brake_air_pressure", "kPa", (0, 1400), 4, 2, 117),
    _channel("tyre_pressure_front_left", "kPa", (0, 1200), 4, 1, 241),
    _channel("tyre_pressure_front_right", "kPa", (0, 1200), 4, 1, 241),
    _channel("tyre_pressure_rear_left", "kPa", (0, 1200), 4, 1, 241),
    _channel("tyre_pressure_rear_right", "kPa", (0, 1200), 4, 1, 241),
    _channel("cargo_temp", "C", (-40, 60), 0.1, 0.05, 169),
    _channel("ambient_temp", "C", (-40, 60), 0.5, 0.1, 171, "Vehicle.Exterior.AirTemperature"),
)

SIGNALS: Final = tuple(channel.signal for channel in CHANNELS)
INDEX: Final = {signal.name: index for index, signal in enumerate(SIGNALS)}
TYRES: Final = ("front_left", "front_right", "rear_left", "rear_right")
