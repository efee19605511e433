"""How much the broker keeps for a daemon that is away, and how much it sends before the first acknowledgement.

Tried with the daemon's own client (`tickover.transports.mqtt.link.Link`), protocol and receive maximum, under another
client id.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from tickover.daemon.committer import IDLE_LEAST
from tickover.daemon.config import Config
from tickover.doctor import Check, fail, identity, ok, warn
from tickover.errors import BrokerError
from tickover.transports.base import Connected, Received, Session, Subscribed
from tickover.transports.mqtt.client import MqttClient
from tickover.transports.mqtt.connection import configured
from tickover.transports.mqtt.link import Link
from tickover.transports.mqtt.settings import Broker
from tickover.transports.mqtt.versions import FIVE

QUEUED: Final = 2_000
"""Messages queued for a session that is away: twice Mosquitto's default bound."""
SESSION_S: Final = 120
OPEN_S: Final = 10.0
"""How long the connection and its subscription may take."""
SENT_S: Final = 5.0
NEXT_S: Final = 3.0
"""How long to wait for the next queued message."""
WINDOW_WANTED: Final = 100
"""A daemon that lags behind waits ``state.idle_s`` (50 ms) for each window smaller than half its receive maximum. With
so many in flight it takes 1,900 messages a second (measured): 1,000 vehicles at 1 Hz, and as much again to catch up."""
FORGETS: Final = (
    "use a broker that keeps sessions, or let it (Mosquitto: persistence true); here, readings are lost while the "
    "daemon is away"
)
RAISE: Final = "raise the broker's limit of messages in flight (Mosquitto: max_inflight_messages 1000)"


def examine(config: Config) -> Iterator[Check]:
    """Queue messages for a session of our own that is away, come back, and count."""
    topic = f"{config.out.base}/v1/{config.node}/doctor/queue"
    name = f"{config.broker.client_id}-doctor-queue"
    broker = msgspec.structs.replace(config.broker, client_id=name, session_expiry_s=SESSION_S)
    _end_session(broker)
    try:
        with _link(broker, topic) as away:
            _opened(away)
        _send(broker, topic)
        with _link(broker, topic) as back:
            window, kept, resumed = _count(back)
    finally:
        _end_session(broker)
    yield _queue(kept, resumed)
    if kept:
        yield _window(window, kept, config)


def _end_session(broker: Broker) -> None:
    """A clean start ends the session before it, whatever its protocol was, and leaves none.

    With a broker that names its clients itself this is doctor's own (`identity.is_taken` was asked before).
    """
    with MqttClient(configured(broker), client_id=broker.client_id):
        pass


@contextmanager
def _link(broker: Broker, topic: str) -> Iterator[Link]:
    link = Link(broker)
    link.start(Session((topic,)))
    try:
        yield link
    finally:
        link.stop(OPEN_S)


def _opened(link: Link) -> tuple[list[Received], bool]:
    """What is received until the subscription is in force, and whether the broker says that it kept the session;
    BrokerError when the subscription is refused or not answered."""
    received: list[Received] = []
    resumed = False
    deadline = time.monotonic() + OPEN_S
    while (left := deadline - time.monotonic()) > 0:
        events = link.receive(left, QUEUED)
        received += [event for event in events if isinstance(event, Received)]
        resumed |= any(isinstance(event, Connected) and event.resumed for event in events)
        answers = [event for event in events if isinstance(event, Subscribed)]
        if answers and not answers[0].refused:
            return received, resumed
    raise BrokerError(f"expected the broker to grant a subscription of the daemon's kind, got none within {OPEN_S:g} s")


def _send(broker: Broker, topic: str) -> None:
    """Queue messages for the session that is away.

    A broker that names its clients itself takes the sender for it. Then the sender has the session, takes one message
    and acknowledges none: the others queue up behind as for one that is away.
    """
    connection, one = configured(broker), identity.has_session(configured(broker), SESSION_S)
    name, kept = (broker.client_id, SESSION_S) if one else (f"{broker.client_id}-sender", 0)
    with MqttClient(connection, client_id=name, session_s=kept, acknowledge=not one, receive_maximum=1) as sender:
        for number in range(QUEUED):
            sender.publish(topic, str(number).encode())
        sender.drain(SENT_S)


def _count(link: Link) -> tuple[int, int, bool]:
    """How many messages come before the first acknowledgement, and how many in all; whether the session was resumed."""
    first, resumed = _opened(link)
    while len(first) < QUEUED and (events := link.receive(NEXT_S, QUEUED)):
        first += [event for event in events if isinstance(event, Received)]
    kept = {message.payload for message in first}
    link.acknowledge(message.token for message in first)
    while len(kept) < QUEUED and (events := link.receive(NEXT_S, QUEUED)):
        more = [event for event in events if isinstance(event, Received)]
        kept |= {message.payload for message in more}
        link.acknowledge(message.token for message in more)
    return len(first), len(kept), resumed


def _queue(kept: int, resumed: bool) -> Check:
    if not kept:
        seen = "it says that it resumed the session, and" if resumed else "for a session that was away"
        return fail("queue", f"the broker kept nothing: {seen} forgot its messages", FORGETS)
    if kept < QUEUED:
        fix = "raise max_queued_messages in the broker's configuration (deploy/mosquitto/mosquitto.conf)"
        return fail("queue", f"kept {kept:,} of {QUEUED:,} messages for a session that was away", fix)
    return ok("queue", f"kept all of {QUEUED:,} messages for a session that was away")


def _window(window: int, kept: int, config: Config) -> Check:
    """Whether the broker sends enough for the daemon to commit at once (`Committer.due`)."""
    seen = f"{window:,} messages in flight before the first acknowledgement"
    enough = config.broker.receive_maximum // 2
    fix = RAISE if config.broker.protocol == FIVE else f"{RAISE}, or let it speak MQTT 5"
    if window >= min(kept, enough, WINDOW_WANTED):
        return ok("window", seen)
    if window < IDLE_LEAST:
        rate = window / config.state.commit_s
        return fail("window", f"{seen}: the daemon acknowledges so few every state.commit_s, {rate:.1f}/s", fix)
    return warn("window", f"{seen}: no more than {window / config.state.idle_s:,.0f}/s", fix)
