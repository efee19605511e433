"""The ``key=value`` fields of log lines, as tools that read logs understand them (logfmt)."""

import json
import re
from typing import Final

PLAIN: Final = re.compile(r'[^\s"=]+')
"""A value that needs no quotes, when it is printable."""


def fields(**values: object) -> str:
    """The fields in order, a space between them; bytes as text.

    A value that is empty, holds a space, a quote or ``=``, or cannot be printed, is written as a JSON string:
    ``broker=127.0.0.1:1883 reason="timed out"``.
    """
    return " ".join(f"{key}={_value(value)}" for key, value in values.items())


def _value(value: object) -> str:
    text = _text(value)
    if PLAIN.fullmatch(text) and text.isprintable():
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return str(value).lower() if isinstance(value, bool) else str(value)
