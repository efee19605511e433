"""A truck that stopped reporting, or reports again, as it is handed on: a CloudEvents 1.0 structured JSON."""

import uuid
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from tickover.core.time_format import iso, iso_seconds, parse_iso
from tickover.messages.envelope import CONTENT_TYPE, SOURCE_PREFIX, SPEC_VERSION
from tickover.web.fleet import Turn
from tickover.web.truck import GONE, State

TYPE: Final = "tickover.truck.v1"
NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_DNS, "trucks.tickover")


class TruckEvent(NamedTuple):
    """``time``: when the page saw it, microseconds; ``id``: the same for the same turn, also after a restart."""

    id: str
    turn: Turn
    time: int

    @property
    def is_gone(self) -> bool:
        """Whether it stopped reporting; else it reports again."""
        return self.turn.state in GONE

    @property
    def line(self) -> str:
        """``truck-7 is silent since 2026-03-02T06:00:00Z``."""
        state = self.turn.state.value if self.is_gone else f"{self.turn.state.value} again"
        return f"{self.turn.vehicle} is {state} since {iso_seconds(self.turn.since)}"


def encode(turn: Turn, now: int) -> tuple[str, bytes]:
    """Id and body."""
    id = str(uuid.uuid5(NAMESPACE, f"{turn.vehicle}:{turn.state}:{turn.since}"))
    data = {"vehicle": turn.vehicle, "state": turn.state.value, "since": iso(turn.since)}
    body = {
        "specversion": SPEC_VERSION,
        "id": id,
        "source": SOURCE_PREFIX + quote(turn.vehicle, safe=""),
        "type": TYPE,
        "subject": turn.state.value,
        "time": iso(now),
        "datacontenttype": CONTENT_TYPE,
        "data": data,
    }
    return id, msgspec.json.encode(body)


def decode(body: bytes) -> TruckEvent | None:
    """The event in a message that waited; None when it is an alert."""
    if TYPE.encode() not in body[:512]:
        return None
    found = msgspec.json.decode(body)
    if found["type"] != TYPE:
        return None
    data = found["data"]
    turn = Turn(data["vehicle"], State(data["state"]), parse_iso(data["since"]))
    return TruckEvent(found["id"], turn, parse_iso(found["time"]))
