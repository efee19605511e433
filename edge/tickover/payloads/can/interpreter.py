"""Frames to decoded signals: single frames, messages that come in several, trouble codes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from tickover.core.values import TimeArray
from tickover.payloads.can import j1939, obd, transport
from tickover.payloads.can.catalogue import Catalogue, MessageLayout
from tickover.payloads.can.decoder import Decoded, IndexArray, decode, groups_by_bus
from tickover.payloads.can.frames import EXTENDED, Frames, of_payloads
from tickover.payloads.can.layouts import SignalLayout
from tickover.payloads.can.trouble_codes import Diagnosis, DiagnosisKind, SpnMethod, diagnosis

MAX_IDS: Final = 4_096
"""Unknown identifiers that are told apart."""
TEXTS: Final = {0xFEEC: "vehicle identification", 0xFEEB: "component identification", 0xFEDA: "software"}
"""Messages that are text, by PGN: shown, never a reading."""
_DIAGNOSES: Final[Mapping[int, DiagnosisKind]] = {j1939.DM1: "DM1", j1939.DM2: "DM2"}


class _Extra(NamedTuple):
    """A message that several frames made, as a frame of its own behind the one that completed it."""

    row: int
    time: int
    key: int
    payload: bytes
    channel: int = 0


@dataclass(frozen=True, slots=True)
class Interpreted:
    """A block of frames, and of messages of several frames, in order of arrival.

    ``time`` int64 ``[M]``: the time of each; ``decoded``: signals, whose ``rows`` count in this order; ``diagnoses``:
    DM1 and DM2.
    """

    time: TimeArray
    decoded: Sequence[Decoded]
    diagnoses: Sequence[Diagnosis] = ()


class Interpreter:
    """Takes a bus's frames in order.

    ``counts`` has what was known and lost, ``unknown`` the identifiers that nothing is known of, ``texts`` what
    messages of text said, by PGN and source. ``with_obd``: answers of OBD-II are read.
    """

    def __init__(self, catalogue: Catalogue, wanted: frozenset[str] | None = None, spn_method: SpnMethod = 0) -> None:
        self.counts: Counter[str] = Counter()
        self.unknown: Counter[int] = Counter()
        self.texts: dict[tuple[int, int], str] = {}
        self.catalogue = catalogue
        self.sessions = transport.Sessions() if catalogue.is_j1939 else None
        self.obd = obd.Obd() if catalogue.has_obd else None
        self._wanted, self._spn_method = wanted, spn_method
        self._of_message: dict[str, tuple[SignalLayout, ...]] = {}
        self._last: int | None = None

    def column_of(self, decoded: Decoded) -> str:
        """The signal's name in the catalogue, without its origin."""
        return self.catalogue.column_of(decoded.message, decoded.signal)

    def take(self, frames: Frames) -> Interpreted:
        """What the next block of frames says."""
        if not len(frames):
            return Interpreted(frames.time, ())
        self._last = int(frames.time[-1])
        extras: list[_Extra] = []
        diagnoses: list[Diagnosis] = []
        handled = np.zeros(len(frames), bool)
        if self.sessions is not None:
            self._transport(frames, handled, extras, diagnoses, self.sessions)
        if self.obd is not None:
            self._obd(frames, handled, extras, self.obd)
        decoded = list(self._decode(frames, handled, diagnoses))
        diagnoses.sort(key=lambda one: one.time)
        return _merged(frames, decoded, extras, self._decode_extras(frames, extras), diagnoses)

    def finish(self) -> None:
        """The recording ends: messages on their way are counted."""
        if self.sessions is not None:
            self.sessions.finish(self._last)
            self.counts.update({f"transport {reason}": n for reason, n in self.sessions.counts.items() if n})
        if self.obd is not None:
            self.obd.finish()
            self.counts.update({f"OBD {reason}": n for reason, n in self.obd.counts.items() if n})

    def _transport(
        self,
        frames: Frames,
        handled: "np.ndarray",
        extras: list[_Extra],
        diagnoses: list[Diagnosis],
        sessions: transport.Sessions,
    ) -> None:
        rows = transport.rows_of(frames)
        handled[rows] = True
        for message in sessions.take(frames, rows):
            kind = _DIAGNOSES.get(message.pgn)
            if kind:
                bus = frames.bus(message.channel)
                diagnoses += self._diagnosis(kind, message.time, message.source, message.payload, bus)
            elif message.pgn in TEXTS and len(self.texts) < MAX_IDS:
                # A text of several fields has * between them; what is not printable is no text.
                text = "".join(letter if letter.isprintable() else " " for letter in message.payload.decode("latin-1"))
                self.texts[message.pgn, message.source] = " ".join(text.replace("*", " ").split())
            if self.catalogue.knows_pgn(message.pgn):
                key = j1939.key_of(message.pgn, message.source, message.destination)
                extras.append(_Extra(message.row, message.time, key, message.payload, message.channel))

    def _obd(self, frames: Frames, handled: "np.ndarray", extras: list[_Extra], answers: obd.Obd) -> None:
        rows, everything = obd.rows_of(frames)
        handled[everything] = True
        self.counts["decoded_frames"] += len(rows)
        extras += [_Extra(*answer, int(frames.channel[answer.row])) for answer in answers.take(frames, rows)]

    def _decode(self, frames: Frames, handled: "np.ndarray", diagnoses: list[Diagnosis]) -> Iterator[Decoded]:
        plain = np.flatnonzero(~handled) if handled.any() else None
        for key, bus, rows in groups_by_bus(frames, plain):
            if self.sessions is not None and key & EXTENDED:
                diagnoses += self._diagnoses(frames, rows, key, bus)
            message = self.catalogue.find(key)
            if message is None:
                self._count_unknown(key, len(rows))
                continue
            self.counts["decoded_frames"] += len(rows)
            yield from decode(frames, rows, key, message, self._signals(message), self.counts, bus)

    def _diagnoses(self, frames: Frames, rows: IndexArray, key: int, bus: str) -> Iterator[Diagnosis]:
        """DM1 and DM2 of a single frame."""
        parts = j1939.parts(key)
        kind = _DIAGNOSES.get(parts.pgn)
        if kind is None:
            return
        for row in rows.tolist():
            payload = bytes(frames.data[row, : frames.length[row]])
            yield from self._diagnosis(kind, int(frames.time[row]), parts.source, payload, bus)

    def _diagnosis(self, kind: DiagnosisKind, time: int, source: int, payload: bytes, bus: str) -> list[Diagnosis]:
        found = diagnosis(kind, time, source, payload, bus, self._spn_method)
        return [found] if found else []

    def _decode_extras(self, frames: Frames, extras: list[_Extra]) -> Iterator[tuple[_Extra, list[Decoded]]]:
        for extra in extras:
            message = self.catalogue.find(extra.key)
            signals = self._signals(message) if message else ()
            if message and signals:
                one = of_payloads([extra.time], [extra.key], [extra.payload])
                yield (
                    extra,
                    list(
                        decode(
                            one,
                            np.zeros(1, np.intp),
                            extra.key,
                            message,
                            signals,
                            self.counts,
                            frames.bus(extra.channel),
                        )
                    ),
                )

    def _signals(self, message: MessageLayout) -> tuple[SignalLayout, ...]:
        """Those of a message that are wanted."""
        if message.name not in self._of_message:
            self._of_message[message.name] = tuple(
                signal
                for signal in message.signals
                if self._wanted is None or self.catalogue.column_of(message, signal) in self._wanted
            )
        return self._of_message[message.name]

    def _count_unknown(self, key: int, number: int) -> None:
        """Frames that nothing is known of, by identifier; a bus with ever new identifiers is cut off."""
        if key & EXTENDED and self.sessions is not None and j1939.parts(key).pgn in _DIAGNOSES:
            return
        self.counts["unknown_frames"] += number
        if key in self.unknown or len(self.unknown) < MAX_IDS:
            self.unknown[key] += number


def _merged(
    frames: Frames,
    decoded: list[Decoded],
    extras: list[_Extra],
    of_extras: Iterator[tuple[_Extra, list[Decoded]]],
    diagnoses: list[Diagnosis],
) -> Interpreted:
    """Frames and messages in one order: a message stands behind the frame that completed it."""
    found = sorted((one for one in of_extras), key=lambda pair: pair[0].row)
    if not found:
        return Interpreted(frames.time, decoded, diagnoses)
    behind = np.array([extra.row for extra, _ in found], np.int64)
    places = np.arange(len(frames)) + np.searchsorted(behind, np.arange(len(frames)), side="left")
    own = behind + 1 + np.arange(len(found))
    time = np.empty(len(frames) + len(found), np.int64)
    time[places], time[own] = frames.time, [extra.time for extra, _ in found]
    moved = [replace(one, rows=places[one.rows]) for one in decoded]
    for at, (_, signals) in zip(own.tolist(), found, strict=True):
        moved += [replace(one, rows=np.full(len(one.rows), at)) for one in signals]
    return Interpreted(time, moved, diagnoses)
