"""Faults of the truck: physical damage and failing sensors, each labelled with start, end and signals."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from tickover.core.values import SECOND
from tickover.simulator.signals import INDEX

NAN: Final = float("nan")


@dataclass(slots=True)
class Damage:
    """What is damaged. Without damage, factors are 1 and rates 0."""

    radiator: float = 1.0
    """Factor on the radiator's cooling."""
    thermostat: float = 0.0
    """Smallest opening of the thermostat, 0 to 1."""
    boost: float = 1.0
    injection: float = 1.0
    """Factor on the fuel rate."""
    oil_pump: float = 1.0
    alternator: float = 1.0
    cooler: float = 1.0
    air_leak: float = 0.0
    """kPa/s out of the brake circuit."""
    tyre_leak: float = 0.0
    """kPa/s out of the front left tyre."""
    fuel_leak: float = 0.0
    """L/s out of the tank."""


SOUND: Final = Damage()
Values = list[float]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: what it is, the signals that show it, and what it does at full strength.

    ``damage`` changes the truck, ``sensor`` the values before they are reported; both take the strength
    (0 to 1). ``sensor`` also gets the values at the fault's start and the noise of its own generator (sigma 1).
    """

    words: str
    signals: tuple[str, ...]
    damage: Callable[[Damage, float], None] | None = None
    sensor: Callable[[Values, Values, float, float], None] | None = None


def _weaken(part: str, at_full: float) -> Callable[[Damage, float], None]:
    """Move a part of the damage from sound towards its value at full strength."""
    sound = getattr(SOUND, part)

    def apply(damage: Damage, strength: float) -> None:
        setattr(damage, part, sound + strength * (at_full - sound))

    return apply


def _stuck(name: str) -> Callable[[Values, Values, float, float], None]:
    def apply(values: Values, at_start: Values, strength: float, noise: float) -> None:
        values[INDEX[name]] = at_start[INDEX[name]]

    return apply


def _biased(name: str, offset: float) -> Callable[[Values, Values, float, float], None]:
    def apply(values: Values, at_start: Values, strength: float, noise: float) -> None:
        values[INDEX[name]] += offset * strength

    return apply


def _noisy(name: str, sigma: float) -> Callable[[Values, Values, float, float], None]:
    def apply(values: Values, at_start: Values, strength: float, noise: float) -> None:
        values[INDEX[name]] += sigma * strength * noise

    return apply


def _silent(name: str) -> Callable[[Values, Values, float, float], None]:
    def apply(values: Values, at_start: Values, strength: float, noise: float) -> None:
        values[INDEX[name]] = NAN

    return apply


KINDS: Final[dict[str, Kind]] = {
    "radiator_blocked": Kind("radiator blocked", ("coolant_temp", "oil_temp"), _weaken("radiator", 0.12)),
    "thermostat_open": Kind("thermostat stuck open", ("coolant_temp", "oil_temp"), _weaken("thermostat", 0.9)),
    "boost_leak": Kind("charge air leak", ("boost_pressure",), _weaken("boost", 0.55)),
    "injector_worn": Kind("injector over-fuelling", ("fuel_rate",), _weaken("injection", 1.4)),
    "oil_pump_worn": Kind("oil pump worn", ("oil_pressure",), _weaken("oil_pump", 0.6)),
    "alternator_failing": Kind("alternator failing", ("battery_voltage",), _weaken("alternator", 0.1)),
    "brake_air_leak": Kind("brake circuit leaking air", ("brake_air_pressure",), _weaken("air_leak", 4.5)),
    "tyre_leak": Kind("front left tyre losing air", ("tyre_pressure_front_left",), _weaken("tyre_leak", 0.12)),
    "cooler_failure": Kind("cargo cooler without effect", ("cargo_temp",), _weaken("cooler", 0.0)),
    "fuel_theft": Kind("fuel leaving the tank", ("fuel_level",), _weaken("fuel_leak", 0.25)),
    "speed_sensor_stuck": Kind("speed sensor stuck", ("vehicle_speed",), sensor=_stuck("vehicle_speed")),
    "coolant_sensor_bias": Kind("coolant sensor reads low", ("coolant_temp",), sensor=_biased("coolant_temp", -18)),
    "oil_temp_noise": Kind("oil temperature sensor loose", ("oil_temp",), sensor=_noisy("oil_temp", 6)),
    "voltage_dropout": Kind("battery voltage not reported", ("battery_voltage",), sensor=_silent("battery_voltage")),
}
"""Name to kind. A silent sensor is a matter of data quality, not of the score: its charts hold."""

RAMP_S: Final = 60.0
"""A fault grows to its full strength over this time."""


@dataclass(frozen=True, slots=True)
class Label:
    """The truth about one fault: times in microseconds since the epoch, the end exclusive."""

    kind: str
    signals: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault from ``start_s`` to ``end_s`` (seconds from the truck's start), at ``strength`` (1 = as in ``KINDS``)."""

    kind: str
    start_s: float
    end_s: float
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"fault: expected one of {', '.join(KINDS)}, got {self.kind!r}")
        if not 0 <= self.start_s < self.end_s:
            raise ValueError(f"fault {self.kind}: expected 0 <= start < end, got {self.start_s} .. {self.end_s} s")

    def label(self, start: int) -> Label:
        """The label in absolute time for a truck that started at ``start`` microseconds."""
        signals = KINDS[self.kind].signals
        return Label(self.kind, signals, start + round(self.start_s * SECOND), start + round(self.end_s * SECOND))


class FaultSchedule:
    """Which faults are active, from a sequence in order of start (it may be endless: one fault is read ahead)."""

    def __init__(self, faults: Iterator[Fault], rng: Random) -> None:
        self._coming = faults
        self._next = next(faults, None)
        self._rng = rng
        self._present: list[tuple[Fault, Values]] = []
        self.damage = SOUND

    def advance(self, now_s: float, values: Values) -> None:
        """Move to a time; ``values`` are the last reported ones (a stuck sensor repeats them)."""
        # One fault is read ahead, because the sequence may be endless; this is also where its order can be checked.
        while self._next is not None and self._next.start_s <= now_s:
            self._present.append((self._next, list(values)))
            following = next(self._coming, None)
            if following is not None and following.start_s < self._next.start_s:
                raise ValueError(f"faults: expected in order of start, got {following} after {self._next}")
            self._next = following
        self._present = [(fault, kept) for fault, kept in self._present if now_s < fault.end_s]
        self.damage = self._damage(now_s) if self._present else SOUND

    def _damage(self, now_s: float) -> Damage:
        damage = Damage()
        for fault, _ in self._present:
            change = KINDS[fault.kind].damage
            if change is not None:
                change(damage, _strength(fault, now_s))
        return damage

    def disturb(self, now_s: float, values: Values) -> None:
        """Let failing sensors change the values before they are reported."""
        for fault, kept in self._present:
            change = KINDS[fault.kind].sensor
            if change is not None:
                change(values, kept, _strength(fault, now_s), self._rng.gauss(0, 1))


def _strength(fault: Fault, now_s: float) -> float:
    return fault.strength * min(1.0, (now_s - fault.start_s) / RAMP_S)


def random_faults(seed: int, every_s: float = 7200.0, lasting_s: float = 600.0) -> Iterator[Fault]:
    """Faults without end, one after another: about ``every_s`` seconds without, then about ``lasting_s`` with one."""
    rng = Random(f"{seed}:faults")
    end = 0.0
    while True:
        start = end + rng.uniform(0.5, 1.5) * every_s
        end = start + rng.uniform(0.5, 1.5) * lasting_s
        yield Fault(rng.choice(tuple(KINDS)), start, end)
