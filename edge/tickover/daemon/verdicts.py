"""What people said of alerts: each verdict is a line of JSON in the store, until the newest ``MOST`` push it out."""

from typing import Final

import msgspec

from tickover.core.ledger import Entry, Verdict
from tickover.core.time_format import iso
from tickover.daemon.silencing import Asker
from tickover.messages.bodies import VerdictRecord

META_VERDICTS: Final = "verdicts"
MOST: Final = 2000
LONGEST_NOTE: Final = 200
"""Characters."""


def record(
    vehicle: str, digest: str, entry: Entry, before: Verdict, at: int, by: Asker, note: str, now: int
) -> VerdictRecord:
    """A verdict as it is kept and exported."""
    return VerdictRecord(
        time=iso(now),
        at=at,
        vehicle=vehicle,
        episode=entry.name,
        detector=entry.detector,
        model=digest,
        start=iso(entry.start),
        end=None if entry.end is None else iso(entry.end),
        peak=entry.peak,
        charts=entry.charts,
        verdict=entry.verdict.value,
        before=before.value,
        by=by.sender,
        request=by.request,
        note=note,
    )


def appended(lines: bytes | None, new: VerdictRecord) -> bytes:
    """The lines with one more, the oldest left out."""
    kept = (lines or b"").splitlines()[1 - MOST :]
    return b"\n".join([*kept, msgspec.json.encode(new)])
