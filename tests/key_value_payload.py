"""A payload format that only tests know, as a new one would be written: ``rpm=812.5;coolant=88`` with the time first.

``17.5;rpm=812.5``. A sender whose message has no time is asked for it on ``<its topic>/ask``; what other senders are
asked is overheard.
"""

import math
from collections import Counter
from collections.abc import Mapping

from tickover.payloads.base import MAX_BYTES, TOPIC, Decoder, Input, PayloadError, Requests, Row
from tickover.payloads.values import event_time, finite, vehicle_name

EVERY_S = 30.0


class KeyValue(Decoder):
    """``<seconds>;<name>=<number>;…``."""

    FIELDS = Decoder.FIELDS | {"depot"}

    def __init__(self, spec: Input, columns: Mapping[str, int]) -> None:
        super().__init__(spec, columns)
        self.neighbours = (f"{spec.topic}/ask",)
        self.requests = Requests(EVERY_S, lambda time: b"time at %d" % time)

    @classmethod
    def problem(cls, spec: Input, fields: tuple[str, ...]) -> str | None:
        return "expected no time key: the time stands first" if spec.time else None

    def decode(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        time, pairs = self._parsed(payload)
        vehicle = vehicle_name(fields["vehicle"])
        if not time and self.requests:
            self.requests.wanted.add(f"{fields[TOPIC]}/ask")
        values = [math.nan] * self._width
        for name, value in pairs.items():
            if name in self._columns:
                values[self._columns[name]] = finite(value, counts)
            else:
                counts["unknown_signal"] += 1
        return [Row(vehicle, event_time(float(time), "s") if time else None, values)]

    def names(self, fields: Mapping[str, str], payload: bytes) -> list[str]:
        return self._renamed(self._parsed(payload)[1])

    def overhear(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        counts["overheard"] += 1
        return []

    def _parsed(self, payload: bytes) -> tuple[str, dict[str, float]]:
        if len(payload) > MAX_BYTES:
            raise PayloadError("too_large")
        try:
            time, *pairs = payload.decode("ascii").strip().split(";")
            values = {name: float(number) for name, number in (pair.split("=") for pair in pairs)}
            return str(float(time)) if time else "", values
        except ValueError:
            raise PayloadError("bad_pairs") from None
