"""One bad member costs one reading, or nothing, and never the message; the drop is counted with its signal."""

import contextlib
import json
import math
import time
from collections import Counter

import pytest

from tickover.payloads.base import MAX_STRANGERS, OTHERS, Input, PayloadError, open_decoder
from tickover.payloads.strict_json import parse_json
from tickover.payloads.values import event_time, number_of

COLUMNS = {"rpm": 0, "coolant": 1, "speed": 2}
T = 1_700_000_000
SPEC = Input(topic="t/{vehicle}", time="t")
FIELDS = {"vehicle": "v"}


def decode(payload: bytes, spec: Input = SPEC) -> tuple[list[list[float]], Counter[str], dict[str, Counter[str]]]:
    decoder, counts = open_decoder(spec, COLUMNS), Counter[str]()
    rows = decoder.decode(FIELDS, payload, counts)
    return [row.values for row in rows], counts, decoder.drops.counts


@pytest.mark.parametrize(
    ("member", "value", "reason"),
    [
        ("NaN", None, "not_finite"),
        ("-Infinity", None, "not_finite"),
        ("1e999", None, "not_finite"),
        ("nan", None, "not_finite"),
        ("-nan", None, "not_finite"),
        ("inf", None, "not_finite"),
        ("1.#QNAN", None, "not_finite"),
        ("9" * 5000, None, "not_finite"),
        ('"NaN"', None, "not_finite"),
        ('"1e400"', None, "not_finite"),
        ('"hot"', None, "not_a_number"),
        ('"12:30"', None, "not_a_number"),
        ('"2023-11-14"', None, "not_a_number"),
        ('"1,2,3"', None, "several_numbers"),
        ('"1e"', None, "not_a_number"),
        ('"\xff"', None, "not_a_number"),
        ('"a\tb\x01"', None, "not_a_number"),
        ("[1]", None, "several_numbers"),
        ("null", None, ""),
        ("None", None, ""),
        ('"unavailable"', None, ""),
        ('"812"', 812, ""),
        ('" 812.5\\n"', 812.5, ""),
        ('"60 km/h"', 60, ""),
        ('"88°C"', 88, ""),  # in Latin-1, as small devices send it
        ('"8.1 l/100km"', 8.1, ""),
        ('"1500 1/min"', 1500, ""),
        ("true", 1, ""),
        ("True", 1, ""),
        ('"ON"', 1, ""),
        ('"off"', 0, ""),
        ("+5", 5, ""),
        (".5", 0.5, ""),
        ("5.", 5, ""),
        ("007", 7, ""),
        ("0x1F", 31, ""),
        ('{"value": 7, "unit": "1/min"}', 7, ""),
        ("9007199254740993", 2.0**53, ""),
    ],
)
def test_a_member_costs_itself_alone(member: str, value: float | None, reason: str) -> None:
    payload = f'{{"t": {T}, "rpm": {member}, "coolant": 88.5}}'.encode("latin-1")
    ((rpm, coolant, _),), counts, drops = decode(payload)
    assert coolant == 88.5
    assert math.isnan(rpm) if value is None else rpm == value
    assert counts == (Counter({reason: 1}) if reason else Counter())
    assert drops == ({"rpm": Counter({reason: 1})} if reason else {})


@pytest.mark.parametrize("around", [(b"\xef\xbb\xbf", b""), (b"", b"\0"), (b"", b"\r\n\0\0"), (b" \n", b"\n")])
def test_what_stands_around_a_message_costs_nothing(around: tuple[bytes, bytes]) -> None:
    body = json.dumps({"t": T, "rpm": 812.5}).encode()
    (values,), counts, _ = decode(around[0] + body + around[1])
    assert (values[0], counts) == (812.5, Counter())


def test_of_a_key_that_stands_twice_the_last_counts_for_both_parsers() -> None:
    for extra in ("", ', "speed": NaN'):
        (values,), _, _ = decode(f'{{"t": {T}, "rpm": 1, "rpm": 2{extra}}}'.encode())
        assert values[0] == 2


def test_the_dict_that_python_prints_is_read() -> None:
    (values,), _, _ = decode(str({"t": T, "rpm": 812.5, "coolant": None, "speed": True}).encode())
    assert values[0] == 812.5
    assert math.isnan(values[1])
    assert values[2] == 1


@pytest.mark.parametrize("payload", [b"", b"{", b'{"t": 1, "rpm": }', b'{"rpm" 5}', b"hello", b"\x80\x03}", b"[1,,2]"])
def test_what_is_no_object_is_refused_whole(payload: bytes) -> None:
    with pytest.raises(PayloadError) as refusal:
        decode(payload)
    assert refusal.value.reason == "bad_json"


def test_both_parsers_agree_on_good_json() -> None:
    good = {"a": [1, -2.5e-3, True, None, 'x\u00e9\\"\n'], "b": {"c": {}, "d": 2**63}}
    body = json.dumps(good).encode()
    assert parse_json(body) == good
    assert parse_json(b"\xef\xbb\xbf" + body) == good


def test_drops_of_names_that_no_model_has_are_bounded() -> None:
    decoder = open_decoder(SPEC, COLUMNS)
    for number in range(3 * MAX_STRANGERS):
        body = {"t": T, "rpm": 1, f"s{number}" + "x" * 1000: 2}
        decoder.decode(FIELDS, json.dumps(body).encode(), Counter())
    assert len(decoder.drops.counts) <= MAX_STRANGERS + 1
    assert decoder.drops.counts[OTHERS].total() >= 2 * MAX_STRANGERS
    assert all(len(name) <= 128 for name in decoder.drops.counts)
    decoder.decode(FIELDS, f'{{"t": {T}, "speed": "hot"}}'.encode(), Counter())
    assert decoder.drops.counts["speed"] == {"not_a_number": 1}, "the models' own names always have room"


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (T, "s"),
        (float(T), "s"),
        (str(T), "s"),
        (f"{T}.0", "s"),
        (T * 1000, "ms"),
        (str(T * 1000), "ms"),
        (T * 10**6, "us"),
        (T * 10**9 + 7, "ns"),
        (str(T * 10**9 + 7), "ns"),
        ("2023-11-14T22:13:20Z", "iso"),
        ("2023-11-14T22:13:20Z", "s"),
        ("2023-11-14 22:13:20", "iso"),
        ("2023-11-14 22:13:20 UTC", "iso"),
        ("2023-11-14T23:13:20.000000009+01:00", "ns"),
        (" 2023-11-14T22:13:20Z\n", "ms"),
    ],
)
def test_a_time_is_a_number_or_a_text_in_any_unit(value: object, unit: str) -> None:
    assert event_time(value, unit) == T * 10**6


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (T * 1000, "s", 'time_unit = "ms"'),
        (T, "ms", 'time_unit = "s"'),
        (T * 10**6, "ms", 'time_unit = "us"'),
        (T * 10**9, "us", 'time_unit = "ns"'),
        (T, "ns", 'time_unit = "s"'),
        (T * 1000, "iso", 'time_unit = "ms"'),
        (str(T * 1000), "s", 'time_unit = "ms"'),
        (17.5, "s", "set the sender's clock"),
        ("1999-12-31T23:59:59Z", "iso", "set the sender's clock"),
        ("2100-01-02T00:00:00Z", "iso", "set the sender's clock"),
        (-1, "s", "set the sender's clock"),
        ("yesterday", "iso", "expected an ISO 8601 time, got 'yesterday'"),
        (True, "s", "got True"),
        (math.nan, "s", "got nan"),
        (10**400, "s", "in s is"),
        ("9" * 5000, "s", "got '999"),
    ],
)
def test_a_unit_that_cannot_be_is_refused_with_the_likely_one(value: object, unit: str, said: str) -> None:
    with pytest.raises(PayloadError) as refusal:
        event_time(value, unit)
    assert refusal.value.reason == "bad_time"
    assert said in refusal.value.detail
    assert len(refusal.value.detail) < 300


def test_age_alone_refuses_nothing() -> None:
    assert event_time(946_684_800, "s") == 946_684_800 * 10**6


@pytest.mark.parametrize(
    "piece", [b'\\"', b'"', b"1 ", b"a ", b"1", b"nan,", b"1.1.1 ", b'\\"x', b"'", b"[{", b'"a":nan,', b'"a":"', b"-"]
)
def test_a_hostile_payload_costs_time_in_proportion_to_its_size(piece: bytes) -> None:
    """Thirty-two times the bytes may cost so many times as much; a quadratic parser would take 1,024 times."""
    costs = []
    for size in (500, 16_000):
        payload = b'{"t": ' + piece * (size // len(piece))
        rounds = []
        for _ in range(5):
            began = time.perf_counter()
            with contextlib.suppress(PayloadError):
                parse_json(payload)
            rounds.append(time.perf_counter() - began)
        costs.append(min(rounds))
    assert costs[1] < 400 * max(costs[0], 20e-6)


@pytest.mark.parametrize("text", ["0" * 65, "1" + " " * 100 + "m", "x" * 60_000])
def test_long_texts_are_no_numbers(text: str) -> None:
    assert number_of(text)[1] == "not_a_number"
