"""DBC files to a catalogue: the only cantools import. Needs the extra ``can``.

cantools parses; decoding is ours (``layouts``), because cantools decodes one message at a time, ignores masks when it
looks up a message, and takes an identifier's priority and source address for a part of it.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

from tickover.errors import ConfigError
from tickover.payloads.can.catalogue import Catalogue, J1939Mode, MessageLayout, catalogue_of
from tickover.payloads.can.frames import EXTENDED_MASK, STANDARD_MASK, key_of
from tickover.payloads.can.layouts import SignalLayout

MAX_BYTES: Final = 16 << 20
"""A DBC larger than this is refused: the largest real ones are a few megabytes, and parsing takes a hundredfold."""
MAX_UNIT: Final = 32
INSTALL: Final = "reading a DBC needs cantools; install it with: pip install 'tickover[can]'"
SPN_ATTRIBUTE: Final = "SPN"
STATUS_BITS: Final = 4
"""An unsigned signal of so few bits is a state."""
_MESSAGE: Final = re.compile(r"^\s*BO_\s+\d+", re.MULTILINE)
_PAGES: Final = re.compile(r"^\s*SG_MUL_VAL_[^;]*;", re.MULTILINE)
_RANGE: Final = re.compile(r"(\d+)-(\d+)")
MAX_PAGES, MAX_DIGITS = 65_536, 20
_HEAVY: Final = ("asammdf", "pandas")
"""What python-can imports when it is there, for its own reader of MF4: 2 s and 100 MB that nothing here needs."""


def load(texts: Mapping[str, bytes], mode: J1939Mode = "auto") -> Catalogue:
    """The messages of all files, by name of the file; ConfigError says in one sentence what is wrong with one."""
    messages: list[MessageLayout] = []
    warnings: list[str] = []
    for name, data in texts.items():
        messages += _messages(name, data, mode, warnings)
    return catalogue_of(messages, warnings)


def decode(data: bytes) -> str:
    """The text of a DBC: UTF-8, else Windows-1252, else Latin-1."""
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            pass
    return data.decode("latin-1")


def _messages(name: str, data: bytes, mode: J1939Mode, warnings: list[str]) -> list[MessageLayout]:
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{name}: expected a DBC of at most {MAX_BYTES >> 20} MB, got {len(data) >> 20} MB")
    text = decode(data)
    _check_ranges(name, text)
    if not _MESSAGE.search(text):
        raise ConfigError(f"{name}: expected a DBC with messages (lines BO_), got {_looks_like(data)}")
    with _without_heavy_imports():
        try:
            import cantools
        except ImportError as error:
            raise ConfigError(f"{name}: {INSTALL}") from error
    try:
        database: Any = cantools.database.load_string(text, database_format="dbc", strict=False)
    except RecursionError as error:
        raise ConfigError(f"{name}: expected a DBC, got text nested too deep") from error
    except Exception as error:
        raise ConfigError(f"{name}: expected a DBC: {_one_line(error)}") from error
    if not any(one.signals for one in database.messages):
        raise ConfigError(f"{name}: expected a DBC with signals (lines SG_), got messages without any")
    whole = _is_j1939(database, mode)
    return [_message(one, whole, mode, name, warnings) for one in database.messages]


def _check_ranges(name: str, text: str) -> None:
    """ConfigError when a multiplexer's range of pages is too long: cantools lists all of its numbers."""
    for line in _PAGES.finditer(text):
        for low, high in _RANGE.findall(line[0]):
            if len(low) > MAX_DIGITS or len(high) > MAX_DIGITS or int(high) - int(low) > MAX_PAGES:
                raise ConfigError(f"{name}: expected at most {MAX_PAGES} pages of a multiplexer, got {low}-{high}")


def _looks_like(data: bytes) -> str:
    """What a file that is no DBC is, for a message."""
    if not data.strip():
        return "an empty file"
    if b"\0" in data[:4096]:
        return "binary data"
    return f"text that starts with {data[:40].decode('latin-1').splitlines()[0]!r}"


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}…"


def _is_j1939(database: Any, mode: J1939Mode) -> bool:
    """Whether all 29-bit messages of a file are of J1939, by its attribute ``ProtocolType``."""
    if mode != "auto" or database.dbc is None:
        return mode == "on"
    attribute = database.dbc.attributes.get("ProtocolType")
    definition = database.dbc.attribute_definitions.get("ProtocolType")
    value = (attribute.value if attribute else "") or (definition.default_value if definition else "")
    return str(value).upper().startswith("J1939")


def _message(one: Any, whole: bool, mode: J1939Mode, name: str, warnings: list[str]) -> MessageLayout:
    extended = bool(one.is_extended_frame)
    is_j1939 = extended and mode != "off" and (whole or one.protocol == "j1939")
    if one.frame_id > (EXTENDED_MASK if extended else STANDARD_MASK):
        warnings.append(
            f"{name}: message {one.name}: the id 0x{one.frame_id:X} has too many bits; the upper are left out"
        )
    signals = tuple(_signal(signal) for signal in one.signals if 1 <= signal.length <= 64)
    left_out = [signal.name for signal in one.signals if not 1 <= signal.length <= 64]
    if left_out:
        warnings.append(f"{name}: message {one.name}: signals of more than 64 bits are left out: {', '.join(left_out)}")
    overlapping = _overlapping(signals)
    if overlapping:
        warnings.append(f"{name}: message {one.name}: signals overlap: {', '.join(overlapping)}")
    key = key_of(one.frame_id & (EXTENDED_MASK if extended else STANDARD_MASK), extended)
    return MessageLayout(one.name, key, signals, is_j1939)


def _signal(signal: Any) -> SignalLayout:
    pages = None
    if signal.multiplexer_signal and signal.multiplexer_ids is not None:
        pages = (signal.multiplexer_signal, frozenset(signal.multiplexer_ids))
    choices = {int(value): str(text) for value, text in (signal.choices or {}).items()}
    spn = signal.spn
    return SignalLayout(
        name=signal.name,
        start=signal.start,
        length=signal.length,
        big_endian=signal.byte_order == "big_endian",
        signed=bool(signal.is_signed),
        is_float=bool(signal.is_float) and signal.length in (32, 64),
        scale=float(signal.scale),
        offset=float(signal.offset),
        unit=_printed(signal.unit or "")[:MAX_UNIT],
        spn=spn if isinstance(spn, int) and 0 < spn <= 524_287 else None,
        low=None if signal.minimum is None else float(signal.minimum),
        high=None if signal.maximum is None else float(signal.maximum),
        choices=MappingProxyType(choices),
        pages=pages,
        status=bool(choices) or (signal.length <= STATUS_BITS and not signal.is_signed),
    )


def _printed(text: str) -> str:
    """A unit without control characters."""
    return "".join(letter for letter in text if letter.isprintable())


def _overlapping(signals: tuple[SignalLayout, ...]) -> list[str]:
    """Signals on the same page that share a bit."""
    seen: list[tuple[SignalLayout, int]] = []
    found: dict[str, None] = {}
    for signal in signals:
        bits = _bits(signal)
        for other, theirs in seen:
            if bits & theirs and _may_meet(signal, other):
                found |= {other.name: None, signal.name: None}
        seen.append((signal, bits))
    return list(found)


def _may_meet(one: SignalLayout, other: SignalLayout) -> bool:
    """Whether two signals can be in one payload: not on different pages of a multiplexer."""
    if one.pages is None or other.pages is None:
        return one.pages is other.pages
    return one.pages[0] == other.pages[0] and bool(one.pages[1] & other.pages[1])


def _bits(signal: SignalLayout) -> int:
    """Its bits as a number, bit ``8 * byte + position`` each."""
    if not signal.big_endian:
        return ((1 << signal.length) - 1) << signal.start
    bits, at = 0, signal.start
    for _ in range(signal.length):
        bits |= 1 << at
        at = at - 1 if at % 8 else at + 15
    return bits


@contextmanager
def _without_heavy_imports() -> Iterator[None]:
    """Import with these libraries hidden: cantools imports python-can, which imports them where they are installed."""
    hidden = [name for name in _HEAVY if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
