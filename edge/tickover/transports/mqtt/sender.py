"""Who sent a message: MQTT tells the receiver only what the broker, or the sender, adds as user properties (MQTT 5).

Brokers add them by a plug-in or a rule (client-id, username); without one nobody knows.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

USER_PROPERTY: Final = 0x26
"""Identifier of a user property (MQTT 5, 2.2.2.2)."""
MOST: Final = 8
"""The most properties that are shown."""


def sender_of(packed: bytes) -> str:
    """The user properties of a PUBLISH in words; ``packed``: all its properties, their length first."""
    if USER_PROPERTY not in packed:
        return ""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    with suppress(Exception):  # damaged, or none that a PUBLISH may have: paho raises of many kinds
        properties.unpack(packed)  # type: ignore[no-untyped-call]
        return in_words(getattr(properties, "UserProperty", ()))
    return ""


def in_words(pairs: Sequence[tuple[str, str]]) -> str:
    """``name=value`` of each, as far as there is room."""
    return ", ".join(f"{name}={value}" for name, value in pairs[:MOST])
