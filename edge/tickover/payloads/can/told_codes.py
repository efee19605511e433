"""The trouble codes of a recording for people: DM1 of J1939 and the stored codes of OBD-II in one list."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tickover.payloads.can.obd import StoredCodes
from tickover.payloads.can.shipped import by_spn
from tickover.payloads.can.trouble_codes import FMI_WORDS, LAMPS, Code, Span

LAMP_ON: Final = 1
CONDITION_EXISTS: Final = 31


@dataclass(frozen=True, slots=True)
class ToldCode:
    """One code of one sender. ``start`` and ``end``: when it was active, microseconds; of a stored code, when it was
    first and last answered. ``words``: what it means, as far as that is known."""

    sender: str
    code: str
    words: str
    start: int
    end: int
    messages: int
    lamps: tuple[str, ...] = ()


def told_codes(spans: Sequence[Span], stored: Sequence[StoredCodes], shift: int = 0) -> list[ToldCode]:
    """All codes in order of their start; ``shift``: added to all times, microseconds."""
    buses = {span.bus for span in spans}
    active = [_active(span, shift, several=len(buses) > 1) for span in spans]
    return sorted([*active, *_stored(stored, shift)], key=lambda one: (one.start, one.sender, one.code))


def _active(span: Span, shift: int, *, several: bool) -> ToldCode:
    sender = f"source {span.source:02X}" + (f" on {span.bus}" if several else "")
    lamps = tuple(name for name, lamp in zip(LAMPS, span.lamps, strict=True) if lamp == LAMP_ON)
    code = f"SPN {span.code.spn} FMI {span.code.fmi}"
    return ToldCode(sender, code, _words(span.code), span.start + shift, span.end + shift, span.messages, lamps)


def _words(code: Code) -> str:
    if code.method:
        return "conversion method 1: the SPN may read differently (--spn-method)"
    known = by_spn().get(code.spn)
    name = known.signal.name.replace("_", " ") if known else ""
    fmi = FMI_WORDS[code.fmi] if code.fmi < len(FMI_WORDS) else ""
    fmi = "condition exists" if code.fmi == CONDITION_EXISTS else fmi
    return ": ".join(filter(None, (name, fmi)))


def _stored(stored: Sequence[StoredCodes], shift: int) -> Iterator[ToldCode]:
    """Each stored code once, however often it was asked for."""
    times: dict[tuple[int, str, str], list[int]] = {}
    for answer in stored:
        for code in answer.codes:
            times.setdefault((answer.ecu, answer.kind, code), []).append(answer.time + shift)
    for (ecu, kind, code), found in times.items():
        yield ToldCode(f"ECU {ecu:02X}", code, kind, min(found), max(found), len(found))
