"""Which version of MQTT to speak with a broker: 5 where it can, 3.1.1 where it cannot (``broker.protocol = "auto"``).

Brokers say in three ways that they do not speak MQTT 5: they answer that they do not know the version (aedes), they
hang up (RabbitMQ 3.10), or they answer nothing (amqtt 0.12). Only the first is certain: the others may also be a broker
that is being restarted, or a network that is going away. So after these 3.1.1 is tried at once, but 5 again on the next
connection, and never 3.1.1 with a broker that has accepted 5 in this run.
"""

from enum import Enum, auto
from typing import Final

FIVE: Final = "5"
THREE: Final = "3.1.1"
AUTO: Final = "auto"
UNSUPPORTED_VERSION: Final = 0x84
"""Reason code of a CONNACK; paho gives it also for MQTT 3.1.1's own answer, 1."""
WEAKER: Final = (
    "a publish that its ACL refuses counts as delivered, it may resend retained readings, and its own limits set how "
    'many readings are in flight and how long they are kept; set broker.protocol = "3.1.1" to connect so at once, or '
    "let the broker speak MQTT 5"
)
"""What MQTT 3.1.1 does not promise, and what to do."""


class Failure(Enum):
    """How an attempt to connect ended."""

    UNSUPPORTED = auto()
    """The broker does not know the version."""
    SILENT = auto()
    """It hung up after our CONNECT, or did not answer."""
    OTHER = auto()
    """It was not reached, or refused us for another reason."""


class Versions:
    """The version for the next attempt with one broker; ``wanted`` is ``broker.protocol``."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self.speaks = FIVE if wanted == AUTO else wanted
        self._certain = self._had_five = False

    @property
    def is_fallback(self) -> bool:
        """Whether 3.1.1 is spoken although the configuration would have 5."""
        return self._wanted == AUTO and self.speaks == THREE

    def failed(self, failure: Failure) -> bool:
        """An attempt failed; True when another version is to be tried at once."""
        if self._wanted != AUTO:
            return False
        if self.speaks == THREE:
            if not self._certain or failure is Failure.UNSUPPORTED:
                self.speaks, self._certain = FIVE, False
            return False
        self._certain = failure is Failure.UNSUPPORTED
        if self._certain or (failure is Failure.SILENT and not self._had_five):
            self.speaks = THREE
            return True
        return False

    def accepted(self) -> None:
        """The broker accepted the version."""
        self._had_five |= self.speaks == FIVE

    def ended(self) -> None:
        """A connection that was accepted has ended."""
        if self.is_fallback and not self._certain:
            self.speaks = FIVE
