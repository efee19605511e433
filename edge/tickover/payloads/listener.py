"""Messages to rows without a model: signal names are learnt from the messages themselves. No clock, no network."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tickover.core.manifest import MAX_SIGNALS
from tickover.payloads.advice import advise
from tickover.payloads.base import Input, PayloadError, Row, open_decoder
from tickover.payloads.topic_template import TopicTemplate

UNKNOWN: Final = "unknown_signal"
NOTHING_KNOWN: Final = "no_signals"
"""What decoders count for names without a column: for some of a message's, for all of them."""


MOST_NAMES: Final = 2 * MAX_SIGNALS
"""The most signals with a column: those of trucks of several makes."""
PAYLOAD_SHOWN: Final = 80
"""Bytes of a refused payload."""


class Refusal(NamedTuple):
    """A message that was refused: its topic, its beginning, and what to set."""

    topic: str
    payload: bytes
    advice: str


class NamedRow(NamedTuple):
    """One row: the vehicle, the time in microseconds, and the values by signal name."""

    vehicle: str
    time: int
    values: dict[str, float]


class Listener:
    """Decodes messages by the inputs' own decoders; a signal gets a column when a message first names it.

    ``columns`` holds at most `MOST_NAMES`; when there is no room for those of a message, all others are forgotten and
    learnt again when they come (``names_forgotten``), so that nobody's names keep out another's. ``counts``: rows, and
    what was left out by reason, as the decoders count it. ``refusals``: of each reason the topic, the beginning and the
    remedy of the first message that was refused.
    """

    def __init__(self, inputs: Sequence[Input]) -> None:
        self.counts: Counter[str] = Counter()
        self.columns: dict[str, int] = {}
        self.refusals: dict[str, Refusal] = {}
        self._inputs = inputs
        self._templates = [TopicTemplate(spec.topic) for spec in inputs]
        self._decoders = [open_decoder(spec, self.columns) for spec in inputs]

    def rows(self, topic: str, payload: bytes, arrival: int) -> list[NamedRow]:
        """The rows of one message; ``arrival`` (microseconds) is the time of rows that have none."""
        for number, template in enumerate(self._templates):
            fields = template.match(topic)
            if fields is not None:
                rows = [self._named(row, arrival) for row in self._decoded(number, fields, topic, payload)]
                self.counts["rows"] += len(rows)
                return [row for row in rows if row.values]
        self.counts["other_topic"] += 1
        return []

    def _decoded(self, number: int, fields: Mapping[str, str], topic: str, payload: bytes) -> list[Row]:
        """The rows of a message; one with new names is decoded again once they have columns."""
        rows, counts, error = self._decode(number, fields, payload)
        # Names are asked for only when the decoder met one without a column: asking means parsing the payload again,
        # and nearly all messages name what earlier ones named.
        if (counts[UNKNOWN] or counts[NOTHING_KNOWN]) and self._learn(number, fields, payload):
            rows, counts, error = self._decode(number, fields, payload)
        self.counts += counts
        if error and error.reason not in self.refusals:
            advice = advise(self._inputs[number], (), error, payload)
            self.refusals[error.reason] = Refusal(topic, payload[:PAYLOAD_SHOWN], advice)
        return rows

    def _decode(
        self, number: int, fields: Mapping[str, str], payload: bytes
    ) -> tuple[list[Row], Counter[str], PayloadError | None]:
        counts: Counter[str] = Counter()
        try:
            return self._decoders[number].decode(fields, payload, counts), counts, None
        except PayloadError as error:
            counts[error.reason] += 1
            return [], counts, error

    def _learn(self, number: int, fields: Mapping[str, str], payload: bytes) -> bool:
        """Give the message's new names a column; False when it has none, or when there are too many signals."""
        try:
            names = self._decoders[number].names(fields, payload)
        except PayloadError:
            return False
        new = [name for name in names if name not in self.columns]
        if len(self.columns) + len(new) > MOST_NAMES:
            self.counts["names_forgotten"] += len(self.columns)
            self.columns.clear()
            new = names[:MOST_NAMES]
        self.columns.update({name: len(self.columns) + place for place, name in enumerate(new)})
        if new:
            self._open_again()
        return bool(new)

    def _open_again(self) -> None:
        """Decoders know their columns from the start, so they are opened again; what they had learnt is kept."""
        states = [decoder.state() for decoder in self._decoders]
        self._decoders = [open_decoder(spec, self.columns) for spec in self._inputs]
        for decoder, state in zip(self._decoders, states, strict=True):
            decoder.restore(state)

    def _named(self, row: Row, arrival: int) -> NamedRow:
        pairs = zip(self.columns, row.values, strict=True)
        values = {name: value for name, value in pairs if not math.isnan(value)}
        return NamedRow(row.vehicle, arrival if row.time is None else row.time, values)
