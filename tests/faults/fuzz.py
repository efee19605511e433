"""Structured mutants of payloads through the real decoders and the intake: nothing but a refusal, nothing not finite.

A mutant starts from a good payload of its format. Most are built as values (odd numbers, strings, nests, missing and
extra keys, duplicate keys) and then written as JSON or protobuf; some bytes are cut, doubled, swapped or replaced after
that. Each goes through `Intake.take`, as a message of the broker does, under a topic that is sometimes odd as well.
"""

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tickover.daemon.config import Vehicles
from tickover.daemon.intake import Intake
from tickover.payloads.base import Input
from tickover.payloads.sparkplug import Payload
from tickover.payloads.values import EARLIEST, FLOAT32_MAX, LATEST
from tickover.transports.base import Received

COLUMNS: Final = ("rpm", "coolant", "speed")
T: Final = 1_500_000_000
INPUTS: Final = (
    Input(topic="json/{vehicle}", time="t"),
    Input(topic="iso/{vehicle}", time="t", time_unit="iso", values="v", vehicle_field="id"),
    Input(topic="batch/{vehicle}", format="json_batch", time="t", rows="rows"),
    Input(topic="list/{vehicle}", format="json_batch", time="t", time_unit="ms"),
    Input(topic="value/{vehicle}/{signal}", format="value", time="t"),
    Input(topic="plain/{vehicle}/{signal}", format="value"),
    Input(topic="s/{kind}/{vehicle}", format="sparkplug_b"),
    Input(topic="gw", format="json_by_vehicle", time="t", values="v"),
    Input(topic="pairs/{vehicle}", format="json_batch", name="id", value="value", time="t", rows="rows"),
    Input(topic="deep/{vehicle}/{signal+}", time="v.t", values="v", signals={"a.b": "rpm", "rows[-1].rpm": "speed"}),
    Input(topic="word/{vehicle}/{signal+}", format="value"),
    Input(topic="ruuvi/{vehicle}", format="ruuvi", time="t", time_unit="ms", signals={"temperature": "rpm"}),
)
NUMBERS: Final = (
    "0", "-0.0", "1e38", "3.4028235e38", "3.5e38", "-1e39", "1e308", "1e309", "-1e999", "1e-400", "NaN", "Infinity",
    "-Infinity", "9007199254740993", "18446744073709551616", "1" * 400, "nan", "-inf", "1.#QNAN", "True", "None",
    "9" * 5000, "0x10", "1_000", "01", "+1", ".5", "5.", "1e",
    "2147483648", "-9223372036854775809", "253402300800", "7258118400", "-1", "1e15", "1e18",
)  # fmt: skip
ODD: Final = (
    '"60 km/h"', '"ON"', '"unavailable"', '"1,5"', '"1" ', "'812'", '{"value": 812.5}', '[{"rpm": 5}]',
    "null", "true", "false", '""', '"812"', '"NaN"', '"\\ud800"', '"\\u0000"', "[]", "{}", "[1]", '{"rpm": 1}',
    '"2017-07-14T02:40:00Z"', '"9999-12-31T23:59:60+99:99"', '"0001-01-01"', '"' + "x" * 300 + '"',
)  # fmt: skip
KEYS: Final = ("t", "rpm", "coolant", "speed", "v", "id", "rows", "value", "", "unknown", "\\u0072pm", "t" * 200)
TOPICS: Final = (
    "json/t1", "iso/t1", "batch/t1", "list/t1", "value/t1/rpm", "value/t1/odd", "plain/t1/coolant", "plain/a b/rpm",
    "gw", "gw", "pairs/t1", "pairs/t1", "deep/t1/a/b", "deep/t1/" + "x/" * 3000, "word/t1/rpm", "word/t1/a/b/c",
    "ruuvi/t1", "json/", "json/$t", "json/ü", "value//rpm", "nowhere/t1", "json/" + "x" * 200,
)  # fmt: skip
VEHICLES: Final = ("t1", "t2", "Truck A", "", "a/b", "$x", "v" * 200)
ADVERTISEMENT: Final = "0201061BFF990405166455D5C6DE0008FFF403F0AE760F2A8BF41F0C28CBD6"
KINDS: Final = ("NBIRTH", "DBIRTH", "NDATA", "DDATA", "NDEATH", "DDEATH", "NCMD", "ODD")


@dataclass
class Fuzzed:
    """What became of a number of mutants."""

    mutants: int = 0
    rows: int = 0
    """Rows that were taken; each was looked at."""
    reasons: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    unsafe: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.crashes and not self.unsafe


def fuzz(mutants: int, seed: int) -> Fuzzed:
    """Send so many mutants, and look at every row that comes through."""
    found = Fuzzed()
    limits = Vehicles(max=1_000_000)
    intake = Intake(INPUTS, COLUMNS, limits, lambda _: False)
    for topic, payload in mutations(mutants, random.Random(seed)):
        found.mutants += 1
        message = Received(topic, payload, T * 1_000_000, None)
        try:
            intake.take(message, synced=False)
        except Exception as error:
            found.crashes.append(f"{topic} {payload[:300]!r}: {type(error).__name__}: {error}")
            continue
        for rows in intake.drain():
            time, values = rows.arrays(len(COLUMNS))
            found.rows += len(time)
            bad = [x for x in values.ravel().tolist() if not (math.isnan(x) or abs(x) <= FLOAT32_MAX)]
            if bad or not EARLIEST <= int(time.min()) <= int(time.max()) <= LATEST:
                found.unsafe.append(f"{topic} {payload[:300]!r}: {bad} {time.tolist()[:3]}")
    found.reasons = intake.counts
    return found


def mutations(count: int, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Topic and payload of each mutant."""
    makers: list[Callable[[random.Random], tuple[str, bytes]]] = [_json_mutant, _json_mutant, _json_mutant, _sparkplug]
    for _ in range(count):
        topic, payload = chance.choice(makers)(chance)
        for _ in range(chance.choice((0, 0, 0, 1, 3))):
            payload = _spoil(payload, chance)
        yield topic, payload


def _json_mutant(chance: random.Random) -> tuple[str, bytes]:
    topic = chance.choice(TOPICS)
    if topic.startswith("batch"):
        text = f'{{"rows": {_list(chance)}}}'
    elif topic.startswith("list"):
        text = _list(chance)
    elif topic == "gw":
        some = range(chance.choice((0, 1, 3)))
        text = "{" + ", ".join(f'"{chance.choice(VEHICLES)}": {_rows(chance)}' for _ in some) + "}"
    elif topic.startswith("pairs"):
        text = f'{{"rows": [{", ".join(_named(chance) for _ in range(chance.choice((0, 1, 3, 10))))}]}}'
    elif topic.startswith("deep"):
        text = f'{{"v": {_nested(chance, chance.choice((0, 1, 3, 20)))}}}'
    elif topic.startswith("ruuvi"):
        data = chance.choice((ADVERTISEMENT, ADVERTISEMENT[: chance.randrange(60)], "ff99040580007fff", "f" * 2000))
        text = f'{{"t": {_odd(chance, str(T * 1000))}, "data": "{data}", "rssi": {_odd(chance, "-26")}}}'
    elif topic.startswith("iso"):
        moment, vehicle = _odd(chance, '"2017-07-14T02:40:00Z"'), _odd(chance, '"t9"')
        text = f'{{"t": {moment}, "id": {vehicle}, "v": {_object(chance, "")}}}'
    elif topic.startswith(("plain", "word")):
        text = _odd(chance, chance.choice(("81.5", "812 rpm", "on", "88 °C")))
    elif topic.startswith("value"):
        text = f'{{"t": {_odd(chance, str(T))}, "value": {_odd(chance, "81.5")}}}'
    else:
        text = _object(chance, f'"t": {_odd(chance, str(T))}')
    if chance.random() < 0.02:
        depth = chance.choice((5, 9, 100, 30_000))
        text = "[" * depth + text + "]" * chance.choice((0, depth))
    return topic, text.encode("utf-8", "surrogatepass")


def _rows(chance: random.Random) -> str:
    row = f'{{"t": {_odd(chance, str(T))}, "v": {_odd(chance, _object(chance, ""))}}}'
    return chance.choice((row, f"[{row}]", f"[{row}, {row}]", _odd(chance, row)))


def _named(chance: random.Random) -> str:
    name = _odd(chance, json.dumps(chance.choice(COLUMNS)))
    return _odd(chance, f'{{"id": {name}, "value": {_odd(chance, "812.5")}, "t": {_odd(chance, str(T))}}}')


def _nested(chance: random.Random, depth: int) -> str:
    inner = _nested(chance, depth - 1) if depth else _odd(chance, "812.5")
    key = chance.choice(("a", "b", "rows", "t", "rpm", "k" * 100))
    return chance.choice((f'{{"{key}": {inner}, "t": {T}}}', f'{{"a": {{"b": {inner}}}, "t": {T}}}', f"[{inner}]"))


def _list(chance: random.Random) -> str:
    length = chance.choice((0, 1, 2, 3, 10))
    return "[" + ",".join(_odd(chance, _object(chance, f'"t": {_odd(chance, str(T))}')) for _ in range(length)) + "]"


def _object(chance: random.Random, first: str) -> str:
    parts = [first] if first else []
    parts += [f'"{chance.choice(KEYS)}": {_odd(chance, "812.5")}' for _ in range(chance.choice((0, 1, 2, 3, 8)))]
    if chance.random() < 0.5:
        parts.append('"rpm": 812.5')
    chance.shuffle(parts)
    return "{" + ", ".join(parts) + "}"


def _odd(chance: random.Random, usual: str) -> str:
    """Usually the usual, else an odd number, an odd value, or a plain random number."""
    way = chance.random()
    if way < 0.6:
        return usual
    if way < 0.8:
        return chance.choice(NUMBERS)
    if way < 0.9:
        return chance.choice(ODD)
    return json.dumps(chance.choice((chance.uniform(-1e40, 1e40), chance.getrandbits(80), chance.gauss(0, 1))))


def _sparkplug(chance: random.Random) -> tuple[str, bytes]:
    message: Any = Payload(timestamp=chance.choice((T * 1000, 0, 2**63, 2**64 - 1)))
    for _ in range(chance.choice((0, 1, 2, 5))):
        metric = message.metrics.add(datatype=chance.choice((1, 3, 4, 7, 8, 9, 10, 11, 12, 14, 0, 99)))
        if chance.random() < 0.7:
            metric.name = chance.choice((*COLUMNS, "odd", ""))
        if chance.random() < 0.5:
            metric.alias = chance.choice((0, 1, 2, 2**64 - 1))
        if chance.random() < 0.3:
            metric.timestamp = chance.choice((T * 1000, 1, 2**64 - 1))
        if chance.random() < 0.1:
            metric.is_null = True
        _set_value(metric, chance)
    topic = f"s/{chance.choice(KINDS)}/{chance.choice(('n1', 'n2', '', '$n'))}"
    return topic, message.SerializeToString()


def _set_value(metric: Any, chance: random.Random) -> None:
    floats = (812.5, math.nan, math.inf, -math.inf, 1e308, -0.0, 3.5e38)
    way = chance.randrange(6)
    if way == 0:
        metric.double_value = chance.choice(floats)
    elif way == 1:
        metric.float_value = chance.choice((812.5, math.nan, math.inf, 3.4e38))
    elif way == 2:
        metric.int_value = chance.choice((0, 1, 2**31, 2**32 - 1))
    elif way == 3:
        metric.long_value = chance.choice((0, 2**63, 2**64 - 1))
    elif way == 4:
        metric.boolean_value = True


def _spoil(payload: bytes, chance: random.Random) -> bytes:
    """Cut, double, swap or replace some bytes."""
    if not payload:
        return chance.randbytes(3)
    at, length = chance.randrange(len(payload)), chance.choice((1, 1, 2, 8))
    way = chance.randrange(5)
    if way == 0:
        return payload[:at]
    if way == 1:
        return payload[:at] + payload[at + length :]
    if way == 2:
        return payload[:at] + payload[at : at + length] * 2 + payload[at + length :]
    if way == 3:
        return payload[:at] + chance.randbytes(length) + payload[at + length :]
    return payload[:at] + bytes([payload[at] ^ 1 << chance.randrange(8)]) + payload[at + 1 :]
