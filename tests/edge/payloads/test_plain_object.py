"""A plain object is read in one step, with the rows and the counts of reading it key by key."""

import json
import math
import random
from collections import Counter

import pytest

from tickover.payloads.base import Input, PayloadError, Row, open_decoder
from tickover.payloads.plain_object import MOST_STRANGERS, PlainObject

COLUMNS = {"rpm": 0, "speed": 1, "coolant": 2, "load": 3}
VALUES = [
    *("1", "-0", "0", "-0.0", "1.5", '"5"', '"60 km/h"', "null", "true", "NaN", "1e999", "1e39", "[1,2]", '{"a":1}'),
    *('"' + "[" * 40 + '"', '"x"', "9" * 30, "9" * 400, "1E5", "0.1e-400", '"\\u0041"', "18446744073709551616"),
]
NAMES = ["rpm", "speed", "coolant", "load", "t", "x", "y", "rpm.a", "\\u0072pm", "é", 'a\\"b', "z" * 200]
TIMES = ["1700000000", "1700000000.25", '"2023-11-14T22:13:20Z"', '"1700000000"', "null", "5", "1700000000000", "true"]


def key_by_key(spec: Input):
    decoder = open_decoder(spec, COLUMNS, {"speed": "km/h"})
    decoder._plain = None
    return decoder


def answer(decoder, payload: bytes, counts: Counter[str]):
    try:
        rows = decoder.decode({"vehicle": "v"}, payload, counts)
    except PayloadError as error:
        return error.reason, error.detail
    return [(row.vehicle, row.time, [str(value) for value in row.values]) for row in rows]


def some_payload(chance: random.Random) -> bytes:
    members = [
        (chance.choice(NAMES), chance.choice(VALUES) if chance.random() < 0.2 else f"{chance.uniform(-9, 9):.3f}")
        for _ in range(chance.randrange(1, 7))
    ]
    if chance.random() < 0.8:
        times = TIMES if chance.random() < 0.4 else TIMES[:2]
        members.insert(chance.randrange(len(members) + 1), ("t", chance.choice(times)))
    payload = ("{" + ",".join(f'"{name}":{value}' for name, value in members) + "}").encode()
    damaged = [payload + b"\0", b"\xef\xbb\xbf" + payload, payload[:-1], payload.replace(b"p", b"\xff"), b"[]", b"5"]
    return chance.choice(damaged) if chance.random() < 0.1 else payload


@pytest.mark.parametrize("seed", range(40))
def test_same_rows_and_counts_as_key_by_key(seed):
    chance = random.Random(seed)
    optional = ("time",) if seed % 5 == 0 else ()
    spec = Input(
        topic="t/{vehicle}",
        time=None if seed % 4 == 0 else "t",
        time_unit="ms" if seed % 3 == 0 else "s",
        signals={"x": "coolant"} if seed % 2 else {},
        optional=optional,
    )
    fast, slow = open_decoder(spec, COLUMNS, {"speed": "km/h"}), key_by_key(spec)
    counted: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    for _ in range(60):
        payload = some_payload(chance)
        assert answer(fast, payload, counted[0]) == answer(slow, payload, counted[1]), payload
    assert counted[0] == counted[1]
    assert fast.drops.counts == slow.drops.counts


def test_names_without_a_column_are_learnt_and_counted():
    decoder, counts = open_decoder(Input(topic="t/{vehicle}", time="t"), COLUMNS), Counter[str]()
    payload = b'{"t": 1700000000, "rpm": 800, "firmware": "1.2", "door": true}'
    for _ in range(3):
        decoder.decode({"vehicle": "v"}, payload, counts)
    assert decoder._plain.read(payload) == (1_700_000_000, pytest.approx([800, *[math.nan] * 3], nan_ok=True), NEW)
    assert counts == {"unknown_signal": 6}
    assert decoder.drops.counts == {name: {"unknown_signal": 3} for name in NEW}


NEW = ["firmware", "door"]


def test_as_many_names_are_learnt_as_are_allowed():
    plain = PlainObject(COLUMNS, "t")
    for number in range(10 * MOST_STRANGERS):
        payload = json.dumps({"t": 1, "rpm": 1, f"name{number}": 1})
        if plain.read(payload.encode()) is None:
            plain.learn(json.loads(payload))
    assert len(plain._strangers) == MOST_STRANGERS


def test_sender_that_is_never_plain_is_seldom_tried():
    decoder, tried = open_decoder(Input(topic="t/{vehicle}", time="t"), COLUMNS), 0
    row = Row("v", 1_700_000_000_000_000, [800.0, math.nan, math.nan, math.nan])
    for _ in range(3000):
        (found,) = decoder.decode({"vehicle": "v"}, b'{"t": 1700000000, "engine": {"rpm": 1}, "rpm": 800}', Counter())
        assert found[:2] == row[:2]
        tried += decoder._plain._missed
    assert tried < 20


def test_two_names_of_one_column_are_read_key_by_key():
    decoder = open_decoder(Input(topic="t/{vehicle}", signals={"a": "rpm", "b": "rpm"}), COLUMNS)
    assert decoder._plain is None
    assert decoder.decode({"vehicle": "v"}, b'{"b": 1, "a": 2}', Counter())[0].values[0] == 2
