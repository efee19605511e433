"""Messages to events: which input a topic belongs to, the rows in its payload, and what is refused and counted."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from tickover.core.values import SECOND
from tickover.daemon.config import Vehicles
from tickover.daemon.events import Rows, rows_of
from tickover.daemon.requests import Requester
from tickover.payloads.base import TOPIC, Input, PayloadError, Row, open_decoder
from tickover.payloads.topic_template import TopicTemplate
from tickover.transports.base import Received

TOPICS_REMEMBERED: Final = 100_000
"""Topics whose input and fields are kept; beyond, all are matched again."""

Read = Callable[[Mapping[str, str], bytes, Counter[str]], list[Row]]
"""`Decoder.decode` or `Decoder.overhear` of one input."""


@dataclass(slots=True)
class _Gathered:
    """One vehicle's rows since the last `Intake.drain`."""

    time: list[int] = field(default_factory=list)
    values: list[list[float]] = field(default_factory=list)


class Intake:
    """Decodes messages and gathers their rows by vehicle, in order of arrival.

    ``refuses`` says whether readings of a vehicle are left out at present (out of service). ``counts`` holds refusals
    and left-out values by reason, and ``rows`` taken.
    """

    def __init__(
        self, inputs: Sequence[Input], columns: tuple[str, ...], limits: Vehicles, refuses: Callable[[str], bool]
    ) -> None:
        places = {name: place for place, name in enumerate(columns)}
        self._decoders = [open_decoder(spec, places) for spec in inputs]
        self._readers: list[tuple[TopicTemplate, Read]] = [
            (TopicTemplate(spec.topic), decoder.decode) for spec, decoder in zip(inputs, self._decoders, strict=True)
        ]
        self._readers += [
            (TopicTemplate(neighbour), decoder.overhear)
            for decoder in self._decoders
            for neighbour in decoder.neighbours
        ]
        self.requester = Requester(decoder.requests for decoder in self._decoders)
        self._limits, self._refuses = limits, refuses
        self._max_ahead = round(limits.max_ahead_s * SECOND)
        self._topics: dict[str, list[tuple[Read, dict[str, str]]]] = {}
        self._gathered: dict[str, _Gathered] = {}
        self._learnt: list[bytes] = [b""] * len(self._decoders)
        self.vehicles: set[str] = set()
        self.counts: Counter[str] = Counter()

    @property
    def filters(self) -> list[str]:
        """What to subscribe to."""
        return sorted({template.filter for template, _ in self._readers})

    def take(self, message: Received, synced: bool) -> str | None:
        """Decode one message; the reason when it was refused whole."""
        routes = self._routes(message.topic)
        if not routes:
            self.counts["unknown_topic"] += 1
            return "unknown_topic"
        latest = message.arrival + self._max_ahead if synced else None
        try:
            for read, fields in routes:
                for row in read(fields, message.payload, self.counts):
                    self._gather(row, message.arrival, latest)
        except PayloadError as error:
            self.counts[error.reason] += 1
            return error.reason
        return None

    def drain(self) -> list[Rows]:
        """What was gathered, one event per vehicle."""
        gathered, self._gathered = self._gathered, {}
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

    def _routes(self, topic: str) -> list[tuple[Read, dict[str, str]]]:
        routes = self._topics.get(topic)
        if routes is None:
            if len(self._topics) >= TOPICS_REMEMBERED:
                self._topics.clear()
            routes = self._topics[topic] = [
                (read, {**fields, TOPIC: topic})
                for template, read in self._readers
                if (fields := template.match(topic)) is not None
            ]
        return routes

    def _gather(self, row: Row, arrival: int, latest: int | None) -> None:
        vehicle = row.vehicle
        if vehicle not in self.vehicles:
            if len(self.vehicles) >= self._limits.most:
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
