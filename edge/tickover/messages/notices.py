"""Notices: the daemon's messages about itself and its inputs, active while something is wrong.

They use the topics of alerts: ``alert/<kind>`` for each change, ``alarm/<kind>`` retained while active.
"""

import uuid
from enum import StrEnum
from typing import Any, Final, Literal

import msgspec

from tickover.messages.envelope import Envelope, encode, json_schema

NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_DNS, "notices.tickover")
TYPE: Final = "tickover.notice.v1"
SCHEMA_URN: Final = "urn:tickover:notice:v1"


class Kind(StrEnum):
    """The kinds of notice; each is the last level of its topics."""

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
    SHELVED = "shelved"
    OUT_OF_SERVICE = "out_of_service"
    RESET = "reset"
    DATA_ALLOWANCE = "data_allowance"
    BUS_DOWN = "bus_down"
    BUDGET_BROKEN = "budget_broken"
    DRIFT = "drift"
    UNREAD = "unread"
    VERDICT = "verdict"


class Notice(msgspec.Struct, frozen=True):
    """One change: ``active`` when the condition begins or changes, else it is over; ``time`` in microseconds."""

    vehicle: str
    kind: Kind
    active: bool
    time: int
    text: str

    @property
    def id(self) -> str:
        """UUIDv5 of all fields: a notice that is made again has the same id."""
        return str(uuid.uuid5(NAMESPACE, f"{self.vehicle}:{self.kind}:{self.active}:{self.time}:{self.text}"))


class NoticeData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``active``: true when the condition begins or changes, false when it is over."""

    kind: Kind
    active: bool
    text: str


class NoticeEvent(Envelope, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A notice in its envelope; ``subject`` is its kind."""

    type: Literal["tickover.notice.v1"]
    subject: Kind
    dataschema: Literal["urn:tickover:notice:v1"]
    data: NoticeData


def encode_notice(notice: Notice) -> bytes:
    """One notice as a JSON object without line breaks."""
    return encode(
        NoticeEvent,
        id=notice.id,
        vehicle=notice.vehicle,
        type=TYPE,
        subject=notice.kind,
        time=notice.time,
        dataschema=SCHEMA_URN,
        data=NoticeData(notice.kind, notice.active, notice.text),
    )


def schema() -> dict[str, Any]:
    """The JSON Schema of a notice event."""
    return json_schema(NoticeEvent, SCHEMA_URN)
