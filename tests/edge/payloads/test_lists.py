"""Several numbers in one value, and numbers with a comma before their fraction."""

import math
from collections import Counter

import pytest

from tickover.payloads.base import Input, open_decoder

COLUMNS = {"tyre[0]": 0, "tyre[1]": 1, "rpm": 2}


def read(spec: Input, fields: dict[str, str], payload: bytes):
    counts: Counter[str] = Counter()
    (row,) = open_decoder(spec, COLUMNS).decode({"vehicle": "v"} | fields, payload, counts)
    return [None if math.isnan(value) else value for value in row.values], counts


@pytest.mark.parametrize(
    "value", ['"220,221"', '"[220, 221]"', '"220;221"', '"(220 221)"', "[220, 221]", '["220", 221]']
)
def test_elements_are_signals_by_their_place(value):
    body = b'{"rpm": 5, "tyre": ' + value.encode() + b"}"
    assert read(Input(topic="t/{vehicle}"), {}, body) == ([220, 221, 5], {})
    topic = Input(topic="t/{vehicle}/{signal}", format="value")
    assert read(topic, {"signal": "tyre"}, value.encode())[0] == [220, 221, None]
    levels = Input(topic="t/{vehicle}/{signal+}", format="value", signals={"v/tp/p[1]": "rpm"})
    assert read(levels, {"signal": "v.tp.p"}, value.encode())[0] == [None, None, 221]
    behind_prefix = Input(topic="t/{vehicle}/{signal}", signals={"wheel.p[1]": "rpm"})
    assert read(behind_prefix, {"signal": "wheel"}, b'{"p": ' + value.encode() + b"}")[0] == [None, None, 221]


@pytest.mark.parametrize("value", ['"220,221"', '"12,5"', "[1, 2]"])
def test_several_numbers_for_one_signal_are_none(value):
    spec = Input(topic="t/{vehicle}")
    decoder, counts = open_decoder(spec, COLUMNS), Counter()
    decoder.decode({"vehicle": "v"}, b'{"rpm": ' + value.encode() + b"}", counts)
    assert counts == {"several_numbers": 1}
    assert decoder.drops.counts == {"rpm": {"several_numbers": 1}}


@pytest.mark.parametrize(
    ("text", "number"), [('"12,5"', 12.5), ('"1.012,5"', 1012.5), ('"60,5 km/h"', 60.5), ('"7"', 7), ("7.5", 7.5)]
)
def test_comma_before_the_fraction(text, number):
    body = b'{"rpm": ' + text.encode() + b"}"
    assert read(Input(topic="t/{vehicle}", decimal=","), {}, body) == ([None, None, number], {})
