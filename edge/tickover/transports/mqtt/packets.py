"""The two MQTT packets that come by the thousand: PUBLISH, read many at once, and PUBACK, written many at once.

paho takes 30 us for each; everything rare (greetings, pings, QoS 2, damaged packets) is left to it.
https://docs.oasis-open.org/mqtt/mqtt/v5.0/os/mqtt-v5.0-os.html, sections 2.1, 3.3 and 3.4; MQTT 3.1.1 is the same
without properties.
"""

from collections.abc import Iterable
from struct import Struct
from typing import Final, NamedTuple

PUBLISH: Final = 0x30
"""High half of the first byte; below it: DUP (0x08), QoS (0x06), retain (0x01)."""
TYPE, DUP, QOS, QOS_1, RETAIN = 0xF0, 0x08, 0x06, 0x02, 0x01
MORE: Final = 0x80
"""In a number of variable length: another byte follows."""
_PUBACK: Final = Struct(">BBH")
_PUBACK_HEAD: Final = (0x40, 2)
"""First byte and remaining length; without a reason code it means success."""


class Publish(NamedTuple):
    """A message at QoS 1; ``dup``: the broker sent it before, ``retain``: it was retained before we subscribed."""

    packet_id: int
    topic: str
    payload: bytes
    dup: bool
    retain: bool


def whole_publishes(
    data: bytes, start: int, five: bool, properties: dict[int, bytes] | None = None
) -> tuple[list[Publish], int]:
    """The QoS 1 PUBLISH packets that lie complete in ``data`` from ``start`` on, and where they end.

    Stops, without complaint, at the first packet that is anything else: of another type, incomplete, or damaged.
    ``five``: MQTT 5, packets have properties. ``properties`` takes those of each publish that has some, as they are in
    the packet, their length first, by its place in the list.
    """
    properties = {} if properties is None else properties
    packed = b""
    found: list[Publish] = []
    try:
        while (first := data[start]) & TYPE == PUBLISH and first & QOS == QOS_1:
            left, body = _number(data, start + 1)
            end = body + left
            topic_end = body + 2 + (data[body] << 8 | data[body + 1])
            payload = topic_end + 2
            if five:
                begin = payload
                skipped, payload = _number(data, begin)
                payload += skipped
                packed = data[begin:payload] if skipped else b""
            packet_id = data[topic_end] << 8 | data[topic_end + 1]
            if end > len(data) or payload > end or topic_end == body + 2 or not packet_id:
                break
            topic = str(data[body + 2 : topic_end], "utf-8")
            if packed:
                properties[len(found)] = packed
            found.append(Publish(packet_id, topic, data[payload:end], bool(first & DUP), bool(first & RETAIN)))
            start = end
    except (IndexError, UnicodeDecodeError):
        pass
    return found, start


def pubacks(packet_ids: Iterable[int]) -> bytes:
    """The packets that acknowledge these, in order."""
    return b"".join([_PUBACK.pack(*_PUBACK_HEAD, packet_id) for packet_id in packet_ids])


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length (at most four bytes) and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & ~MORE) << shift
        if not byte & MORE:
            return value, at
        shift += 7
        if shift > 21:
            raise IndexError
