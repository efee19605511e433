"""What to do about trouble, in one clause for each kind: the daemon's log and ``tickover doctor`` say the same."""

from datetime import timedelta
from typing import Final

from tickover.core.values import SECOND

READINGS: Final = {
    "bad_json": "the payload is no JSON: is inputs.format right?",
    "bad_protobuf": "the payload is no Sparkplug B: is inputs.format right?",
    "bad_time": "the time is missing or cannot be one: are inputs.time and inputs.time_unit (s, ms, us, iso) right?",
    "bad_vehicle": "the vehicle's name is missing, or has / + or # in it, which no topic can carry: rename it where it "
    "comes from, or set inputs.vehicle",
    "conflict": "two values of one signal at one time: the larger one is taken; are there two sources?",
    "gated": "vehicles.gate is shut, and stays shut until every signal that it names has come: is it spelt as in the "
    "payload, or as inputs.signals renames it?",
    "no_signals": "none of its names is a model's signal: rename them under inputs.signals, or name inputs.values",
    "not_a_list": "expected a list of rows: are inputs.format and inputs.rows right?",
    "not_an_object": "expected a JSON object: are inputs.format and inputs.values right?",
    "not_a_number": "a signal's value is no number",
    "not_finite": "a number that float32 cannot hold",
    "out_of_range": "outside the range that the model calls plausible: is the unit the model's?",
    "late": "the tick was closed already: a congested link, or several sources with different clocks",
    "clock_back": "times went back by more than the model's gap limit: a clock that was put right, or two sources",
    "too_deep": "the payload is nested too deeply",
    "too_far_ahead": "times are ahead of this clock by more than vehicles.max_ahead_s: set the clock, here or there",
    "too_large": "the payload is larger than 64 KiB: send fewer rows at once",
    "too_many_rows": "too many rows in one payload: send fewer at once",
    "too_many_vehicles": "more vehicles than vehicles.most",
    "sequence_gap": "Sparkplug messages are missing: the node is asked for its births",
    "unknown_alias": "a Sparkplug alias that no birth has named: the node is asked for its births",
    "unknown_signal": "names that no model has; harmless when others are known",
    "unknown_topic": "the topic fits no inputs.topic",
    "workshop": "the vehicle is in workshop mode: the command workshop with for_s = 0 ends it",
}
"""Why a reading, or a message of readings, was left out."""

_STRANGER: Final = "broker.tls.ca is not the authority that signed the broker's certificate"
_NO_NETWORK: Final = "there is no network, or no way to broker.host: a firewall, or a wrong name?"
_HUNG_UP: Final = (
    "the broker hung up: does this port want TLS, is our certificate in date and known to it, does its ACL let us "
    "publish, and has no one else our client_id?"
)
_CONNECTION: Final = (
    ("Connection refused", "nobody listens there: is the broker running, and broker.port right?"),
    ("nobody listens", "start the broker, or correct broker.port"),
    ("certificate has expired", "the broker's certificate has ended: renew it; or this clock is wrong"),
    ("not yet valid", "the broker's certificate is not good yet: is this clock right?"),
    ("mismatch", "broker.host is not the name in the broker's certificate"),
    ("certificate verify failed", _STRANGER),
    ("not accepted", _STRANGER),
    ("Not authorized", "the broker does not know this user, password or certificate: see broker.credentials"),
    ("Bad user name", "the broker does not know this user and password: see broker.credentials"),
    ("not known", "broker.host is misspelt, or no name server is reached"),
    ("name resolution", "no name server is reached: is there a network?"),
    ("timed out", _NO_NETWORK),
    ("unreachable", _NO_NETWORK),
    ("No route", _NO_NETWORK),
    ("did not answer", "something there is no broker, or a firewall keeps its answers back"),
    ("WRONG_VERSION", "this port speaks no TLS: is broker.port right?"),
    ("Unspecified error", _HUNG_UP),
    ("hung up", _HUNG_UP),
)
"""A word of the reason why there is no connection, and what to do; the first that fits."""
_DISK: Final = (
    ("full", "make room"),
    ("readonly", "remount it writable; a disk that turned read-only by itself is failing"),
    ("unable to open", "give the folder to the daemon's user (chown)"),
    ("I/O", "the disk is failing: replace it"),
)

FAR: Final = timedelta(days=30)
"""Times further from the clock than any broker's queue lasts are a log played again, or a mistake."""


def for_connection(reason: str) -> str:
    """What to do when there is no connection for this reason; empty when nothing is known."""
    return _first(reason, _CONNECTION)


def for_disk(reason: str) -> str:
    """What to do when SQLite cannot write for this reason; empty when nothing is known."""
    return _first(reason, _DISK)


def after(reason: str, advice: str) -> str:
    """The reason and what to do about it."""
    return f"{reason}; {advice}" if advice else reason


def on_reading(reason: str) -> str:
    """The reason why a reading was left out, with what to do about it when that is known."""
    return f"{reason}: {READINGS[reason]}" if reason in READINGS else reason


def on_times(time: int, now: int) -> str:
    """Empty unless a reading's time is far from the clock's (both microseconds)."""
    days = (now - time) / SECOND / 86_400
    if abs(days) < FAR.days:
        return ""
    where = f"{abs(days):,.0f} days {'behind' if days > 0 else 'ahead of'} this clock"
    return f"times are {where}: a wrong clock, a wrong inputs.time_unit, or an old log"


def on_silence(filters: list[str]) -> str:
    """Nothing comes on these subscriptions."""
    where = ", ".join(filters)
    return f"nothing comes on {where}: does the truck publish there, and does the broker's ACL let us read it?"


def _first(reason: str, table: tuple[tuple[str, str], ...]) -> str:
    return next((advice for word, advice in table if word in reason), "")
