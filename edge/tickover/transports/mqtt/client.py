"""A small synchronous MQTT client for the commands that people run: play, simulate, record, watch, doctor.

paho's network thread only hands over: received messages go into a bounded queue, and each acknowledgement makes room
in the window for another publish. The daemon's own client is `tickover.transports.mqtt.link.Link`.
"""

import queue
import ssl
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from tickover.errors import BrokerError
from tickover.transports.mqtt.connection import MAX_PACKET, Connection, session
from tickover.transports.mqtt.versions import AUTO, FIVE, UNSUPPORTED_VERSION, Failure, Versions

KEEPALIVE_S: Final = 30
CONNECT_LIMIT_S: Final = 10.0
GUESS_LIMIT_S: Final = 5.0
"""How long a broker may take to answer in MQTT 5 before 3.1.1 is tried."""
CLOSE_LIMIT_S: Final = 5.0
FLUSH_S: Final = 0.005
NO_TOPIC: Final = "tickover/none"
"""Nobody subscribes to it; every broker answers an UNSUBSCRIBE for it."""
IN_FLIGHT: Final = 100
"""Publishes that may be unacknowledged; `publish` waits before one more."""
WAITING: Final = 10_000
"""Received messages that may wait for the reader; the next ones are dropped and counted as ``overflow``, as are those
beyond …"""
WAITING_BYTES: Final = 256 << 20
"""… these bytes of payload."""
RECEIVE_MAXIMUM: Final = WAITING
"""QoS 1 messages that the broker may send unacknowledged; none is dropped while the reader acknowledges late."""
TAKEN_OVER: Final = 0x8E
"""Reason code: another client connected with this client id."""
SHORT_S, RIVALS = 5.0, 3
"""So many connections in a row, each shorter than this, are those of clients that cut each other off."""
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
    reconnected; ``refusal`` is the text of the last refusal. ``receive_maximum`` is what the broker may send
    unacknowledged, ``max_packet`` how long a packet may be (MQTT 5). ``rivalled``: another client seems to use this
    one's id: they cut each other off. ``where`` is the broker that accepted the connection, ``speaks`` the version of
    MQTT.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        client_id: str = "",
        session_s: int = 0,
        acknowledge: bool = True,
        receive_maximum: int = RECEIVE_MAXIMUM,
        max_packet: int = MAX_PACKET,
    ) -> None:
        if not connection.is_allowed:
            raise BrokerError(
                f"broker {connection.address}: expected TLS for a host that is not loopback (--ca FILE); "
                "--plaintext allows it without"
            )
        self.counts: Counter[str] = Counter()
        self.refusal = ""
        self.session_present = False
        self.rivalled = False
        self._up_at, self._short = 0.0, 0
        self.where = self._connection = connection
        self.speaks = FIVE
        self._client_id, self._receive_maximum, self._max_packet = client_id, receive_maximum, max_packet
        self._session_s = session_s
        self._forget = False
        self._filters: dict[str, int] = {}
        self._waiting: queue.Queue[Message] = queue.Queue(WAITING)
        self._waiting_bytes, self._counting = 0, threading.Lock()
        self._window = threading.Semaphore(IN_FLIGHT)
        self._answer: queue.Queue[ReasonCode | None] = queue.Queue()
        self._granted: queue.Queue[list[ReasonCode]] = queue.Queue()
        self._settled = threading.Event()
        self._manual = not acknowledge
        self._client = self._paho(connection, FIVE)

    def _paho(self, where: Connection, speaks: str, clean: bool | None = None) -> Client:
        five = speaks == FIVE
        client = Client(
            CallbackAPIVersion.VERSION2,
            self._client_id,
            clean_session=None if five else (clean if clean is not None else not self._session_s),
            protocol=MQTTv5 if five else MQTTv311,
            transport=where.transport,
            manual_ack=self._manual,
        )
        client.max_inflight_messages_set(IN_FLIGHT)
        client.reconnect_delay_set(1, LONGEST_BACK_OFF_S)
        where.introduce(client)
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
        """Connect and wait for the broker's answer; BrokerError says why there was none, or why it was a refusal.

        The brokers are tried in order, each with MQTT 5 first when the protocol is auto.
        """
        problems: list[BrokerError] = []
        for where in self._connection.each:
            try:
                self._connect_to(where)
            except BrokerError as error:
                problems.append(error)
            else:
                return
        if len(problems) == 1:
            raise problems[0]
        raise BrokerError("; ".join(map(str, problems)))

    def _connect_to(self, where: Connection) -> None:
        versions = Versions(where.protocol)
        first = self._attempt(where, versions)
        if first and versions.failed(first[0]):
            # A broker that hangs up on both versions was not asked for a version: the first answer says more.
            second = self._attempt(where, versions)
            first = second if second is None or second[0] is not Failure.SILENT else first
        if first:
            raise BrokerError(f"broker {where.address}: {first[1]}")

    def _attempt(self, where: Connection, versions: Versions) -> tuple[Failure, str] | None:
        """Connect once; what failed and why, or None."""
        self.where, self.speaks = where, versions.speaks
        self._answer = queue.Queue()
        self._client = client = self._paho(where, versions.speaks)
        try:
            self._start(client, where)
        except OSError as error:
            return Failure.OTHER, _explain(error)
        client.loop_start()
        limit = GUESS_LIMIT_S if (where.protocol, versions.speaks) == (AUTO, FIVE) else CONNECT_LIMIT_S
        try:
            answer = self._answer.get(timeout=limit)
        except queue.Empty:
            self._abandon(client)
            return Failure.SILENT, f"no answer in {limit:g} s; is it an MQTT port?"
        if answer is None:
            self._abandon(client)
            return Failure.SILENT, _refusal(None, where)
        if answer.is_failure:
            self._abandon(client)
            failure = Failure.UNSUPPORTED if answer.value == UNSUPPORTED_VERSION else Failure.OTHER
            return failure, _refusal(answer, where)
        return None

    def _start(self, client: Client, where: Connection) -> None:
        if self.speaks == FIVE:
            asked = session(self._session_s, self._receive_maximum, self._max_packet)
            client.connect(where.host, where.port, KEEPALIVE_S, clean_start=not self._session_s, properties=asked)
        else:
            client.connect(where.host, where.port, KEEPALIVE_S)

    def _abandon(self, client: Client) -> None:
        client.disconnect()
        client.loop_stop()

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
        self._client.disconnect(properties=properties if self.speaks == FIVE else None)
        self._client.loop_stop()
        if self._forget and self.speaks != FIVE:
            self._begin_anew()

    def _begin_anew(self) -> None:
        """In MQTT 3.1.1 a session ends by a clean one that takes its place."""
        self._answer = queue.Queue()
        self._client = client = self._paho(self.where, self.speaks, clean=True)
        with suppress(OSError, queue.Empty):
            client.connect(self.where.host, self.where.port, KEEPALIVE_S)
            client.loop_start()
            self._answer.get(timeout=CONNECT_LIMIT_S)
        self._abandon(client)

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
        self._subscribe(self._client, pattern, qos)
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

    def _subscribe(self, client: Client, pattern: str, qos: int) -> None:
        if self.speaks == FIVE:
            client.subscribe(pattern, options=SubscribeOptions(qos=qos))
        else:
            client.subscribe(pattern, qos)

    def receive(self, timeout_s: float) -> Message | None:
        """The next message, or None when none came in time."""
        try:
            message = self._waiting.get(timeout=timeout_s)
        except queue.Empty:
            return None
        with self._counting:
            self._waiting_bytes -= len(message.payload)
        return message

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
                self._subscribe(client, pattern, qos)
        self.counts["connected"] += not code.is_failure
        self._up_at = time.monotonic()

    def _on_disconnect(self, client: Client, data: Any, flags: Any, code: ReasonCode, properties: Any) -> None:
        if not self.counts["connected"]:
            self._answer.put(None)
        # Mosquitto 2.0 gives no reason: connections that end again and again soon after they began are the sign.
        self._short = self._short + 1 if time.monotonic() - self._up_at < SHORT_S else 0
        self.rivalled |= code.value == TAKEN_OVER or self._short >= RIVALS

    def _on_message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        self.counts["received"] += 1
        one = Message(message.topic, bytes(message.payload), message.retain, message.qos, message.mid)
        if self._waiting_bytes + len(one.payload) > WAITING_BYTES:
            self.counts["overflow"] += 1
            return
        try:
            self._waiting.put_nowait(one)
        except queue.Full:
            self.counts["overflow"] += 1
            return
        with self._counting:
            self._waiting_bytes += len(one.payload)

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
