"""Messages to events: which input a topic belongs to, the rows in its payload, and what is refused and counted."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from tickover.core.values import SECOND, DoubleArray, TimeArray
from tickover.daemon.config import Vehicles
from tickover.daemon.events import Rows, rows_of
from tickover.daemon.requests import Requester
from tickover.daemon.unread import Unread
from tickover.payloads.advice import advise
from tickover.payloads.base import TOPIC, Input, PayloadError, Row, open_decoder
from tickover.payloads.remembered import Remembered
from tickover.payloads.topic_template import TopicTemplate
from tickover.transports.base import Received

TOPICS_BYTES: Final = 16 * 2**20
"""Of the topics whose input and fields are kept, about 20,000; the least recently used are matched again."""
TOPIC_BYTES: Final = 600
"""Of one in memory, beside its name, which is there three times."""
LONGEST_TOPIC: Final = 1024
"""Bytes of a topic that is read: as many as ``inputs.topic`` may have."""

Read = Callable[[Mapping[str, str], bytes, Counter[str]], list[Row]]
"""`Decoder.decode` or `Decoder.overhear` of one input."""


class Route(NamedTuple):
    """One way to read a topic: the input's number, its decoder, and the topic's fields."""

    number: int
    read: Read
    fields: dict[str, str]


@dataclass(slots=True)
class _Gathered:
    """One vehicle's rows since the last `Intake.drain`."""

    time: list[int] = field(default_factory=list)
    values: list[list[float]] = field(default_factory=list)


class Intake:
    """Decodes messages and gathers their rows by vehicle, in order of arrival.

    ``units``: the models', by signal. ``refuses`` says whether readings of a vehicle are left out at present (out of
    service), ``ours`` which vehicles are read at all (None: every one). ``counts`` holds refusals and left-out values
    by reason, and ``rows`` taken; ``gathered``: rows since the last `drain`; ``unread`` what is received and not read;
    ``advice`` why the message that `take` refused last was refused, and what to set.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        columns: tuple[str, ...],
        limits: Vehicles,
        refuses: Callable[[str], bool],
        units: Mapping[str, str] | None = None,
        ours: Callable[[str], bool] | None = None,
    ) -> None:
        places = {name: place for place, name in enumerate(columns)}
        self._decoders = [open_decoder(spec, places, units) for spec in inputs]
        self._inputs, self._signals = inputs, columns
        self._readers: list[tuple[int, TopicTemplate, Read]] = [
            (number, TopicTemplate(spec.topic), decoder.decode)
            for number, (spec, decoder) in enumerate(zip(inputs, self._decoders, strict=True))
        ]
        self._readers += [
            (number, TopicTemplate(neighbour), decoder.overhear)
            for number, decoder in enumerate(self._decoders)
            for neighbour in decoder.neighbours
        ]
        self.unread = Unread(TopicTemplate(spec.topic).filter for spec in inputs)
        self.advice = ""
        self.requester = Requester(decoder.requests for decoder in self._decoders)
        self._limits, self._refuses, self._ours = limits, refuses, ours
        self._max_ahead = round(limits.max_ahead_s * SECOND)
        self._topics: Remembered[list[Route]] = Remembered(TOPICS_BYTES)
        self._gathered: dict[str, _Gathered] = {}
        self.gathered = 0
        self._learnt: list[bytes] = [b""] * len(self._decoders)
        self.vehicles: set[str] = set()
        self.counts: Counter[str] = Counter()

    @property
    def filters(self) -> list[str]:
        """What to subscribe to."""
        return sorted({template.filter for _, template, _ in self._readers})

    @property
    def signal_drops(self) -> dict[str, Counter[str]]:
        """Which signals' values were left out since the start, by reason."""
        total: dict[str, Counter[str]] = {}
        for decoder in self._decoders:
            for name, counts in decoder.drops.counts.items():
                total.setdefault(name, Counter()).update(counts)
        return total

    def strangers(self) -> list[str]:
        """Names that no model has and that messages gave, as far as they are remembered."""
        return [name for name, counts in self.signal_drops.items() if counts["unknown_signal"]]

    def take(self, message: Received, synced: bool) -> str | None:
        """Decode one message; the reason when it was refused whole."""
        routes = self._routes(message.topic)
        if not routes:
            self.counts["unknown_topic"] += 1
            self.advice = ""
            return "unknown_topic"
        if self._ours and self._is_of_others(routes, self._ours):
            return None
        latest = message.arrival + self._max_ahead if synced else None
        route, found = routes[0], 0
        try:
            for route in routes:
                for row in route.read(route.fields, message.payload, self.counts):
                    self._gather(row, message.arrival, latest)
                    found += 1
        except PayloadError as error:
            self.gathered += found
            self.counts[error.reason] += 1
            self._topics.forget(message.topic)  # one that is invented must not cost what those that are read need
            self._refused(route.number, error, message)
            return error.reason
        self.gathered += found
        self.unread.heard(route.number, message, found)
        return None

    @staticmethod
    def _is_of_others(routes: Sequence[Route], ours: Callable[[str], bool]) -> bool:
        """Whether the topic alone tells that a message is of another shard's vehicle: it is not even decoded."""
        named = [route.fields.get("vehicle") for route in routes]
        return all(vehicle is not None and not ours(vehicle) for vehicle in named)

    def _refused(self, number: int, error: PayloadError, message: Received) -> None:
        """Find out, once for each input and reason, what would make such messages readable."""
        advice = self.unread.advice(number, error.reason)
        if advice is None:
            advice = advise(self._inputs[number], self._signals, error, message.payload)
        self.advice = advice
        self.unread.refused(number, message, error.reason, advice)

    def take_rows(self, vehicle: str, time: TimeArray, values: DoubleArray, arrival: int, synced: bool) -> None:
        """Take rows that came in no message: times ``[N]``, values ``[N, F]`` in the order of the columns."""
        latest = arrival + self._max_ahead if synced else None
        try:
            for stamp, row in zip(time.tolist(), values.tolist(), strict=True):
                self._gather(Row(vehicle, stamp, row), arrival, latest)
        except PayloadError as error:
            self.counts[error.reason] += len(time)

    def drain(self) -> list[Rows]:
        """What was gathered, one event per vehicle."""
        gathered, self._gathered, self.gathered = self._gathered, {}, 0
        return [rows_of(vehicle, rows.time, rows.values) for vehicle, rows in gathered.items()]

    def learnt(self) -> bytes | None:
        """What the decoders have learnt (Sparkplug aliases), to be stored, when it changed since the last call."""
        states = [decoder.state() for decoder in self._decoders]
        if states == self._learnt:
            return None
        self._learnt = states
        return msgspec.msgpack.encode(states)

    def restore(self, learnt: bytes) -> None:
        """Give the decoders what `learnt` returned; nothing when the configuration has other inputs now."""
        states = msgspec.msgpack.decode(learnt, type=list[bytes])
        if len(states) == len(self._decoders):
            for decoder, state in zip(self._decoders, states, strict=True):
                decoder.restore(state)

    def _routes(self, topic: str) -> list[Route]:
        routes = self._topics.get(topic)
        if routes is None:
            if len(topic) > LONGEST_TOPIC:
                return []
            routes = [
                Route(number, read, {**fields, TOPIC: topic})
                for number, template, read in self._readers
                if (fields := template.match(topic)) is not None
            ]
            self._topics.put(topic, routes, TOPIC_BYTES + 3 * len(topic))
        return routes

    def _gather(self, row: Row, arrival: int, latest: int | None) -> None:
        vehicle = row.vehicle
        if vehicle not in self.vehicles:
            if self._ours and not self._ours(vehicle):
                return
            if len(self.vehicles) >= self._limits.max:
                raise PayloadError("too_many_vehicles")
            self.vehicles.add(vehicle)
        if self._refuses(vehicle):
            self.counts["workshop"] += 1
            return
        time = arrival if row.time is None else row.time
        if latest is not None and time > latest:
            self.counts["too_far_ahead"] += 1
            return
        gathered = self._gathered.get(vehicle)
        if gathered is None:
            gathered = self._gathered[vehicle] = _Gathered()
        gathered.time.append(time)
        gathered.values.append(row.values)
        self.counts["rows"] += 1
