"""Diagnostic messages of J1939-73: the trouble codes that a source holds active (DM1) or has stored (DM2)."""

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from tickover.core.values import SECOND

LAMPS: Final = ("MIL", "RSL", "AWL", "PL")
"""Malfunction indicator, red stop, amber warning and protect lamp, in the order of their bits from the top."""
OCCURRENCE_UNKNOWN: Final = 127
CODE_BYTES: Final = 4
SILENT: Final = 3 * SECOND
"""A source that has sent no DM1 for so long holds no code active; DM1 comes each second."""
MAX_SPANS: Final = 10_000
_NONE: Final = (0, 0xFFFFFFFF)
DiagnosisKind = Literal["DM1", "DM2"]
SpnMethod = Literal[0, 1, 2, 3]
"""How the SPN is read where a code's conversion method is 1, which stands for three older layouts of J1939-73: 0 leaves
it open; 1: most significant byte first; 2: the upper 16 bits with the lower byte first; 3: as in today's codes."""
FMI_WORDS: Final = (
    "above normal, most severe", "below normal, most severe", "erratic or incorrect",
    "voltage too high or shorted high",
    "voltage too low or shorted low", "current too low or open circuit", "current too high or shorted to ground",
    "mechanical system out of adjustment", "abnormal frequency or pulse width", "abnormal update rate",
    "abnormal rate of change", "root cause not known", "bad device", "out of calibration", "special instructions",
    "above normal, least severe", "above normal, moderately severe", "below normal, least severe",
    "below normal, moderately severe", "received data in error", "drifted high", "drifted low",
)  # fmt: skip
"""Failure mode identifiers from 0 on, as SAE J1939-73 names them in short; 31: the condition exists."""
_Sender = tuple[str, int]
"""A bus and a source address on it."""
_Place = tuple[_Sender, int, int]
"""A sender, an SPN and an FMI."""


class Code(NamedTuple):
    """One code. ``occurrence`` 127: not known. ``method`` 1: the order of the SPN's bits is not known, nor settled."""

    spn: int
    fmi: int
    occurrence: int
    method: int = 0


class Diagnosis(NamedTuple):
    """One DM1 or DM2. ``lamps``: 0 off, 1 on, 2 error, 3 not available, in the order of ``LAMPS``.

    ``bus``: the name of the bus that it came on.
    """

    kind: DiagnosisKind
    time: int
    source: int
    lamps: tuple[int, int, int, int]
    codes: tuple[Code, ...]
    bus: str = ""


def diagnosis(
    kind: DiagnosisKind, time: int, source: int, payload: bytes, bus: str = "", spn_method: SpnMethod = 0
) -> Diagnosis | None:
    """The message of a payload; None when it is too short for one."""
    if len(payload) < 2:
        return None
    lamps = payload[0] >> 6 & 3, payload[0] >> 4 & 3, payload[0] >> 2 & 3, payload[0] & 3
    words = [int.from_bytes(payload[at : at + CODE_BYTES], "little") for at in range(2, len(payload) - 3, CODE_BYTES)]
    codes = tuple(_code(word, spn_method) for word in words if word not in _NONE)
    return Diagnosis(kind, time, source, lamps, codes, bus)


def _code(word: int, spn_method: SpnMethod) -> Code:
    first, second, top = word & 0xFF, word >> 8 & 0xFF, word >> 21 & 7
    fmi, occurrence, method = word >> 16 & 31, word >> 24 & 127, word >> 31
    spn = top << 16 | second << 8 | first
    if method and spn_method == 1:
        spn = first << 11 | second << 3 | top
    elif method and spn_method == 2:
        spn = second << 11 | first << 3 | top
    return Code(spn, fmi, occurrence, 0 if spn_method else method)


@dataclass
class Span:
    """A code that a source held active, from ``start`` to ``end``, microseconds; ``occurrence``: the largest seen."""

    source: int
    code: Code
    start: int
    end: int
    occurrence: int
    lamps: tuple[int, int, int, int]
    messages: int = 1
    bus: str = ""


@dataclass
class ActiveCodes:
    """Which codes were active when: from a code's first DM1 until its source's DM1 is without it, or ``SILENT``."""

    spans: list[Span] = field(default_factory=list)
    dropped: int = 0
    _open: dict[_Place, Span] = field(default_factory=dict)
    _heard: dict[_Sender, int] = field(default_factory=dict)

    def take(self, message: Diagnosis) -> None:
        """The next DM1 of a source, in order of time; DM2 holds no active codes."""
        if message.kind != "DM1":
            return
        sender, time = (message.bus, message.source), message.time
        silent = time - self._heard.get(sender, time) > SILENT or time < self._heard.get(sender, time)
        self._heard[sender] = time
        held = {(sender, code.spn, code.fmi): code for code in message.codes}
        for place in [one for one in self._open if one[0] == sender and (silent or one not in held)]:
            span = self._open.pop(place)
            # A code that went away was active until the DM1 without it; of one that fell silent nothing is known after.
            span.end = min(span.end + SILENT, time) if silent else time
        for place, code in held.items():
            self._hold(place, code, message)

    def _hold(self, place: _Place, code: Code, message: Diagnosis) -> None:
        span = self._open.get(place)
        if span is not None:
            span.end, span.messages, span.lamps = message.time, span.messages + 1, message.lamps
            if code.occurrence != OCCURRENCE_UNKNOWN:
                known = 0 if span.occurrence == OCCURRENCE_UNKNOWN else span.occurrence
                span.occurrence = max(known, code.occurrence)
            return
        if len(self.spans) >= MAX_SPANS:
            self.dropped += 1
            return
        span = Span(message.source, code, message.time, message.time, code.occurrence, message.lamps, bus=message.bus)
        self._open[place] = span
        self.spans.append(span)

    def finish(self, time: int) -> None:
        """The recording ends: codes last until then, or until they have been silent for too long."""
        for span in self._open.values():
            span.end = min(span.end + SILENT, max(time, span.end))
        self._open.clear()
