"""The contract of payloads: an input's table, and the decoder that makes rows of its messages.

A decoder takes bytes and the fields of the topic; it knows no broker and no clock. It never raises anything but
`PayloadError`, never returns a value that is not a finite float32, and counts every value it leaves out.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final, Literal, NamedTuple

from msgspec import Meta, Struct

from tickover.payloads.registry import FORMATS, decoder_class
from tickover.payloads.topic_template import FIELD_NAMES, TopicTemplate

MAX_BYTES: Final = 65_536
"""A larger payload is refused unread."""
MAX_ROWS: Final = 4096
"""The most rows in one batch."""
MAX_VEHICLE: Final = 128
"""The longest name of a vehicle, characters."""
TOPIC: Final = "topic"
"""The field that no template names: the message's own topic."""

MAX_NAME: Final = 128
"""The longest name of a signal that is remembered, characters."""
MAX_STRANGERS: Final = 64
"""The most names that no model has whose drops are counted one by one; those of all others are counted together."""
OTHERS: Final = "(others)"
MAX_RENAMED: Final = 2048
FORMAT_KEYS: Final = ("time", "vehicle_field", "values", "rows", "name", "value", "signal", "optional", "decimal")
"""The keys of an input that only some formats read."""

TimeUnit = Literal["iso", "s", "ms", "us", "ns"]
Optional = Literal["time", "values"]
Where = Annotated[str, Meta(min_length=1, max_length=512)]
"""A path in the payload."""


class PayloadError(Exception):
    """A payload was refused; ``reason`` is a fixed word that is counted, ``detail`` says what was expected and got."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class Input(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One subscription and how to read it (a table of the config file).

    ``topic`` is a template (`topic_template`). ``format`` is a key of `registry.FORMATS`. The payload's keys are named
    by paths (`paths.Path`): ``time`` the time (absent: time of arrival), ``vehicle_field`` the vehicle, ``values`` the
    signals (absent: they are beside the time), ``rows`` the list of a batch (absent: the payload is the list),
    ``value`` the number in an object of one signal. ``name``: signals are a list of such objects, and this is the path
    of a signal's name in them. ``signal``: the one signal of the topic. ``signals`` renames the payload's names, or
    paths, to the model's. ``optional``: what a message may lack: its time, which is then that of arrival, and the
    object at ``values``, whose signals are then beside the time. ``decimal``: what stands before the fraction of a
    number that is a text. ``rebirth_s``: a Sparkplug B node is asked for its births no more often than this; 0 = never.
    """

    topic: Annotated[str, Meta(min_length=1, max_length=1024)]
    format: Annotated[str, Meta(extra_json_schema={"enum": [*FORMATS]})] = "json"
    vehicle: Annotated[str, Meta(min_length=1, max_length=MAX_VEHICLE)] | None = None
    vehicle_field: Where | None = None
    time: Where | None = None
    time_unit: TimeUnit = "s"
    values: Where | None = None
    rows: Where | None = None
    name: Where | None = None
    value: Where = "value"
    signal: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    decimal: Literal[".", ","] = "."
    signals: Annotated[dict[str, str], Meta(max_length=MAX_RENAMED)] = {}
    optional: Annotated[tuple[Optional, ...], Meta(max_length=2)] = ()
    rebirth_s: Annotated[float, Meta(ge=0, le=31_536_000)] = 60.0

    def problem(self) -> str | None:
        """What types alone cannot say, or None; a problem of one key begins with the key."""
        if self.format not in FORMATS:
            return f"format: expected {', '.join(FORMATS)}, got {self.format!r}"
        template, decoder = TopicTemplate(self.topic), decoder_class(self.format)
        if template.problem:
            return f"topic: {template.problem}"
        if not (self.vehicle or self.vehicle_field or "vehicle" in template.fields or decoder.NAMES_VEHICLE):
            return "expected a vehicle: {vehicle} in the topic, vehicle_field, or vehicle"
        if problem := decoder.problem(self, template.fields):
            return f"format {self.format}: {problem}"
        unknown, known = set(template.fields) - decoder.FIELDS, ", ".join(sorted(decoder.FIELDS))
        return f"topic: expected fields of {known}, got unknown field {{{min(unknown)}}}" if unknown else None

    def without_effect(self) -> list[str]:
        """The keys that are set and that this format does not read."""
        used, plain = decoder_class(self.format).KEYS, Input(topic=self.topic)
        return [key for key in FORMAT_KEYS if key not in used and getattr(self, key) != getattr(plain, key)]


class Row(NamedTuple):
    """One row of one vehicle: ``time`` in microseconds, None = time of arrival; ``values`` in the order of the
    decoder's columns, NaN = no reading."""

    vehicle: str
    time: int | None
    values: list[float]


@dataclass(slots=True)
class Requests:
    """What a decoder wants senders to be asked for.

    The caller publishes ``body(time)``, ``time`` in microseconds, on each topic in ``wanted``, on the same topic no
    more often than each ``every_s`` seconds, and takes the topic out of the set.
    """

    every_s: float
    body: Callable[[int], bytes]
    wanted: set[str] = field(default_factory=set)


class SignalDrops:
    """Which signals' values were left out, and why; names are of senders, so their number and length are bounded."""

    def __init__(self, columns: Iterable[str]) -> None:
        self._columns = frozenset(columns)
        self._strangers = 0
        self.counts: dict[str, Counter[str]] = {}

    def add(self, name: str, reason: str) -> None:
        """One value of this signal."""
        counts = self.counts.get(name)
        if counts is None:
            if name not in self._columns:
                name = name[:MAX_NAME] if self._strangers < MAX_STRANGERS else OTHERS
                self._strangers += name not in self.counts
            counts = self.counts.setdefault(name, Counter())
        counts[reason] += 1


class Decoder(ABC):
    """What every payload format promises; the suite in ``tests/edge/payloads/test_payloads.py`` checks all formats.

    A format defines `decode` and `names`; all else has a default. ``columns`` maps the models' signal names to columns.
    ``units``: the models' units by signal, for formats whose values may name one. ``drops``: which signals' values were
    left out.
    """

    FIELDS: ClassVar[frozenset[str]] = FIELD_NAMES
    """The fields that a topic template of this format may name."""
    KEYS: ClassVar[frozenset[str]] = frozenset(FORMAT_KEYS)
    """Which of `FORMAT_KEYS` the format reads."""
    CONVERTS: ClassVar[bool] = False
    """Whether its values may name a unit: then it is made with ``units``."""
    NAMES_VEHICLE: ClassVar[bool] = False
    """Whether every payload of this format names its vehicles."""
    neighbours: tuple[str, ...] = ()
    """Topic templates of further messages, which go to `overhear` instead of `decode`."""
    requests: Requests | None = None
    """For a format whose senders can be asked for what is missing."""

    def __init__(self, spec: Input, columns: Mapping[str, int], units: Mapping[str, str] | None = None) -> None:
        self._spec = spec
        self._units = {columns[name]: unit for name, unit in (units or {}).items() if unit and name in columns}
        self._width = len(columns)
        # A topic's levels are joined with dots, and may be written with the slashes that they have in the topic.
        self._renames = {
            name.replace("/", ".") if "{signal+}" in spec.topic else name: ours for name, ours in spec.signals.items()
        }
        self._columns = {name: column for name, column in columns.items() if name not in spec.signals.values()}
        self._columns.update({name: columns[ours] for name, ours in self._renames.items() if ours in columns})
        self.drops = SignalDrops(self._columns)

    @classmethod
    def problem(cls, spec: Input, fields: tuple[str, ...]) -> str | None:
        """What is wrong with an input's table for this format, or None; ``fields`` are those of its topic."""
        return None

    @abstractmethod
    def decode(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        """Rows of one message; raises `PayloadError`; counts single values that were left out by reason.

        ``fields`` are those of the topic by the input's template, and the message's own topic as `TOPIC` when the
        caller publishes ``requests``.
        """

    @abstractmethod
    def names(self, fields: Mapping[str, str], payload: bytes) -> list[str]:
        """The signals that a message names with a number, under the models' names, whether they have a column or not;
        raises `PayloadError`."""

    def overhear(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        """A message on one of the ``neighbours``; otherwise like `decode`."""
        return []

    def state(self) -> bytes:
        """What the decoder has learnt and must not forget over a restart (most have nothing)."""
        return b""

    def restore(self, state: bytes) -> None:
        """Take a `state` back; a damaged one is ignored."""
        return  # nothing was learnt

    def _renamed(self, names: Iterable[str]) -> list[str]:
        """Payload names as the models call them, each once."""
        return list(dict.fromkeys(self._renames.get(name, name) for name in names))

    def _drop(self, name: str, reason: str, counts: Counter[str]) -> None:
        """Count one value that was left out."""
        counts[reason] += 1
        self.drops.add(name, reason)


def open_decoder(spec: Input, columns: Mapping[str, int], units: Mapping[str, str] | None = None) -> Decoder:
    """The decoder of one input; ``columns`` maps the models' signal names to columns, ``units`` to units."""
    kind = decoder_class(spec.format)
    decoder: Decoder = kind(spec, columns, units) if units and kind.CONVERTS else kind(spec, columns)
    return decoder


def unless_all(rows: list[Row], refused: list[PayloadError], counts: Counter[str]) -> list[Row]:
    """The good rows, with the reasons of the others counted; PayloadError when there are only others.

    The error is the last of them, and left to the caller to count.
    """
    last = refused.pop() if refused and not rows else None
    for error in refused:
        counts[error.reason] += 1
    if last is not None:
        raise last
    return rows
