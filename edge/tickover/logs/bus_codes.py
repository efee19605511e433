"""The trouble codes in a recording of a bus, and when each was active."""

from pathlib import Path

from tickover.errors import LogError
from tickover.logs.bus_survey import bus_of
from tickover.logs.formats.base import Job
from tickover.logs.formats.can_log import codes_of
from tickover.logs.mapping import LogLayout, Mapping
from tickover.logs.reading import open_log
from tickover.payloads.can.trouble_codes import Span


def active_codes(path: Path, layout: LogLayout) -> list[Span]:
    """Each code with the time that it was active, in the order of their first messages; reads the whole recording.

    A code of conversion method 1 is left out unless the layout says how its SPN is read: which fault it names is not
    known. LogError for a log of rows.
    """
    with open_log(path, layout) as (stream, format_):
        bus = bus_of(format_)
        if bus is None:
            raise LogError(f"{path}: expected a recording of a CAN bus, since codes are looked for; got a log of rows")
        bus.head(stream, layout, str(path))
        stream.seek(0)
        codes = codes_of(bus, stream, Job(str(path), Mapping(signals={}, log=layout)))
    return [span for span in codes.spans if span.code.method == 0]
