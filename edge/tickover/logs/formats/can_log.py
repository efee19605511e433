"""A log format made of a reader of CAN frames: what all recordings of a bus share."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal, Protocol

from tickover.core.values import Readings
from tickover.errors import LogError
from tickover.logs.formats.base import Head, Job
from tickover.logs.formats.collector import Collector
from tickover.logs.formats.header import listed
from tickover.logs.mapping import LogLayout, Mapping
from tickover.payloads.can.catalogue import Catalogue, shown_id
from tickover.payloads.can.decoder import QUALIFIER, Origin, split_column
from tickover.payloads.can.frames import Frames
from tickover.payloads.can.interpreter import Interpreter
from tickover.payloads.can.selection import Selection, Wanted
from tickover.payloads.can.shipped import shipped_catalogue
from tickover.payloads.can.told_codes import told_codes
from tickover.payloads.can.trouble_codes import ActiveCodes

TimeBase = Literal["iso", "seconds"]
SHOWN_IDS: Final = 12
NO_LOSSES: Final = ("decoded_frames", "unknown_frames", "transport completed", "OBD answers")
"""What an interpreter counts that is no reading lost."""


class FrameReader(Protocol):
    """What each recording format offers: frames, and what their times count from."""

    def base(self, stream: BinaryIO, layout: LogLayout, name: str) -> TimeBase:
        """``iso``: times since 1970; ``seconds``: since the start. LogError when it is no such recording."""

    def frames(self, stream: BinaryIO, job: Job) -> Iterator[Frames]:
        """Blocks of data frames; other frames are counted, and what cannot be read goes to ``job.bad``."""


@dataclass(frozen=True)
class CanLog:
    """A recording of a bus as a log format; ``catalogue`` None: the shipped table."""

    reader: FrameReader
    catalogue: Catalogue | None = None

    def using(self, catalogue: Catalogue) -> "CanLog":
        """The same format with the messages of DBC files."""
        return CanLog(self.reader, catalogue)

    def head(self, stream: BinaryIO, layout: LogLayout, name: str) -> Head:
        """All signals that the recording may hold."""
        catalogue = self.catalogue or shipped_catalogue(layout.names)
        base = self.reader.base(stream, layout, name)
        units = {
            catalogue.column_of(message, signal): signal.unit
            for message in catalogue.messages
            for signal in message.signals
        }
        return Head(catalogue.columns, sparse=True, units=units, own_time=base, qualifier=QUALIFIER, as_it_came=True)

    def read(self, stream: BinaryIO, job: Job) -> Iterator[Readings]:
        """Blocks of readings, a row for each frame that has one."""
        selection = Selection(wanted_of(job.mapping), job.counts, job.note)
        interpreter = self.interpreter(job, selection.names)
        collector, rows, last = Collector(job), 0, 0
        codes = ActiveCodes()
        for frames in self.reader.frames(stream, job):
            block = interpreter.take(frames)
            time, values = selection.rows(interpreter, block)
            rows += len(time)
            for message in block.diagnoses:
                codes.take(message)
            last = int(frames.time[-1]) if len(frames) else last
            yield from collector.block(job.vehicle, time, values)
        interpreter.finish()
        selection.finish()
        codes.finish(last)
        job.on_codes(told_codes(codes.spans, interpreter.obd.stored if interpreter.obd else (), _shift(job)))
        if not rows:
            job.counts["logs without a reading"] += 1
            job.note(f"none of the mapped signals has a reading: {listed(sorted(selection.names))}")
        job.counts.update({reason: n for reason, n in interpreter.counts.items() if n and reason not in NO_LOSSES})
        if not interpreter.counts["decoded_frames"]:
            raise LogError(f"{job.name}: {nothing_known(interpreter.unknown, interpreter.catalogue)}")

    def interpreter(self, job: Job, wanted: frozenset[str] | None = None) -> Interpreter:
        """What makes signals of the frames; ``wanted`` None: of all signals."""
        log = job.mapping.log
        return Interpreter(self.catalogue or shipped_catalogue(log.names), wanted, log.spn_method)


def _shift(job: Job) -> int:
    """What turns the recording's times into those of its readings, microseconds."""
    return job.start if job.mapping.time.kind == "seconds" else 0


def wanted_of(mapping: Mapping) -> list[Wanted]:
    """The mapping's signals as the decoder knows them; ``source`` and ``channel`` in the mapping settle the origin."""
    wanted = []
    for column, signal in zip(mapping.columns, mapping.signals.values(), strict=True):
        name, origin = split_column(column)
        source = origin.source if signal.source is None else signal.source
        wanted.append(Wanted(name, Origin(source, origin.location, signal.channel or origin.bus)))
    return wanted


def codes_of(reader: CanLog, stream: BinaryIO, job: Job) -> ActiveCodes:
    """The trouble codes that were active, and when; reads the recording for nothing else."""
    interpreter, codes = reader.interpreter(job, frozenset()), ActiveCodes()
    last = 0
    for frames in reader.reader.frames(stream, job):
        for message in interpreter.take(frames).diagnoses:
            codes.take(message)
        last = int(frames.time[-1]) if len(frames) else last
    codes.finish(last)
    return codes


def nothing_known(ids: Counter[int], catalogue: Catalogue) -> str:
    """Why a recording of which no frame is known cannot be read, with the identifiers that are there."""
    if not ids:
        return "expected frames with signals, got none"
    listed = ", ".join(shown_id(key).removeprefix("id ") for key, _ in ids.most_common(SHOWN_IDS))
    more = f" and {len(ids) - SHOWN_IDS} more" if len(ids) > SHOWN_IDS else ""
    likely = next((one for key in ids if (one := catalogue.only_by_pgn(key))), None)
    hint = f"; {likely.name} fits by its PGN: try --j1939 on" if likely else "; name the DBC of this bus with --dbc"
    return f"expected frames of known messages, got only the ids {listed}{more}{hint}"
