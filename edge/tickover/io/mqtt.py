"""The door to the broker; the only paho import.

One thread owns the paho client and its socket, by paho's interface for external loops. The caller hands it commands
and takes events; paho's callbacks only hand over. Each connection gets a new client object with the same client
id: the session lives at the broker (clean start off, with an expiry) and the backlog in the caller's outbox, so paho
has nothing to remember, to repeat or to reorder.
"""

import random
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tickover.config import Broker
from tickover.errors import ConfigError
from tickover.formats.mqtt_packets import Publish, pubacks, whole_publishes

QOS: Final = 1
MAX_PACKET: Final = 65_536
READ_BYTES: Final = 65_536
QUEUE_LIMIT: Final = 20_000
"""Events that may wait for the caller; beyond, the thread stops reading and TCP holds the broker back."""
COMPANY: Final = 100
"""So many events are company enough."""
CONNECT_S: Final = 10.0
"""How long connecting, and then the broker's greeting, may take."""
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 15.0
"""Between attempts to connect: doubling from the first, with jitter."""
TAKEN_OVER: Final = 0x8E
"""MQTT 5 reason code: another client connected with this client id."""
FAILURE: Final = 0x80
"""Reason codes from here on say no."""


class Incoming(NamedTuple):
    """A message of the broker; ``arrival`` in microseconds; acknowledge it with `Link.acknowledge`.

    ``again``: the broker sent it before and has no acknowledgement.
    """

    connection: int
    mid: int
    qos: int
    topic: str
    payload: bytes
    arrival: int
    again: bool = False


class Connected(NamedTuple):
    """The broker said yes; ``resumed``: it kept our session."""

    resumed: bool


class Disconnected(NamedTuple):
    """The connection is gone, or could not be made; nothing that was in flight is known to have arrived."""

    reason: str
    taken_over: bool


class Published(NamedTuple):
    """What became of one publish: ``refused`` is the broker's reason, or empty when it has the message."""

    token: object
    refused: str


class Subscribed(NamedTuple):
    """The filters that the broker refused; empty when all went well."""

    refused: tuple[str, ...]


Event = Incoming | Connected | Disconnected | Published | Subscribed


@dataclass(frozen=True)
class Will:
    """What the broker publishes, retained, when this client vanishes."""

    topic: str
    payload: bytes


class Link:
    """A connection that is kept up. All methods may be called from one other thread.

    Retained messages are old news and never handed over, except those of the topics ``retained``.
    """

    def __init__(
        self, broker: Broker, filters: Iterable[str], will: Will | None = None, retained: Iterable[str] = ()
    ) -> None:
        self.beat = time.monotonic()
        """When the thread last went round its loop (monotonic seconds)."""
        self.heard = self.beat
        """When the broker was last heard, by a message or by its answer to a ping (monotonic seconds)."""
        self._broker, self._will = broker, will
        self._retained = frozenset(retained)
        self._filters = [*filters, *self._retained]
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._commands: deque[Callable[[_Client], None]] = deque()
        self._tokens: dict[int, object] = {}
        self._connection = 0
        self._up = False
        self._lost: Disconnected | None = None
        self._stopping = threading.Event()
        self._awake, self._alarm = socket.socketpair()
        self._awake.setblocking(False)
        self._alarm.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Say goodbye (the will is not published) and end the thread."""
        self._stopping.set()
        self._wake()
        self._thread.join(timeout)

    def receive(self, timeout: float, limit: int, gather: float = 0.0) -> list[Event]:
        """What happened, in order; waits up to ``timeout`` seconds for the first, and ``gather`` more for company."""
        events: list[Event] = []
        with suppress(Empty):
            events.append(self._events.get(timeout=timeout) if timeout > 0 else self._events.get_nowait())
            if gather and self._events.qsize() < COMPANY:
                time.sleep(gather)
            while len(events) < limit:
                events.append(self._events.get_nowait())
        return events

    def acknowledge(self, messages: Iterable[Incoming]) -> None:
        """Tell the broker, in order, that these are safe; those of an earlier connection are left to come again."""
        mids = [(message.connection, message.mid) for message in messages if message.qos]
        if mids:
            self._command(lambda client: self._acknowledge(client, mids))

    def publish(self, token: object, topic: str, payload: bytes, retain: bool = False, qos: int = QOS) -> None:
        """Publish; a `Published` with the token follows, or a `Disconnected` (nothing when the token is None)."""
        self._command(lambda client: self._publish(client, token, topic, payload, retain, qos))

    def back_off(self, reason: str) -> None:
        """Leave, and stay away for the time that another client with our id is given."""

        def leave(client: _Client) -> None:
            self._lost = Disconnected(reason, True)
            client.disconnect()
            client.loop_write()

        self._command(leave)

    # The thread

    def _run(self) -> None:
        wait = FIRST_WAIT_S
        while not self._stopping.is_set():
            self.beat = time.monotonic()
            if self._connect_and_serve():
                wait = FIRST_WAIT_S
            lost = self._lost or Disconnected("stopped", False)
            self._events.put(lost)
            pause = self._broker.taken_over_wait_s if lost.taken_over else wait * random.uniform(0.8, 1.2)
            self._pause(pause)
            wait = min(wait * 2, LONGEST_WAIT_S)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._stopping.is_set() and time.monotonic() < end:
            self.beat = time.monotonic()
            self._stopping.wait(min(1.0, max(0.0, end - time.monotonic())))

    def _connect_and_serve(self) -> bool:
        """One connection from beginning to end; True when the broker had accepted it."""
        self._connection += 1
        self._tokens.clear()
        self._commands.clear()
        self._up, self._lost = False, None
        was_up = False
        try:
            client = _new_client(self._broker, self._will, self)
            _connect(client, self._broker)
            client.send_at_once()
            was_up = self._serve(client)
        except (OSError, ValueError, ConfigError) as error:
            self._lost = self._lost or Disconnected(f"{type(error).__name__}: {error}", False)
        self._up = False
        return was_up

    def _serve(self, client: "_Client") -> bool:
        give_up = time.monotonic() + CONNECT_S
        was_up = False
        while self._lost is None and (sock := client.socket()) is not None:
            self.beat = now = time.monotonic()
            was_up = was_up or self._up
            if self._stopping.is_set():
                client.disconnect()
                client.loop_write()
                break
            if not was_up and now > give_up:
                raise TimeoutError("the broker did not answer")
            self._turn(client, sock)
        client.close_socket()
        return was_up

    def _turn(self, client: "_Client", sock: Any) -> None:
        """Wait for the socket or a command; read, obey, write."""
        hungry = self._events.qsize() < QUEUE_LIMIT
        poll = select.poll()
        poll.register(self._awake, select.POLLIN)
        poll.register(sock, (select.POLLIN if hungry else 0) | (select.POLLOUT if client.want_write() else 0))
        ready = {number for number, _ in poll.poll((0 if client.buffered() else 1000) if hungry else 10)}
        if self._awake.fileno() in ready:
            self._obey(client)
        if hungry and (sock.fileno() in ready or client.buffered()):
            self._read(client)
            self.heard = max(self.heard, client.heard)
        while client.want_write() and self._lost is None:
            before = client.waiting()
            client.loop_write()
            if client.waiting() >= before:
                break
        client.loop_misc()

    def _read(self, client: "_Client") -> None:
        """A packet by paho, which fills the buffer when it is empty, and all publishes that lie whole behind it."""
        client.loop_read()
        if self._lost is None:
            self._hand_over(client, client.whole_publishes())

    def _obey(self, client: "_Client") -> None:
        try:
            self._awake.recv(4096)
        except BlockingIOError:
            return
        while self._commands and self._up:
            self._commands.popleft()(client)

    def _command(self, command: "Callable[[_Client], None]") -> None:
        self._commands.append(command)
        self._wake()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # a full pipe is reason enough to wake up
            self._alarm.send(b"!")

    def _acknowledge(self, client: "_Client", mids: list[tuple[int, int]]) -> None:
        ours = [mid for connection, mid in mids if connection == self._connection]
        if ours:
            client.acknowledge(ours)

    def _publish(self, client: "_Client", token: object, topic: str, payload: bytes, retain: bool, qos: int) -> None:
        info = client.publish(topic, payload, qos, retain)
        if info.rc == paho.MQTT_ERR_SUCCESS:
            self._tokens[info.mid] = token
        else:
            self._events.put(Published(token, paho.error_string(info.rc)))

    # paho's callbacks: they only hand over

    def _on_connect(self, client: Any, _: Any, flags: Any, code: Any, __: Any) -> None:
        if code.value >= FAILURE or code.is_failure:
            self._lost = Disconnected(f"the broker refused the connection: {code}", False)
            return
        self._up = True
        self._events.put(Connected(bool(flags.session_present)))
        if self._filters:
            client.subscribe([_subscription(self._broker, topic, topic in self._retained) for topic in self._filters])

    def _on_subscribe(self, _: Any, __: Any, ___: int, codes: list[Any], ____: Any) -> None:
        pairs = zip(self._filters, codes, strict=False)
        self._events.put(Subscribed(tuple(topic for topic, code in pairs if code.value >= FAILURE)))

    def _on_disconnect(self, _: Any, __: Any, ___: Any, code: Any, ____: Any) -> None:
        self._lost = self._lost or Disconnected(str(code), code.value == TAKEN_OVER)

    def _on_publish(self, _: Any, __: Any, mid: int, code: Any, ___: Any) -> None:
        token = self._tokens.pop(mid, None)
        if token is not None:
            self._events.put(Published(token, str(code) if code.value >= FAILURE else ""))

    def _on_message(self, client: Any, _: Any, message: Any) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = None
        if topic is None:
            client.ack(message.mid, QOS)
        elif message.qos == QOS:
            publish = Publish(message.mid, topic, bytes(message.payload), message.dup, message.retain)
            self._hand_over(client, [publish])
        elif not message.retain or topic in self._retained:
            self._events.put(Incoming(self._connection, 0, 0, topic, bytes(message.payload), time.time_ns() // 1000))

    def _hand_over(self, client: "_Client", publishes: list[Publish]) -> None:
        connection, arrival = self._connection, time.time_ns() // 1000
        for mid, topic, payload, again, retain in publishes:
            if retain and topic not in self._retained:
                client.acknowledge([mid])
            else:
                self._events.put(Incoming(connection, mid, QOS, topic, payload, arrival, again))


class _Client(paho.Client):
    """paho's client, reading 64 KiB at a time (paho itself reads byte by byte) and acknowledging many at once."""

    _buffer: bytes = b""
    _at: int = 0
    heard: float = 0.0
    """When bytes last came (monotonic seconds)."""

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._at >= len(self._buffer):
            self._buffer, self._at = super()._sock_recv(READ_BYTES), 0
            if self._buffer:
                self.heard = time.monotonic()
        head = self._buffer[self._at : self._at + bufsize]
        self._at += len(head)
        return head

    def whole_publishes(self) -> list[Publish]:
        """What lies complete in the buffer, unless paho is in the middle of a packet."""
        if self._in_packet["command"]:
            return []
        publishes, self._at = whole_publishes(self._buffer, self._at, self._protocol == paho.MQTTv5)
        return publishes

    def acknowledge(self, mids: list[int]) -> None:
        """Acknowledge in order, as one write."""
        self._packet_queue(paho.PUBACK, pubacks(mids), mids[-1], QOS)

    def send_at_once(self) -> None:
        """Without this a second small packet waits for the peer's delayed acknowledgement of the first: 40 ms."""
        sock = self.socket()
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def buffered(self) -> bool:
        """True when bytes wait that ``poll`` cannot see."""
        sock = self.socket()
        return self._at < len(self._buffer) or (isinstance(sock, ssl.SSLSocket) and sock.pending() > 0)

    def waiting(self) -> int:
        """Packets not written yet."""
        return len(self._out_packet)

    def close_socket(self) -> None:
        """Close without a word, if it is still open."""
        sock = self.socket()
        if sock is not None:
            sock.close()


def _new_client(broker: Broker, will: Will | None, link: Link) -> _Client:
    five = broker.protocol == "5"
    client = _Client(
        CallbackAPIVersion.VERSION2,
        client_id=broker.client_id,
        clean_session=None if five else False,
        protocol=paho.MQTTv5 if five else paho.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.connect_timeout = CONNECT_S
    client.max_inflight_messages_set(0)
    username, password = broker.credentials_of()
    if username:
        client.username_pw_set(username, password)
    if broker.tls:
        client.tls_set_context(_tls(broker))
    if will:
        client.will_set(will.topic, will.payload, QOS, retain=True)
    client.on_connect, client.on_disconnect = link._on_connect, link._on_disconnect
    client.on_message, client.on_publish = link._on_message, link._on_publish
    client.on_subscribe = link._on_subscribe
    client.on_socket_register_write = _nothing  # tells paho to leave writing to our loop
    return client


def _nothing(*_: object) -> None:
    pass


def check_files(broker: Broker) -> None:
    """Read credentials and certificates as connecting will; ConfigError names what cannot be used."""
    broker.credentials_of()
    if broker.tls is None:
        return
    try:
        _tls(broker)
    except OSError as error:
        named = ", ".join(path for path in msgspec.structs.astuple(broker.tls) if path)
        raise ConfigError(f"broker.tls: expected PEM files that can be read, got {named}: {error}") from error


def _tls(broker: Broker) -> ssl.SSLContext:
    assert broker.tls
    context = ssl.create_default_context(cafile=broker.tls.ca)
    if broker.tls.certificate:
        context.load_cert_chain(broker.tls.certificate, broker.tls.key)
    return context


def _connect(client: _Client, broker: Broker) -> None:
    if broker.protocol != "5":
        client.connect(broker.host, broker.port, keepalive=broker.keepalive_s)
        return
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = broker.session_expiry_s
    properties.ReceiveMaximum = broker.receive_maximum
    properties.MaximumPacketSize = MAX_PACKET
    client.connect(broker.host, broker.port, broker.keepalive_s, clean_start=False, properties=properties)


def _subscription(broker: Broker, topic: str, retained: bool) -> Any:
    if broker.protocol != "5":
        return (topic, QOS)
    handling = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE if retained else SubscribeOptions.RETAIN_DO_NOT_SEND
    return (topic, SubscribeOptions(qos=QOS, retainHandling=handling))
