"""What a reason means and what to do about it, in one line: the daemon's log and ``tickover doctor`` say the same."""

from datetime import timedelta
from typing import Final

from tickover.core.values import SECOND

READINGS: Final = {
    "bad_json": "the payload is not JSON; check inputs.format",
    "bad_line": "the line is not what inputs.format says (influx_line, csv); check inputs.format",
    "bad_protobuf": "the payload is not Sparkplug B; check inputs.format",
    "bad_time": "expected a time, got none or an impossible one; check inputs.time and inputs.time_unit "
    "(s, ms, us, ns or iso)",
    "bad_vehicle": "expected a vehicle name without /, + and #, because it becomes a topic level; rename the vehicle "
    "where it is named, or set inputs.vehicle",
    "conflict": "two different values of one signal at one time, the larger one is used; check for a second source",
    "gated": "dropped by vehicles.gate: no value received yet for one of its signals, or the last values do not "
    "satisfy it; check that it names each signal as the payload does, or as inputs.signals renames it",
    "no_name": "expected a signal's name in each row; check inputs.name",
    "no_signals": "no name in the payload is a model's signal; rename them under inputs.signals, or name the object "
    "that holds them under inputs.values",
    "no_value": "expected a value in the object; check inputs.value",
    "not_a_list": "expected a list of rows; check inputs.format and inputs.rows",
    "not_an_object": "expected a JSON object; check inputs.format and inputs.values",
    "not_a_number": "expected a number as a signal's value; the value is taken as missing (health names the signal)",
    "several_numbers": "several numbers in one value; name one as inputs.signals names it, with its place: "
    '"tyre[0]" = "tyre_pressure"; of a comma before the fraction: inputs.decimal = "," (health names the signal)',
    "not_finite": "expected a number that float32 can hold; the value is taken as missing (health names the signal)",
    "out_of_range": "outside the model's plausible range, the value is taken as missing; check its unit against the "
    "model's",
    "late": "the tick of this time is closed; the network delays more than the model's lateness allows, a stored "
    'backlog is sent between current readings (vehicles.late = "replay" runs it on its own), or two sources have '
    "different clocks",
    "crowded_out": "readings of before, held until it is known whether a clock was set back: many vehicles held more "
    "than 32 MiB of them, and those that had waited longest are late; send stored readings more slowly, or share "
    "the vehicles among several daemons (fleet.shards)",
    "clock_back": "the times fell by more than the model's gap limit and went on from there; a clock was corrected",
    "repeated": "the broker or a gateway delivered again what was taken before; harmless, dedup.window says how long "
    "it is known",
    "replayed": 'readings of a stored backlog, run on their own because of vehicles.late = "replay"',
    "too_deep": "the payload is nested too deeply",
    "too_far_ahead": "the time is ahead of this clock by more than vehicles.max_ahead_s; set the clock here or at the "
    "source",
    "too_large": "the payload is larger than 64 KiB; send fewer rows in one message",
    "too_many_rows": "too many rows in one message; send fewer",
    "too_many_values": "too many values in nested objects and lists of one message; send fewer, or name the object "
    "that holds the signals under inputs.values",
    "too_many_vehicles": "more vehicles than vehicles.max; raise it, or subscribe to fewer",
    "sequence_gap": "Sparkplug messages are missing; the node is asked to send its births again",
    "births_forgotten": "more Sparkplug births than are remembered (16 MiB): the nodes not heard for longest "
    "are asked for theirs again; send fewer metrics, or let several daemons share the nodes",
    "unknown_alias": "no birth names this Sparkplug alias; the node is asked to send its births again",
    "unknown_signal": "no model has a signal of this name; harmless when others are known",
    "unknown_topic": "the topic matches no inputs.topic; correct inputs.topic, or subscribe to less",
    "wrong_unit": "the value names a unit of another quantity than the model's; rename the signal under inputs.signals",
    "workshop": "the vehicle is out of service; the command out_of_service with for_s = 0 ends it",
}
"""Why a reading, or a message of readings, was left out: the reason, as it is counted, and what to do."""

_UNKNOWN_AUTHORITY: Final = "broker.tls.ca is not the authority that signed the broker's certificate"
_NO_NETWORK: Final = "no network, or no route to broker.host: check its spelling and the firewall"
_HUNG_UP: Final = (
    "the broker closed the connection: check whether this port expects TLS, whether our certificate is in date and "
    "known to it, whether its ACL allows our topics, and that no other client uses our broker.client_id"
)
_CONNECTION: Final = (
    ("Connection refused", "nobody listens there: is the broker running, and broker.port right?"),
    ("nobody listens", "start the broker, or correct broker.port"),
    ("certificate has expired", "the broker's certificate has expired: renew it, or set this clock"),
    ("not yet valid", "the broker's certificate is not valid yet: set this clock"),
    ("mismatch", "broker.host is not the name in the broker's certificate"),
    ("certificate verify failed", _UNKNOWN_AUTHORITY),
    ("not accepted", _UNKNOWN_AUTHORITY),
    ("Not authorized", "the broker does not know this user, password or certificate: correct broker.credentials"),
    ("Bad user name", "the broker does not know this user and password: correct broker.credentials"),
    ("not known", "broker.host is misspelt, or no name server answers"),
    ("name resolution", "no name server answers: check the network"),
    ("name server", "no name server answers: check the network, or name the broker by its address"),
    ("timed out", _NO_NETWORK),
    ("unreachable", _NO_NETWORK),
    ("No route", _NO_NETWORK),
    ("did not answer", "what listens there is not a broker, or a firewall drops its answers"),
    ("WRONG_VERSION", "this port does not speak TLS: correct broker.port"),
    ("Unspecified error", _HUNG_UP),
    ("hung up", _HUNG_UP),
)
"""Words of the reason why there is no connection, and what to do; the first that occurs decides."""
_DISK: Final = (
    ("full", "free some space"),
    ("readonly", "mount it writable; a disk that turned read-only by itself is failing"),
    ("unable to open", "give the folder to the daemon's user (chown)"),
    ("I/O", "the disk is failing: replace it"),
)

FAR: Final = timedelta(days=30)
"""No broker queues messages for longer: times further from the clock are of an old log, or wrong."""


def for_connection(reason: str) -> str:
    """What to do when there is no connection for this reason; empty when nothing is known."""
    return _first(reason, _CONNECTION)


def for_disk(reason: str) -> str:
    """What to do when SQLite cannot write for this reason; empty when nothing is known."""
    return _first(reason, _DISK)


def after(reason: str, advice: str) -> str:
    """The reason and what to do about it."""
    return f"{reason}; {advice}" if advice else reason


def on_reading(reason: str, advice: str = "") -> str:
    """The reason why a reading was left out, with what to do about it when that is known.

    ``advice``: what the payload itself shows, see `tickover.payloads.advice`; it goes before the general remedy.
    """
    return after_colon(reason, advice or READINGS.get(reason, ""))


def on_unread(where: str, messages: int, why: str) -> str:
    """Messages are received there and none could be read; ``why`` as `on_reading` says it of one of them."""
    return f"received and not read: {messages} messages on {where}, the last {why}"


def after_colon(reason: str, text: str) -> str:
    """``reason: text``, or the reason alone."""
    return f"{reason}: {text}" if text else reason


def on_times(time: int, now: int) -> str:
    """Empty unless a reading's time is far from the clock's (both microseconds)."""
    days = (now - time) / SECOND / 86_400
    if abs(days) < FAR.days:
        return ""
    where = f"{abs(days):,.0f} days {'behind' if days > 0 else 'ahead of'} this clock"
    return f"times are {where}; check the sender's clock, unless this is an old log"


def on_silence(filters: list[str]) -> str:
    """No message was received on these subscriptions."""
    where = ", ".join(filters)
    return f"no message received on {where}; check that the truck publishes there and the broker's ACL lets us read"


def _first(reason: str, table: tuple[tuple[str, str], ...]) -> str:
    return next((advice for word, advice in table if word in reason), "")
