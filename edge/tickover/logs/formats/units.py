"""Units as they are written in headers, in rows of units and behind values; and what a unit says is possible."""

import re
from typing import Final

KNOWN: Final = frozenset(
    (
        *(
            "s",
            "sec",
            "ms",
            "us",
            "ns",
            "min",
            "h",
            "hr",
            "d",
            "utc",
            "unix time",
            "time",
            "datetime",
            "hh:mm:ss",
            "date",
        ),
        *("rpm", "1/min", "min-1", "min⁻¹", "u/min", "r/min", "hz", "khz", "1/s", "rad/s", "revolutions_per_minute"),
        *("km/h", "kph", "mph", "m/s", "kn", "knots", "kt", "ft/s", "kilometer_per_hour", "mile_per_hour"),
        *("m", "mm", "cm", "km", "mi", "ft", "in", "miles", "yd", "nm", "m/s2", "m/s²", "g", "ft/s2"),
        *("c", "f", "k", "°c", "°f", "degc", "degf", "deg c", "deg f", ".c", ".f", "celsius", "fahrenheit", "kelvin"),
        *("degree_celsius", "degree_fahrenheit", "º", "ºc", "ºf", "grad c"),
        *(
            "°",
            "deg",
            "degrees",
            "rad",
            "°/s",
            "deg/s",
            "v",
            "mv",
            "kv",
            "volt",
            "volts",
            "a",
            "ma",
            "amp",
            "w",
            "kw",
            "hp",
        ),
        *("ps", "kwh", "wh", "ah", "j", "kj", "nm", "lb-ft", "lbft", "ft-lb", "n", "kn", "ohm", "ω"),
        *("pa", "kpa", "hpa", "mpa", "bar", "mbar", "psi", "inhg", "mmhg", "atm", "kilopascal", "volt", "percent"),
        *(
            "%",
            "‰",
            "ppm",
            "ratio",
            "l",
            "ml",
            "gal",
            "l/h",
            "gal/h",
            "l/100km",
            "l/100 km",
            "mpg",
            "km/l",
            "lph",
            "gph",
        ),
        *(
            "g/s",
            "kg/h",
            "lb/min",
            "kg",
            "lb",
            "t",
            "g/km",
            "mg/str",
            "mg",
            "bit",
            "bool",
            "count",
            "counts",
            "raw",
            "-",
            ".",
        ),
        *(
            "bits",
            "byte",
            "on/off",
            "state",
            "enum",
            "#",
            "none",
            "[]",
            "dimensionless",
            "lux",
            "db",
            "ug/m3",
            "µs",
            "ω",
        ),
    )
)
"""Units in lower case."""
BRACKETED: Final = re.compile(r"[\[(<{][^\[\]()<>{}]{0,32}[\])>}]")
NOT_NEGATIVE: Final = frozenset(
    (
        *(
            "rpm",
            "1/min",
            "min-1",
            "u/min",
            "r/min",
            "revolutions_per_minute",
            "hz",
            "km/h",
            "kph",
            "mph",
            "m/s",
            "knots",
        ),
        *(
            "kilometer_per_hour",
            "mile_per_hour",
            "kpa",
            "hpa",
            "mpa",
            "bar",
            "mbar",
            "psi",
            "pa",
            "g/s",
            "kg/h",
            "lb/min",
        ),
        *(
            "l/h",
            "lph",
            "gal/h",
            "l",
            "gal",
            "l/100km",
            "l/100 km",
            "mpg",
            "km/l",
            "%",
            "percent",
            "v",
            "mv",
            "volt",
            "volts",
        ),
        *("kilopascal", "km", "mi", "miles", "h", "kg", "lb", "ppm", "grams_per_second", "liter_per_hour"),
    )
)
"""Units, lower case, of what is not negative on a vehicle."""
PERCENT: Final = frozenset(("%", "percent"))
ABSOLUTE_ZERO: Final = {
    **dict.fromkeys(("c", "°c", "degc", "deg c", ".c", "celsius", "degree_celsius", "ºc"), -273.15),
    **dict.fromkeys(("f", "°f", "degf", "deg f", ".f", "fahrenheit", "degree_fahrenheit", "ºf"), -459.67),
    **dict.fromkeys(("k", "kelvin"), 0.0),
}
"""The lowest temperature, by unit in lower case."""


def is_unit(text: str) -> bool:
    """Whether a text is a unit: a known one, or anything in brackets."""
    text = text.strip()
    return text.lower() in KNOWN or BRACKETED.fullmatch(text) is not None


def bare(text: str) -> str:
    """A unit without the brackets around it."""
    text = text.strip()
    return text[1:-1].strip() if BRACKETED.fullmatch(text) else text
