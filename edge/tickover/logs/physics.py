"""What a signal's name and unit say is physically possible, and what kind of quantity it is."""

import re
import unicodedata
from typing import Final, Literal, NamedTuple

from tickover.logs.formats.units import ABSOLUTE_ZERO, NOT_NEGATIVE, PERCENT

Kind = Literal["label", "id", "position", "angle", "counter", "time", "signal"]

LABELS: Final = frozenset(
    ("anomaly", "changepoint", "label", "labels", "target", "is_anomaly", "fault", "ground_truth", "anomaly_score")
)
_ID: Final = re.compile(
    r"(^|.*_)(id|ids|uuid|guid|imei|imsi|iccid|mac|msisdn|vin|serial|serial_number|serialnumber|trip_id|session|fragment|"
    r"lap_number|lap|index|row|rownum|row_number|seq_id|record|protocol|table)$"
)
_CAMEL_ID: Final = re.compile(r".*[a-z](Id|ID|Uuid|UUID)$")
_POSITION: Final = re.compile(
    r"(^|.*_)(latitude|longitude|longtitude|altitude|elevation|geohash|easting|northing|breitengrad|laengengrad|langengrad|"
    r"breite|lange|laenge|hohe|hoehe|latitud|longitud|altitud|largeur_gps|utm_[en]|pos_[xyz]|coordinates|position_[xyz])"
    r"(_.*)?$|(^|.*_)(lat|lon|lng)(?!_(term|acc|accel|acceleration|g|force|vel|speed|slip)(_|$))(_.*)?$|(^|.*_)(long|alt)(_deg|_m)?$"
)
_ANGLE: Final = re.compile(
    r"(^|.*_)(heading|bearing|course|azimuth|direction|yaw_angle|compass|kurs|richtung|track_angle|cog|crank_angle|hdg|kompass|azimut|cap|rumbo|"
    r"wind_direction|wheel_angle_abs)(_.*)?$"
)
_COUNTER: Final = re.compile(
    r"(^|.*_)(odometer|odo|mileage|odometer_km|odometer_mi|total_distance|distance_total|trip_distance|distance|trip_time|"
    r"engine_hours|engine_hour|operating_hours|hours|hourmeter|engine_hours_total|total_engine_hours|betriebsstunden|"
    r"kilometerstand|total_fuel|fuel_total|total_fuel_used|fuel_used|fuel_used_total|consumed_fuel|sequence|seq|counter|"
    r"count|total|runtime|run_time|uptime|elapsed|elapsed_time|ticks|packet|frame|frame_number|energy_total|total_energy|"
    r"time_since_start|seconds_since_start|trip_meter|since_journey_start|step_count|message_count)(_.*)?$"
)
_NOT_NEGATIVE: Final = re.compile(
    r"(^|.*_)(rpm|speed|drehzahl|geschwindigkeit|throttle|load|voltage|volt|volts|battery|fuel|level|maf|flow|pressure|press|"
    r"humidity|percent|pct|egr|lambda|afr|kmh|kph|mph|kpa|bar|hz|pa|v|pedal|accelerator|weight|mass|distance|range|tacho)(_.*)?$"
)
_SIGNED: Final = re.compile(
    r".*(boost|vacuum|gauge|delta|diff|trim|accel(?!erator)|slip|error|deviation|torque|current|grade|slope)"
)
_TEMPERATURE: Final = re.compile(
    r"(^|.*_)(temp|temperature|temperatur|coolant|ect|iat|aat|egt|eot|oilt|kuhlmittel|kuehlmittel|oil_temp|ambient)(_.*)?$"
)
_PLAIN: Final = re.compile(r"[^a-z0-9]+")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Possible(NamedTuple):
    """``low``: nothing is below. ``to_low``: a range begins there. ``least_high``: a range goes at least that far."""

    low: float = float("-inf")
    never_negative: bool = False
    to_low: bool = False
    least_high: float = float("-inf")


def words_of(name: str) -> str:
    """A name in lower case and ASCII, its words joined by ``_``: ``VehicleSpeed [km/h]`` is ``vehicle_speed_km_h``."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return _PLAIN.sub("_", _CAMEL.sub("_", plain).lower()).strip("_")


def possible(name: str, unit: str) -> Possible:
    """The values that a signal of this name and unit may have."""
    unit, words = unit.strip().lower(), words_of(name)
    if unit in ABSOLUTE_ZERO:
        return Possible(ABSOLUTE_ZERO[unit], to_low=True)
    if not unit and _TEMPERATURE.fullmatch(words):
        return Possible(-459.67, to_low=False)
    if _SIGNED.match(words):
        return Possible()
    if unit in PERCENT:
        return Possible(0.0, True, True, 100.0)
    if unit in NOT_NEGATIVE or (not unit and _NOT_NEGATIVE.fullmatch(words)):
        return Possible(0.0, True, True)
    return Possible()


def kind_by_name(name: str, unit: str = "") -> Kind:
    """What a column's name says that it holds."""
    words = words_of(re.sub(r"\s*[\[(][^\[\]()]*[\])]\s*$", "", name) if unit else name)
    if words in LABELS:
        return "label"
    if _ID.fullmatch(words) or _CAMEL_ID.fullmatch(name):
        return "id"
    if _POSITION.fullmatch(words):
        return "position"
    if _ANGLE.fullmatch(words):
        return "angle"
    return "counter" if _COUNTER.fullmatch(words) else "signal"
