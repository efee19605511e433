"""Who is online under our name: asked by a connection of its own, for the moments in which we have none.

What a broker has queued for us comes before its answers, and a connection that another client of our name cuts may end
before any of them. A session that has just begun has nothing queued.
"""

import secrets
import time

from msgspec.structs import replace

from tickover.errors import BrokerError
from tickover.transports.base import Double
from tickover.transports.mqtt.client import MqttClient
from tickover.transports.mqtt.connection import Connection
from tickover.transports.mqtt.settings import Broker
from tickover.transports.mqtt.versions import FIVE

ANSWER_S = 1.0
"""How long the broker may take to hand over a retained message; there may be none."""


def is_double_online(broker: Broker, where: Connection, double: Double) -> bool | None:
    """Whether another client is online, by the word of the broker ``where``; it is then told that we leave. None: the
    broker does not say."""
    try:
        # A broker that binds client ids to certificates gives this connection our own session: nothing of that is
        # acknowledged, and the session stays. Any other broker begins one, which ends with the connection.
        with MqttClient(
            replace(where, protocol=FIVE, fallback=()),
            client_id=f"{broker.client_id}-{secrets.token_hex(3)}",
            session_s=broker.session_expiry_s,
            acknowledge=False,
        ) as client:
            if not client.session_present:
                client.end_session()
            client.subscribe(double.topic, qos=0)
            is_online = _is_online(client, double)
            if is_online:
                client.publish(double.topic, double.farewell)
                client.drain(ANSWER_S)
            return is_online
    except BrokerError:
        return None


def _is_online(client: MqttClient, double: Double) -> bool:
    """What the retained message says, or the first that comes; False when none does."""
    end = time.monotonic() + ANSWER_S
    while (left := end - time.monotonic()) > 0 and (message := client.receive(left)) is not None:
        if message.topic == double.topic:
            return double.is_other(message.payload)
    return False
