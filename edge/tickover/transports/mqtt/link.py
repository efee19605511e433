"""The daemon's connection to its broker: source and sink at once (`tickover.transports.base`).

One thread owns the paho client and its socket, by paho's interface for external loops. The caller hands it commands
and takes events; paho's callbacks only hand over. Each connection gets a new client object with the same client
id: the broker keeps the session (no clean start, with an expiry) and the caller's outbox the backlog, so paho
has nothing to remember, to repeat or to reorder.
"""

import math
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from tickover.host.clock import now_us
from tickover.transports.backoff import Waits, attempt_s
from tickover.transports.base import (
    About,
    Connected,
    Disconnected,
    Event,
    Published,
    Received,
    Session,
    Subscribed,
    Will,
)
from tickover.transports.mqtt.address import written
from tickover.transports.mqtt.connection import Connection, configured, session
from tickover.transports.mqtt.dedup import Delivery, PacketIds
from tickover.transports.mqtt.fast_client import QOS, FastClient
from tickover.transports.mqtt.handover import Handover
from tickover.transports.mqtt.lookup import Lookup
from tickover.transports.mqtt.ordered_acks import Receipts
from tickover.transports.mqtt.packets import Publish
from tickover.transports.mqtt.sender import sender_of
from tickover.transports.mqtt.settings import Broker
from tickover.transports.mqtt.versions import FIVE, UNSUPPORTED_VERSION, WEAKER, Failure, Versions
from tickover.transports.mqtt.window import SLOW_S, Window

FULL_S: Final = 0.01
"""How long the thread leaves the socket alone while the queue is full."""
SOON_S: Final = 10.0
"""A connection that ended sooner may have been cut by another client of our name: before the next, the broker is asked.
"""
OTHER: Final = "another daemon with this client ID is connected"
MANY: Final = 200
"""Messages that lie in the socket at once are not few any more: none is waited for."""
PART: Final = 8
"""Nor is so much of what may be unacknowledged: a broker that may send no more waits for us."""
TURN_S: Final = 1.0
"""The thread goes round at least this often."""
TAKEN_OVER: Final = 0x8E
"""MQTT 5 reason code: another client connected with this client id."""
FAILURE: Final = 0x80
"""Reason codes from here on are refusals."""
LONGEST_TOPIC: Final = 1024
"""Characters of a topic that a filter of ours can name; one that is longer is handed over cut, and fits none."""
HEAD_BYTES: Final = 7
"""Of a PUBLISH, about: its type, three lengths, its packet identifier."""


class Link:
    """A connection that is kept up. All methods may be called from one other thread.

    Retained messages are news of before and left out, but for the topics ``Session.retained``. Those, and
    ``Session.early``, are subscribed to at QoS 0, which a broker sends at once and does not queue: at QoS 1 they would
    stand behind its whole backlog. Of a message that two subscriptions name, Mosquitto sends a copy for each; a broker
    that sends one sends it at QoS 1, in its turn.
    """

    def __init__(self, broker: Broker) -> None:
        self.about = About(
            written(broker.host, broker.port), broker.client_id, broker.taken_over_wait_s, broker.receive_maximum
        )
        self.deduplication = PacketIds()
        self.beat = self.heard = time.monotonic()
        self._broker, self._session = broker, Session(())
        self._filters: tuple[str, ...] = ()
        self._events = Handover()
        self._commands: deque[Callable[[FastClient], None]] = deque()
        self._tokens: dict[int, object] = {}
        self._receipts = Receipts()
        self._waits = Waits(broker.keepalive_s)
        self._versions = [Versions(broker.protocol) for _ in (broker.host, *broker.fallback)]
        self._place = 0
        self._failure = Failure.OTHER
        self._window = Window(broker.receive_maximum)
        self._few = min(MANY, broker.receive_maximum // PART)
        self._gather = self._rests_until = 0.0
        self._client: FastClient | None = None
        self._handed = self._passed = self._unwritten = 0
        self._subscribed_at: float | None = None
        self._connection = 0
        self._alone = self._is_bound = False
        self._up_since: float | None = None
        self._lost: Disconnected | None = None
        self._stopping = threading.Event()
        # The thread waits in poll(), which a command cannot interrupt: a byte through this pair of sockets does.
        self._lookup = Lookup(self._is_alive)
        self._awake, self._alarm = socket.socketpair()
        self._awake.setblocking(False)
        self._alarm.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    @property
    def will(self) -> Will | None:
        """What the broker publishes when the connection ends without a goodbye."""
        return self._session.will

    def start(self, session: Session) -> None:
        """Begin to connect; returns at once."""
        self._session = session
        self._filters = (*session.filters, *session.retained, *session.early)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Say goodbye (the will is not published) and end the thread."""
        self._stopping.set()
        self._wake()
        self._thread.join(timeout)

    def receive(self, timeout: float, limit: int, gather: float = 0.0) -> list[Event]:
        """What happened, in order; waits up to ``timeout`` seconds for the first.

        From now on few messages lie in the socket for ``gather`` seconds before they are read, so that others join
        them: one wake-up of the thread, and one of the caller, for all of them.
        """
        self._gather = gather
        return self._events.take(timeout, limit)

    def acknowledge(self, tokens: Iterable[object]) -> None:
        """Send PUBACK for these, in order of arrival: each when all that came before it are given (`Receipts`).

        Messages of an earlier connection are left out: the broker repeats them.
        """
        deliveries = [token for token in cast(Iterable[Delivery], tokens) if token.qos]
        if deliveries:
            self._command(lambda client: self._acknowledge(client, deliveries))

    def publish(self, token: object, topic: str, payload: bytes, retain: bool = False) -> None:
        """Publish at QoS 1; a `Published` with the token follows, or a `Disconnected`."""
        self._handed += _size(topic, payload)
        self._command(lambda client: self._publish(client, token, topic, payload, retain, QOS))

    def send(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Publish at QoS 0: without an answer."""
        self._handed += _size(topic, payload)
        self._command(lambda client: self._publish(client, None, topic, payload, retain, 0))

    @property
    def waiting(self) -> int:
        """Bytes that were handed over and have not left this machine: commands, packets, the socket's own buffer."""
        client = self._client
        commands = max(0, self._handed - self._passed)
        return commands + self._unwritten + client.in_socket() if client else commands

    def back_off(self, reason: str) -> None:
        """Disconnect and stay away for ``broker.taken_over_wait_s``, since another client has our client id."""

        def leave(client: FastClient) -> None:
            self._lost = Disconnected(reason, True)
            client.disconnect()
            client.loop_write()

        self._command(leave)

    # The thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            lasted = self._connect_and_serve()
            if self._tries_other_version(lasted):
                continue
            lost = self._lost or Disconnected("stopped", False)
            self._events.put(Disconnected(lost.reason, lost.taken_over, self._address))
            wait = self._waits.after(lasted)
            # While other brokers are left they are tried at once. A connection that was accepted begins with the first.
            self._place = 0 if lasted else (self._place + 1) % len(self._versions)
            wait = wait if self._place == 0 else 0.0
            self._pause(self._broker.taken_over_wait_s if lost.taken_over else wait)
            self._alone = False
            if 0 < lasted < SOON_S and not lost.taken_over:
                self._ask()

    def _ask(self) -> None:
        """Stay away when another client has our name."""
        double, where = self._session.double, configured(self._broker).each[self._place]
        if double is None or self._is_bound or self._stopping.is_set() or self._versions[self._place].speaks != FIVE:
            return
        from tickover.transports.mqtt.asking import Answer, ask  # seldom: a client of another kind

        self.beat = time.monotonic()
        answer = ask(self._broker, where, double)
        self._alone, self._is_bound = answer is Answer.ALONE, answer is Answer.BOUND
        if answer is Answer.OTHER:
            self._events.put(Disconnected(OTHER, True, self._address))
            self._pause(self._broker.taken_over_wait_s)

    @property
    def _address(self) -> str:
        """Of the broker that is connected, or tried."""
        return written(*self._broker.addresses[self._place])

    def _tries_other_version(self, lasted: float) -> bool:
        """Whether the broker does not speak the version that it was asked with, and is to be asked with the other."""
        versions = self._versions[self._place]
        if lasted:
            versions.ended()
            return False
        return not self._stopping.is_set() and versions.failed(self._failure)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._stopping.is_set() and time.monotonic() < end:
            self.beat = time.monotonic()
            self._stopping.wait(min(TURN_S, max(0.0, end - time.monotonic())))

    def _connect_and_serve(self) -> float:
        """One connection from beginning to end; how many seconds the broker had accepted it for."""
        self._connection += 1
        # What was given for the connection before is not carried over: the outbox publishes its messages again, and the
        # broker sends again what it has no acknowledgement of.
        self._tokens.clear()
        self._commands.clear()
        self._receipts = Receipts()
        self._lost, self._up_since, self._subscribed_at = None, None, None
        self._passed, self._unwritten, self._failure = self._handed, 0, Failure.OTHER
        self.beat = time.monotonic()
        try:
            where = configured(self._broker).each[self._place]
            speaks = self._versions[self._place].speaks
            limit = attempt_s(self._broker.keepalive_s)
            places = self._lookup.find(where.host, where.port, limit)
            began = time.monotonic()  # what the name server takes comes on top
            client = self._client = _new_client(self._broker, where, speaks, self)
            client.places = places
            _connect(client, self._broker, where, self._window.size)
            self._failure = Failure.SILENT  # from here on: until the broker has said something
            client.send_at_once()
            self._serve(client, began + limit)
        except Exception as error:  # noqa: BLE001 - paho's or ours: without this thread nothing is received any more
            self._lost = self._lost or Disconnected(f"{type(error).__name__}: {error}", False)
        if self._client:
            self._client.close_socket()
        self._client = None
        since, self._up_since = self._up_since, None
        return time.monotonic() - since if since else 0.0

    def _is_alive(self) -> bool:
        """A sign of life; whether to go on."""
        self.beat = time.monotonic()
        return not self._stopping.is_set()

    def _serve(self, client: FastClient, give_up: float) -> None:
        while self._lost is None and (sock := client.socket()) is not None:
            self.beat = now = time.monotonic()
            if self._stopping.is_set():
                client.disconnect()
                client.loop_write()
                break
            if self._up_since is None and now > give_up:
                raise TimeoutError("the broker did not answer")
            self._turn(client, sock, client.next_look() if self._up_since else give_up)
        if self._subscribed_at and time.monotonic() - self._subscribed_at > SLOW_S:
            self._learn_window()

    def _turn(self, client: FastClient, sock: Any, until: float) -> None:
        """Wait for the socket or a command, but not longer than ``until``; read, obey, write."""
        # A full queue means that the daemon does not keep up. When nothing is read, TCP stops the broker, and the
        # broker's own queue, which is on its disk, takes what comes.
        reads, rest = self._events.has_room, self._rests_until - time.monotonic()
        is_idle = rest > 0 or not reads
        poll = select.poll()
        poll.register(self._awake, select.POLLIN)
        poll.register(sock, (0 if is_idle else select.POLLIN) | (select.POLLOUT if client.want_write() else 0))
        wait = min(TURN_S, max(0.0, until - time.monotonic()), max(rest, FULL_S) if is_idle else TURN_S)
        # Rounded up: with 0 ms for the last fraction of a millisecond the thread would spin.
        ready = {number for number, _ in poll.poll(0 if not is_idle and client.buffered() else math.ceil(wait * 1000))}
        if self._awake.fileno() in ready:
            self._obey(client)
        if not is_idle and (sock.fileno() in ready or client.buffered()):
            self._read(client)
            self.heard = max(self.heard, client.heard)
        while client.want_write() and self._lost is None:
            # A socket that takes no more leaves as many packets as before; `poll` says when it takes some again.
            before = client.waiting()
            client.loop_write()
            if client.waiting() >= before:
                break
        self._unwritten = client.unwritten()
        client.loop_misc()

    def _read(self, client: FastClient) -> None:
        """All publishes that lie whole in the buffer, and one packet of another kind, or a part of one, by paho.

        When these were few, and nothing more lies in the socket, the next ones gather before they are read.
        """
        before = self._receipts.count
        if client.fill():
            self._hand_over(client, *client.whole_publishes())
        if client.has_read or self._receipts.count == before:
            client.loop_read()
        # A publish that paho reads alone began in a buffer full of others, and large messages are few in a full buffer:
        # only a socket with nothing left says that the broker has no more.
        if self._gather and 0 < self._receipts.count - before < self._few and not client.has_more():
            self._rests_until = time.monotonic() + self._gather

    def _obey(self, client: FastClient) -> None:
        try:
            self._awake.recv(4096)
        except BlockingIOError:
            return
        while self._commands and self._up_since and self._lost is None:
            self._commands.popleft()(client)

    def _command(self, command: Callable[[FastClient], None]) -> None:
        self._commands.append(command)
        self._wake()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # a full buffer wakes the thread as well
            self._alarm.send(b"!")

    def _acknowledge(self, client: FastClient, deliveries: Iterable[Delivery]) -> None:
        due = self._receipts.done(one.place for one in deliveries if one.connection == self._connection)
        if due:
            client.acknowledge(due)

    def _publish(self, client: FastClient, token: object, topic: str, payload: bytes, retain: bool, qos: int) -> None:
        self._passed += _size(topic, payload)
        info = client.publish(topic, payload, qos, retain)
        self._unwritten = client.unwritten()
        if info.rc == paho.MQTT_ERR_SUCCESS:
            self._tokens[info.mid] = token
        else:
            self._events.put(Published(token, paho.error_string(info.rc)))

    # paho's callbacks: they only hand over

    def _on_connect(self, client: Any, _: Any, flags: Any, code: Any, __: Any) -> None:
        if code.value >= FAILURE or code.is_failure:
            self._failure = Failure.UNSUPPORTED if code.value == UNSUPPORTED_VERSION else Failure.OTHER
            self._lost = Disconnected(f"the broker refused the connection: {code}", False)
            return
        self._up_since = time.monotonic()
        versions = self._versions[self._place]
        versions.accepted()
        note = (
            f"{self._address} does not speak MQTT 5, connected by MQTT 3.1.1: {WEAKER}" if versions.is_fallback else ""
        )
        self._events.put(Connected(bool(flags.session_present), self._address, note, self._alone))
        # Also when the broker kept the session: the configuration may name other topics than before.
        if self._filters:
            five, wanted = versions.speaks == FIVE, self._session
            self._subscribed_at = self._up_since
            each = [_subscription(five, topic, QOS) for topic in wanted.filters]
            each += [_subscription(five, topic, 0, retained=True) for topic in wanted.retained]
            client.subscribe(each + [_subscription(five, topic, 0) for topic in wanted.early])

    def _on_subscribe(self, _: Any, __: Any, ___: int, codes: list[Any], ____: Any) -> None:
        self._learn_window()
        pairs = zip(self._filters, codes, strict=False)
        self._events.put(Subscribed(tuple(topic for topic, code in pairs if code.value >= FAILURE)))

    def _learn_window(self) -> None:
        """The subscription is answered, or the connection ends before."""
        since, self._subscribed_at = self._subscribed_at, None
        if since is not None:
            self._window.answered(time.monotonic() - since, self._receipts.count)

    def _on_disconnect(self, _: Any, __: Any, ___: Any, code: Any, ____: Any) -> None:
        self._lost = self._lost or Disconnected(str(code), code.value == TAKEN_OVER)

    def _on_publish(self, _: Any, __: Any, packet_id: int, code: Any, ___: Any) -> None:
        token = self._tokens.pop(packet_id, None)
        if token is not None:
            self._events.put(Published(token, str(code) if code.value >= FAILURE else ""))

    def _on_message(self, client: Any, _: Any, message: Any) -> None:
        """A message that paho has read itself."""
        topic = ""  # not UTF-8, which no broker should send: handed over as a message without a topic
        with suppress(UnicodeDecodeError):
            topic = message.topic
        payload, properties = bytes(message.payload), getattr(message, "properties", None)
        if message.qos == QOS:
            packed = {0: properties.pack()} if properties is not None and not properties.isEmpty() else {}
            self._hand_over(client, [Publish(message.mid, topic, payload, message.dup, message.retain)], packed)
        elif topic in self._session.retained:
            self._events.put_first(Received(topic, payload, now_us(), Delivery(self._connection, 0, 0, 0)))
        elif topic and not message.retain:
            topic, token = topic[: LONGEST_TOPIC + 1], Delivery(self._connection, 0, 0, 0)
            early = any(paho.topic_matches_sub(wanted, topic) for wanted in self._session.early)
            put = self._events.put_first if early else self._events.put
            put(Received(topic, payload, now_us(), token, early=early))

    def _hand_over(self, client: FastClient, publishes: Sequence[Publish], properties: Mapping[int, bytes]) -> None:
        """Hand over messages that came together; one that is not wanted is only acknowledged, in its turn."""
        if not publishes:
            return
        arrival, connection, retained = now_us(), self._connection, self._session.retained
        first = self._receipts.arrived([publish[0] for publish in publishes])
        messages: list[Received] = []
        left_out: list[Delivery] = []
        for place, (packet_id, topic, payload, dup, retain) in enumerate(publishes):
            token = Delivery(connection, first + place, packet_id, QOS, dup)
            # At QoS 1 a topic of now comes only from the queue of a version before, which subscribed to it at QoS 1.
            if not topic or retain or topic in retained:
                left_out.append(token)
                continue
            if len(topic) > LONGEST_TOPIC:
                # Nobody reads it; whole, thousands of them that wait would be hundreds of megabytes.
                topic = topic[: LONGEST_TOPIC + 1]
            sender = sender_of(properties[place]) if place in properties else ""
            messages.append(Received(topic, payload, arrival, token, sender))
        if messages:
            self._events.put(*messages)
        if left_out:
            self._acknowledge(client, left_out)


def _new_client(broker: Broker, where: Connection, speaks: str, link: Link) -> FastClient:
    five = speaks == FIVE
    client = FastClient(
        CallbackAPIVersion.VERSION2,
        client_id=broker.client_id,
        clean_session=None if five else False,
        protocol=paho.MQTTv5 if five else paho.MQTTv311,
        transport=where.transport,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.connect_timeout = attempt_s(broker.keepalive_s)
    client.max_inflight_messages_set(0)  # no limit of paho's: the outbox has its own, and paho would queue in RAM
    where.introduce(client)
    if will := link.will:
        client.will_set(will.topic, will.payload, QOS, retain=True)
    client.on_connect, client.on_disconnect = link._on_connect, link._on_disconnect
    client.on_message, client.on_publish = link._on_message, link._on_publish
    client.on_subscribe = link._on_subscribe
    client.on_socket_register_write = _nothing  # with a callback here, paho leaves writing to our loop
    return client


def _nothing(*_: object) -> None:
    pass


def _size(topic: str, payload: bytes) -> int:
    """Bytes of a PUBLISH, about."""
    return HEAD_BYTES + len(topic) + len(payload)


def _connect(client: FastClient, broker: Broker, where: Connection, window: int) -> None:
    if not client.speaks_five:
        client.connect(where.host, where.port, keepalive=broker.keepalive_s)
        return
    properties = session(broker.session_expiry_s, window)
    client.connect(where.host, where.port, broker.keepalive_s, clean_start=False, properties=properties)


def _subscription(five: bool, topic: str, qos: int, retained: bool = False) -> Any:
    if not five:
        return (topic, qos)
    handling = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE if retained else SubscribeOptions.RETAIN_DO_NOT_SEND
    return (topic, SubscribeOptions(qos=qos, retainHandling=handling))
