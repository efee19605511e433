"""A small synchronous MQTT client for the commands that people run: play, simulate, record, watch, doctor.

paho's network thread only hands over: received messages go into a bounded queue, and each acknowledgement makes room
in the window for another publish. The daemon's own client is `tickover.transports.mqtt.link.Link`.
"""

import queue
import ssl
import threading
import time
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from tickover.errors import BrokerError
from tickover.transports.mqtt.connection import Connection, session

KEEPALIVE_S: Final = 30
CONNECT_LIMIT_S: Final = 10.0
CLOSE_LIMIT_S: Final = 5.0
FLUSH_S: Final = 0.005
NO_TOPIC: Final = "tickover/none"
"""Nobody subscribes to it; every broker answers an UNSUBSCRIBE for it."""
IN_FLIGHT: Final = 100
"""Publishes that may be unacknowledged; `publish` waits before one more."""
WAITING: Final = 10_000
"""Received messages that may wait for the reader; the next ones are dropped and counted as ``overflow``."""
RECEIVE_MAXIMUM: Final = WAITING
"""QoS 1 messages that the broker may send unacknowledged; none is dropped while the reader acknowledges late."""
UNHEARD: Final = 0x10
"""Reason code "no matching subscribers": accepted, but nobody receives it."""
LONGEST_BACK_OFF_S: Final = 30


@dataclass(frozen=True, slots=True)
class Message:
    """One received message; ``number`` and ``qos`` are for its acknowledgement."""

    topic: str
    payload: bytes
    retained: bool
    qos: int
    number: int


class MqttClient:
    """A connection from ``with`` to its end; reconnects by itself and renews its subscriptions.

    ``client_id`` empty: the broker names it and keeps no session. ``session_s`` > 0 keeps the session, and what the
    broker queues for it, for that long after the end. ``acknowledge`` False leaves it to the reader to call ``ack``.
    ``counts`` says what happened: published, unheard (accepted, nobody subscribes), refused, received, overflow,
    reconnected; ``refusal`` is the text of the last refusal.
    """

    def __init__(
        self, connection: Connection, *, client_id: str = "", session_s: int = 0, acknowledge: bool = True
    ) -> None:
        if not connection.is_allowed:
            raise BrokerError(
                f"broker {connection.address}: expected TLS for a host that is not loopback (--ca FILE); "
                "--plaintext allows it without"
            )
        self.counts: Counter[str] = Counter()
        self.refusal = ""
        self.session_present = False
        self._connection = connection
        self._session_s = session_s
        self._forget = False
        self._filters: dict[str, int] = {}
        self._waiting: queue.Queue[Message] = queue.Queue(WAITING)
        self._window = threading.Semaphore(IN_FLIGHT)
        self._answer: queue.Queue[ReasonCode | None] = queue.Queue()
        self._granted: queue.Queue[list[ReasonCode]] = queue.Queue()
        self._settled = threading.Event()
        self._manual = not acknowledge
        self._client = self._paho(client_id, manual_ack=self._manual)

    def _paho(self, client_id: str, *, manual_ack: bool) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5, manual_ack=manual_ack)
        client.max_inflight_messages_set(IN_FLIGHT)
        client.reconnect_delay_set(1, LONGEST_BACK_OFF_S)
        self._connection.introduce(client)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        return client

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._client.is_connected()

    def peer_certificate(self) -> bytes | None:
        """The broker's certificate (DER); None without TLS."""
        channel = self._client.socket()
        return channel.getpeercert(binary_form=True) if isinstance(channel, ssl.SSLSocket) else None

    def connect(self) -> None:
        """Connect and wait for the broker's answer; BrokerError says why there was none, or why it was a refusal."""
        where, asked = self._connection, session(self._session_s, RECEIVE_MAXIMUM)
        try:
            self._client.connect(where.host, where.port, KEEPALIVE_S, clean_start=not self._session_s, properties=asked)
        except OSError as error:
            raise BrokerError(f"broker {where.address}: {_explain(error)}") from error
        self._client.loop_start()
        try:
            answer = self._answer.get(timeout=CONNECT_LIMIT_S)
        except queue.Empty:
            self.close()
            raise BrokerError(
                f"broker {where.address}: no answer in {CONNECT_LIMIT_S:g} s; is it an MQTT port?"
            ) from None
        if answer is None or answer.is_failure:
            self.close()
            raise BrokerError(f"broker {where.address}: {_refusal(answer, where)}")

    def close(self) -> None:
        """Disconnect. What is not acknowledged stays with the broker when the session is kept."""
        if self._manual and self._client.is_connected():
            self._settle()
        deadline = time.monotonic() + CLOSE_LIMIT_S
        while self._client.is_connected() and self._client.want_write() and time.monotonic() < deadline:
            time.sleep(FLUSH_S)  # paho closes the socket without writing what waits, acknowledgements too
        properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
        if self._forget:
            properties.SessionExpiryInterval = 0
        self._client.disconnect(properties=properties)
        self._client.loop_stop()

    def _settle(self) -> None:
        """Wait, for a bounded time, until the broker has read every acknowledgement.

        A socket that is closed while messages still come is reset, and a reset makes the broker lose what it has not
        read yet. It answers in order: the answer to a last request shows that it has read all before.
        """
        self._settled.clear()
        self._client.unsubscribe(NO_TOPIC)
        self._settled.wait(CLOSE_LIMIT_S)

    def end_session(self) -> None:
        """Ask the broker to drop the session, and what it queues for it, at ``close``."""
        self._forget = True

    def subscribe(self, pattern: str, qos: int = 1) -> None:
        """Subscribe and wait for the grant; BrokerError when it is refused. Retained messages come as well."""
        self._filters[pattern] = qos
        self._client.subscribe(pattern, options=SubscribeOptions(qos=qos))
        try:
            codes = self._granted.get(timeout=CONNECT_LIMIT_S)
        except queue.Empty:
            raise BrokerError(
                f"broker {self._connection.address}: no answer to the subscription of {pattern}"
            ) from None
        if any(code.is_failure for code in codes):
            raise BrokerError(
                f"broker {self._connection.address}: may not subscribe to {pattern}: {codes[0]}; see the broker's ACL"
            )

    def receive(self, timeout_s: float) -> Message | None:
        """The next message, or None when none came in time."""
        try:
            return self._waiting.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def ack(self, message: Message) -> None:
        """Acknowledge the message to the broker; for ``acknowledge=False``."""
        self._client.ack(message.number, message.qos)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send with QoS 1; waits while ``IN_FLIGHT`` messages are unacknowledged (so also while the broker is away)."""
        self._window.acquire()
        self._client.publish(topic, payload, 1, retain)

    def drain(self, timeout_s: float) -> bool:
        """Wait until everything sent is acknowledged; False when it took too long."""
        deadline = time.monotonic() + timeout_s
        held = 0
        while held < IN_FLIGHT and self._window.acquire(timeout=max(0.0, deadline - time.monotonic())):
            held += 1
        for _ in range(held):
            self._window.release()
        return held == IN_FLIGHT

    # Callbacks, in paho's thread, which an exception would end: they only count and hand over.

    def _on_connect(self, client: Client, data: Any, flags: Any, code: ReasonCode, properties: Any) -> None:
        self._answer.put(code)
        self.session_present = flags.session_present
        if self.counts["connected"]:
            self.counts["reconnected"] += 1
            for pattern, qos in list(self._filters.items()):
                client.subscribe(pattern, options=SubscribeOptions(qos=qos))
        self.counts["connected"] += not code.is_failure

    def _on_disconnect(self, client: Client, data: Any, flags: Any, code: ReasonCode, properties: Any) -> None:
        if not self.counts["connected"]:
            self._answer.put(None)

    def _on_message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        self.counts["received"] += 1
        one = Message(message.topic, bytes(message.payload), message.retain, message.qos, message.mid)
        try:
            self._waiting.put_nowait(one)
        except queue.Full:
            self.counts["overflow"] += 1

    def _on_publish(self, client: Client, data: Any, number: int, code: ReasonCode, properties: Any) -> None:
        if code.is_failure:
            self.counts["refused"] += 1
            self.refusal = str(code)
        else:
            self.counts["published"] += 1
            self.counts["unheard"] += code.value == UNHEARD
        self._window.release()

    def _on_unsubscribe(self, client: Client, data: Any, number: int, codes: list[ReasonCode], properties: Any) -> None:
        self._settled.set()

    def _on_subscribe(self, client: Client, data: Any, number: int, codes: list[ReasonCode], properties: Any) -> None:
        self._granted.put(codes)


def _refusal(answer: ReasonCode | None, where: Connection) -> str:
    """Why there is no connection; ``answer`` None: the broker closed it instead of answering."""
    if answer is not None:
        return f"the broker refused the connection: {answer}"
    if where.tls and where.certificate is None:
        return "the broker hung up; does it want a client certificate (--cert, --key)?"
    return "the broker hung up; is it an MQTT port, and does it want TLS (--ca)?"


def _explain(error: OSError) -> str:
    """The usual causes in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}; check --ca and the host's name"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}; does this port speak TLS, and does it want a client certificate?"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there; is the broker running?"
    return f"cannot be reached: {error.strerror or error}"
