"""Units that can be converted into each other, as senders write them.

Factors are exact where their definition is (SI brochure, 9th edition; NIST SP 811, appendix B).
"""

from typing import Final, NamedTuple


class Unit(NamedTuple):
    """A unit of a quantity: ``value * scale + offset`` is the value in the quantity's base unit."""

    quantity: str
    scale: float
    offset: float = 0.0


_MILE, _FOOT, _POUND, _PSI = 1609.344, 0.3048, 0.45359237, 6894.757293168
_TABLE: Final[dict[str, dict[str, float | tuple[float, float]]]] = {
    "speed": {
        "m/s": 1.0,
        "km/h kph kmh kmph": 1 / 3.6,
        "mph mi/h": _MILE / 3600,
        "kn kt knots": 1852 / 3600,
        "ft/s": _FOOT,
    },
    "temperature": {
        "°C C degC deg_C celsius ℃": (1.0, 273.15),
        "°F F degF deg_F fahrenheit ℉": (5 / 9, 459.67 * 5 / 9),
        "K kelvin": 1.0,
    },
    "pressure": {
        "Pa": 1.0,
        "hPa mbar": 100.0,
        "kPa": 1000.0,
        "MPa": 1e6,
        "bar": 1e5,
        "psi": _PSI,
        "atm": 101_325.0,
        "inHg": 3386.389,
        "mmHg": 133.322387415,
    },
    "rotation": {"1/min rpm r/min rev/min min-1 min⁻¹ U/min": 1.0, "1/s Hz rps": 60.0},
    "voltage": {"V volt volts": 1.0, "mV": 1e-3, "kV": 1e3},
    "current": {"A amp amps": 1.0, "mA": 1e-3},
    "length": {"m": 1.0, "mm": 1e-3, "cm": 1e-2, "km": 1e3, "mi miles mile": _MILE, "ft": _FOOT, "in": _FOOT / 12},
    "mass": {"kg": 1.0, "g": 1e-3, "t": 1e3, "lb lbs": _POUND},
    "volume": {"l L liter litre": 1.0, "ml mL": 1e-3, "m3 m³": 1e3, "gal": 3.785411784},
    "flow": {"l/h L/h": 1.0, "l/min L/min": 60.0, "l/s L/s": 3600.0, "gal/h": 3.785411784},
    "power": {"W": 1.0, "mW": 1e-3, "kW": 1e3, "MW": 1e6, "hp": 745.6998715823, "PS": 735.49875},
    "energy": {"J": 1.0, "kJ": 1e3, "MJ": 1e6, "Wh": 3600.0, "kWh": 3.6e6},
    "torque": {"Nm N·m N*m": 1.0, "lb-ft lbft ft-lb": 1.3558179483314004},
    "share": {"% percent": 1.0, "‰": 0.1},
    "duration": {"s sec": 1.0, "ms": 1e-3, "min": 60.0, "h hr": 3600.0},
    "acceleration": {"m/s2 m/s²": 1.0, "ft/s2 ft/s²": _FOOT},
}
UNITS: Final[dict[str, Unit]] = {
    name: Unit(quantity, *(factor if isinstance(factor, tuple) else (factor,)))
    for quantity, units in _TABLE.items()
    for names, factor in units.items()
    for name in names.split()
}
_ANY_CASE: Final = {name.lower(): unit for name, unit in reversed(UNITS.items())}


def unit_of(text: str) -> Unit | None:
    """The unit of this name, in its own spelling first (``mW`` is no ``MW``); None when it is not known."""
    text = text.strip()
    return UNITS.get(text) or UNITS.get(text.replace(" ", "")) or _ANY_CASE.get(text.lower())


def converted(value: float, given: str, wanted: str) -> float | None:
    """A value in the unit ``wanted``; None when both units are known and are of different quantities.

    A unit that is not known, or none, changes nothing.
    """
    if given == wanted:
        return value
    ours, theirs = unit_of(wanted), unit_of(given)
    if ours is None or theirs is None or ours == theirs:
        return value
    if ours.quantity != theirs.quantity:
        return None
    return (value * theirs.scale + theirs.offset - ours.offset) / ours.scale
