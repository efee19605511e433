"""Who is online under our name: asked by a connection of its own, for the moments in which we have none.

What a broker has queued for us comes before its answers, and a connection that another client of our name cuts may end
before any of them. A session that has just begun has nothing queued.
"""

import secrets
import time
from enum import Enum, auto
from typing import Final

from msgspec.structs import replace

from tickover.errors import BrokerError
from tickover.transports.base import Double
from tickover.transports.mqtt.client import MqttClient
from tickover.transports.mqtt.connection import Connection
from tickover.transports.mqtt.settings import Broker
from tickover.transports.mqtt.versions import FIVE

ANSWER_S: Final = 1.0
"""How long the broker may take to hand over a retained message; there may be none."""


class Answer(Enum):
    """What a broker says."""

    ALONE = auto()
    OTHER = auto()
    """Another client is online; it is told that we leave."""
    NONE = auto()
    """It was not reached, or refuses the question."""
    BOUND = auto()
    """It binds client ids to users, and gave the question our own session: it can only be asked by connecting."""


def ask(broker: Broker, where: Connection, double: Double) -> Answer:
    """Who is online under our name, by the word of the broker ``where``."""
    try:
        # In our own session nothing is acknowledged, and it stays. Any other broker begins one, which ends here.
        with MqttClient(
            replace(where, protocol=FIVE, fallback=()),
            client_id=f"{broker.client_id}-{secrets.token_hex(3)}",
            session_s=broker.session_expiry_s,
            acknowledge=False,
        ) as client:
            return Answer.BOUND if client.session_present else _ask(client, double)
    except BrokerError:
        return Answer.NONE


def _ask(client: MqttClient, double: Double) -> Answer:
    client.end_session()
    client.subscribe(double.topic, qos=0)
    if not _is_online(client, double):
        return Answer.ALONE
    client.publish(double.topic, double.farewell)
    client.drain(ANSWER_S)
    return Answer.OTHER


def _is_online(client: MqttClient, double: Double) -> bool:
    """What the retained message says, or the first that comes; False when none does."""
    end = time.monotonic() + ANSWER_S
    while (left := end - time.monotonic()) > 0 and (message := client.receive(left)) is not None:
        if message.topic == double.topic:
            return double.is_other(message.payload)
    return False
