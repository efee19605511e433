"""What the daemon has to say of itself and of its inputs: notices, on when something is wrong and off when it is over.

They travel like alerts: ``alert/<kind>`` for each change, ``alarm/<kind>`` retained while on.
"""

import uuid
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Literal

import msgspec

NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_DNS, "notices.tickover")
CLOUDEVENTS: Final = "1.0"
TYPE: Final = "tickover.notice.v1"


class Kind(StrEnum):
    """The kinds of notice, and the name of their topics."""

    STALE_SIGNAL = "stale_signal"
    DATA_QUALITY = "data_quality"
    DURABILITY = "durability"
    STORE_DAMAGED = "store_damaged"
    OUTBOX_OVERFLOW = "outbox_overflow"
    PUBLISH_REFUSED = "publish_refused"
    SUBSCRIPTION_REFUSED = "subscription_refused"
    STATE_LOST = "state_lost"
    MODEL_CHANGED = "model_changed"
    TAKEN_OVER = "taken_over"


class Notice(msgspec.Struct, frozen=True):
    """One change: ``active`` when it begins or changes, not active when it is over; ``time`` in microseconds."""

    vehicle: str
    kind: Kind
    active: bool
    time: int
    text: str

    @property
    def id(self) -> str:
        """The same for the same notice, whoever makes it."""
        return str(uuid.uuid5(NAMESPACE, f"{self.vehicle}:{self.kind}:{self.active}:{self.time}:{self.text}"))


class NoticeData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``active`` when it begins or changes, false when it is over."""

    kind: Kind
    active: bool
    text: str


class NoticeEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The CloudEvents 1.0 envelope."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: Literal["tickover.notice.v1"]
    time: str
    datacontenttype: Literal["application/json"]
    data: NoticeData


def encode_notice(notice: Notice) -> bytes:
    """The notice as CloudEvents 1.0 structured JSON."""
    stamp = datetime.fromtimestamp(notice.time / 1e6, UTC).isoformat().replace("+00:00", "Z")
    data = NoticeData(notice.kind, notice.active, notice.text)
    source = f"tickover/{notice.vehicle}"
    return msgspec.json.encode(NoticeEvent(CLOUDEVENTS, notice.id, source, TYPE, stamp, "application/json", data))
