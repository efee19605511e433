"""The envelope of alerts and notices: CloudEvents 1.0 structured JSON.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct

from tickover.core.time_format import iso

SPEC_VERSION: Final = "1.0"
CONTENT_TYPE: Final = "application/json"
SOURCE_PREFIX: Final = "/tickover/"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Moment = Annotated[
    str,
    Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$", extra_json_schema={"format": "date-time"}),
]
"""UTC with microseconds, as :func:`tickover.core.time_format.iso` writes it."""
Id = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", extra_json_schema={"format": "uuid"})]
Source = Annotated[str, Meta(pattern=r"^/tickover/[A-Za-z0-9._~%-]*$", extra_json_schema={"format": "uri-reference"})]
"""A relative URI reference: the vehicle's name, percent-encoded, since a name may hold spaces or any letter."""


class Envelope(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What alerts and notices share; each of them narrows ``type``, ``subject``, ``dataschema`` and ``data``.

    Two events with equal ``source`` and ``id`` are one event. The fields are written in this order.
    """

    specversion: Literal["1.0"]
    id: Id
    source: Source
    type: str
    subject: str
    time: Moment
    datacontenttype: Literal["application/json"]
    dataschema: str
    data: Any


def encode(
    event: type[Envelope], *, id: str, vehicle: str, type: str, subject: str, time: int, dataschema: str, data: Struct
) -> bytes:
    """An event as one JSON object without line breaks; ``time`` in microseconds."""
    return msgspec.json.encode(
        event(
            specversion=SPEC_VERSION,
            id=id,
            source=SOURCE_PREFIX + quote(vehicle, safe=""),
            type=type,
            subject=subject,
            time=iso(time),
            datacontenttype=CONTENT_TYPE,
            dataschema=dataschema,
            data=data,
        )
    )


def json_schema(event: type[Envelope], urn: str) -> dict[str, Any]:
    """The JSON Schema of an event, under the name that its ``dataschema`` carries."""
    return {"$schema": DIALECT, "$id": urn, **msgspec.json.schema(event)}
