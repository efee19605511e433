"""Fields of log lines: one line, whatever is in them, and read back as they were."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickover.host.log_fields import fields


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("127.0.0.1:1883", "127.0.0.1:1883"),
        ("truck/+/a,b", "truck/+/a,b"),
        (3, "3"),
        (True, "true"),
        ("", '""'),
        ("timed out", '"timed out"'),
        ("größer", "größer"),
        ("\x1b[31m", '"\\u001b[31m"'),
        (b'{"t": 1}\xff', r'"{\"t\": 1}\\xff"'),
    ],
)
def test_values(value: object, written: str) -> None:
    assert fields(key=value, other=1) == f"key={written} other=1"


@given(st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), st.text()))
def test_what_was_written_can_be_read(values: dict[str, str]) -> None:
    line = fields(**values)
    assert line.isprintable()
    pairs = re.findall(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"=]+)', line)
    assert {key: json.loads(text) if text.startswith('"') else text for key, text in pairs} == values
