"""The period of validity of a certificate, from its DER (X.509, RFC 5280 section 4.1)."""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

SEQUENCE: Final = 0x30
EXPLICIT_VERSION: Final = 0xA0
UTC_TIME: Final = 0x17
CENTURY_TURN: Final = 50
"""A two-digit year from here on is of the 1900s (RFC 5280, 4.1.2.5.1)."""
_BEGIN: Final = "-----BEGIN CERTIFICATE-----"


def read_certificate(path: Path) -> bytes:
    """The DER of the first certificate in a PEM file; OSError or ValueError when there is none."""
    text = path.read_text(encoding="ascii", errors="replace")
    start = text.find(_BEGIN)
    if start < 0:
        raise ValueError(f"{path}: expected a PEM certificate, got none")
    return ssl.PEM_cert_to_DER_cert(text[start : text.index("-----END CERTIFICATE-----", start) + 25])


def validity(der: bytes) -> tuple[datetime, datetime]:
    """The first and the last moment of validity; ValueError when the bytes are no certificate."""
    try:
        _, inside, _ = _element(der, 0)
        tag, fields, _ = _element(inside, 0)
        position = 0
        tag, _, after = _element(fields, position)
        if tag == EXPLICIT_VERSION:
            position = after
        for _ in range(3):  # serial number, signature algorithm, issuer
            _, _, position = _element(fields, position)
        tag, period, _ = _element(fields, position)
        if tag != SEQUENCE:
            raise ValueError("no validity")
        kind, first, position = _element(period, 0)
        until_kind, last, _ = _element(period, position)
        return _time(kind, first), _time(until_kind, last)
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError("expected a DER certificate") from error


def _element(data: bytes, position: int) -> tuple[int, bytes, int]:
    """Tag, content and the position after the element at ``position``."""
    tag, length, start = data[position], data[position + 1], position + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    if start + length > len(data):
        raise IndexError
    return tag, data[start : start + length], start + length


def _time(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag == UTC_TIME:
        text = ("19" if int(text[:2]) >= CENTURY_TURN else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
