"""The door to the broker, against a real Mosquitto."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from paho.mqtt.enums import CallbackAPIVersion

from broker import Broker as Mosquitto
from broker import Listener, free_port, wait_until
from tickover.transports.base import Connected, Disconnected, Event, Published, Received, Session, Subscribed, Will
from tickover.transports.mqtt import handover
from tickover.transports.mqtt.fast_client import READ_BYTES, FastClient
from tickover.transports.mqtt.link import Link
from tickover.transports.mqtt.settings import Broker

GREETING = b"\x20\x03\x00\x00\x00"
"""CONNACK of MQTT 5: welcome, no session, no properties."""


class Tap:
    """A link whose events are collected."""

    def __init__(self, settings: Broker, filters: tuple[str, ...] = ("in/#",), retained: tuple[str, ...] = ()) -> None:
        self.link = Link(settings)
        self.events: list[Event] = []
        self.link.start(Session(filters, retained, Will("status", b"gone")))

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
        wait_until(lambda: self.events.extend(self.link.receive(0.02, 1000)) or condition(), seconds, what)

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    def ready(self) -> "Tap":
        self.until(lambda: bool(self.of(Subscribed)), "subscribed")
        return self


def settings_of(mosquitto: Mosquitto, **more: object) -> Broker:
    return Broker(client_id="daemon", port=mosquitto.port, **more)  # type: ignore[arg-type]


@pytest.fixture
def tap(broker: Mosquitto) -> Iterator[Tap]:
    tap = Tap(settings_of(broker)).ready()
    yield tap
    tap.link.stop(2)


def send(mosquitto: Mosquitto, count: int, first: int = 0, retain: bool = False) -> None:
    client = mosquitto.client()
    infos = [client.publish(f"in/{n}", str(n), qos=1, retain=retain) for n in range(first, first + count)]
    for info in infos:
        info.wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def payloads(tap: Tap) -> list[int]:
    return [int(message.payload) for message in tap.of(Received)]


def tokens(tap: Tap) -> list[object]:
    return [message.token for message in tap.of(Received)]


def test_messages_arrive_in_order_with_topic_and_time(tap: Tap, broker: Mosquitto) -> None:
    send(broker, 500)
    tap.until(lambda: len(payloads(tap)) == 500, "all messages")
    assert payloads(tap) == list(range(500))
    message = tap.of(Received)[7]
    assert (message.topic, message.token.qos) == ("in/7", 1)
    assert abs(message.arrival / 1e6 - time.time()) < 10


@pytest.mark.parametrize(("gather", "batches"), [(0.0, range(15, 31)), (0.3, range(1, 12))])
def test_few_messages_gather_before_they_are_read(tap: Tap, broker: Mosquitto, gather: float, batches: range) -> None:
    """Thirty messages, a hundredth of a second apart."""
    client, lengths = broker.client(), list[int]()
    tap.link.receive(0.0, 1, gather)

    def publish() -> None:
        for number in range(30):
            client.publish(f"in/{number}", str(number), qos=1)
            time.sleep(0.01)

    sender = threading.Thread(target=publish)
    sender.start()
    while sum(lengths) < 30:
        events = tap.link.receive(5, 1000, gather)
        assert events, "nothing came for 5 s"
        lengths.append(len([event for event in events if isinstance(event, Received)]))
    sender.join()
    client.disconnect()
    client.loop_stop()
    assert len(lengths) in batches, lengths


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="Linux only")
def test_messages_do_not_bunch_after_an_acknowledgement(tap: Tap, broker: Mosquitto) -> None:
    """Mosquitto holds a second small packet back until the first is confirmed, which the system delays by 40 ms after
    something was sent: five times, if it may. Two may be the machine's own.
    """
    client, late, tokens = broker.client(), list[float](), list[object]()

    def publish() -> None:
        for number in range(200):
            client.publish(f"in/{number}", str(time.monotonic()), qos=1)
            time.sleep(0.01)

    sender = threading.Thread(target=publish)
    sender.start()
    while len(late) < 200:
        events = tap.link.receive(5, 1000)
        assert events, "nothing came for 5 s"
        now, messages = time.monotonic(), [event for event in events if isinstance(event, Received)]
        late.append(max((now - float(message.payload) for message in messages), default=0.0))
        late += [0.0] * (len(messages) - 1)
        tokens += [message.token for message in messages]
        if len(tokens) >= 40:
            tap.link.acknowledge(tokens)
            tokens.clear()
    sender.join()
    client.disconnect()
    client.loop_stop()
    assert sum(one > 0.02 for one in late) < 3, sorted(late)[-10:]


class Hidden:
    """A socket that hides its options, as paho's WebSocket does."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.fileno, self.recv, self.send, self.close = sock.fileno, sock.recv, sock.send, sock.close


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="Linux only")
def test_what_came_is_confirmed_at_once_also_where_the_socket_hides_its_options() -> None:
    """The peer has Nagle's algorithm: it holds a second small packet back until the first is confirmed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = FastClient(CallbackAPIVersion.VERSION2, client_id="daemon")
        client._sock = sock = Hidden(socket.create_connection(server.getsockname()))
        peer, _ = server.accept()
    client.send_at_once()
    late = []
    for _ in range(30):
        sock.send(b"?")
        peer.recv(1)
        began = time.monotonic()
        peer.send(b"a")
        peer.send(b"b")
        for _ in range(2):
            assert client._sock_recv(1)
        late.append(time.monotonic() - began)
    client.close_socket()
    assert peer.recv(1) == b"", "nothing holds the connection open"
    peer.close()
    assert sum(one > 0.02 for one in late) < 3, sorted(late)[-10:]


@pytest.mark.parametrize(("count", "size"), [(4000, 150), (600, 1000), (30, 40_000)])
def test_what_lies_in_a_full_socket_is_read_without_a_rest(count: int, size: int) -> None:
    """Many messages, of which one lies across two reads; some, and few large ones, of which few fill a read."""
    server = socket.create_server(("127.0.0.1", 0))
    tap = Tap(Broker(client_id="daemon", port=server.getsockname()[1]))
    peer, _ = server.accept()
    peer.recv(4096)
    peer.sendall(GREETING)
    subscribe = peer.recv(4096)
    peer.sendall(b"\x90\x04" + subscribe[2:4] + b"\x00\x01")
    tap.ready()
    packets = b"".join(publish(number, b"x" * size) for number in range(count))
    gather, begin = 1.0, time.monotonic()
    tap.link.receive(0.0, 1, gather)
    sender = threading.Thread(target=peer.sendall, args=(packets,))
    sender.start()
    while len(tap.of(Received)) < count:
        tap.events += tap.link.receive(0.1, 1000, gather)
        assert time.monotonic() < begin + 20
    took, reads = time.monotonic() - begin, len(packets) / READ_BYTES
    sender.join()
    peer.close()
    server.close()
    tap.link.stop(2)
    assert [message.token.packet_id for message in tap.of(Received)] == list(range(1, count + 1))
    assert took < gather * reads / 2, "it rested after each read"


def publish(number: int, payload: bytes) -> bytes:
    """A PUBLISH packet of MQTT 5 at QoS 1."""
    rest = struct.pack(">H4sHB", 4, b"in/1", number + 1, 0) + payload
    length, left = b"", len(rest)
    while True:
        left, low = divmod(left, 128)
        length += bytes([low | (128 if left else 0)])
        if not left:
            return b"\x32" + length + rest


def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(broker: Mosquitto) -> None:
    first = Tap(settings_of(broker)).ready()
    send(broker, 10)
    first.until(lambda: len(payloads(first)) == 10, "all messages")
    first.link.acknowledge(tokens(first)[:6])
    time.sleep(0.3)
    first.link.stop(2)
    send(broker, 5, first=10)
    second = Tap(settings_of(broker)).ready()
    second.until(lambda: len(payloads(second)) == 9, "the rest")
    assert payloads(second) == list(range(6, 15))
    assert second.of(Connected)[0].resumed
    second.link.stop(2)


def test_an_acknowledgement_of_an_earlier_connection_is_not_sent(broker: Mosquitto) -> None:
    tap = Tap(settings_of(broker)).ready()
    send(broker, 3)
    tap.until(lambda: len(payloads(tap)) == 3, "all messages")
    old = tokens(tap)
    broker.stop()
    broker.start()
    tap.until(lambda: len(tap.of(Connected)) == 2, "connected again")
    tap.link.acknowledge(old)
    tap.until(lambda: len(payloads(tap)) == 6, "delivered again")
    tap.link.stop(2)


def test_nothing_overtakes_a_backlog_whatever_is_acknowledged_first(broker: Mosquitto) -> None:
    """Mosquitto 2.0.11 lets the next message pass all that wait when it gets an acknowledgement out of order.

    Each of the first two acknowledgements makes it send ten more, so that the 25th message is further back than the
    receive maximum.
    """
    settings = settings_of(broker, receive_maximum=10)
    Tap(settings).ready().link.stop(2)
    send(broker, 200)
    tap = Tap(settings).ready()
    for count, done in ((10, slice(0, 1)), (20, slice(1, 2)), (30, slice(24, 25))):
        tap.until(lambda least=count: len(payloads(tap)) >= least, "a window of messages")
        tap.link.acknowledge(tokens(tap)[done])
    time.sleep(0.3)  # the broker reads the last acknowledgement, if it gets it
    send(broker, 1, first=200)
    tap.until(lambda: tap.link.acknowledge(tokens(tap)) or len(payloads(tap)) == 201, "the rest")
    assert payloads(tap) == list(range(201))
    tap.link.stop(2)


def test_unwanted_retained_messages_wait_for_their_turn_to_be_acknowledged(broker: Mosquitto) -> None:
    """MQTT 3.1.1 cannot ask the broker to leave them out; they come first, and the session is empty afterwards."""
    settings = settings_of(broker, protocol="3.1.1")
    send(broker, 3, retain=True)
    tap = Tap(settings).ready()
    send(broker, 3, first=10)
    tap.until(lambda: len(payloads(tap)) == 3, "the fresh messages")
    tap.link.acknowledge(tokens(tap))
    time.sleep(0.3)
    tap.link.stop(2)
    assert payloads(tap) == [10, 11, 12]
    again = Tap(settings).ready()
    send(broker, 1, first=20)
    again.until(lambda: bool(payloads(again)), "a message")
    assert payloads(again) == [20]
    again.link.stop(2)


def test_retained_inputs_are_not_taken(broker: Mosquitto) -> None:
    send(broker, 3, retain=True)
    tap = Tap(settings_of(broker)).ready()
    send(broker, 1, first=100)
    tap.until(lambda: bool(payloads(tap)), "the fresh message")
    assert payloads(tap) == [100]
    tap.link.stop(2)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_publishing_says_what_became_of_it(broker: Mosquitto, protocol: str) -> None:
    tap = Tap(settings_of(broker, protocol=protocol)).ready()
    for token in range(50):
        tap.link.publish(token, "out", b"x")
    tap.until(lambda: len(tap.of(Published)) == 50, "all answers")
    assert sorted(event.token for event in tap.of(Published)) == list(range(50))
    assert not any(event.refused for event in tap.of(Published))
    tap.link.stop(2)


def test_a_publish_the_acl_forbids_is_refused_with_a_reason(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite in/#\n")
    acl.chmod(0o644)
    with Mosquitto(tmp_path / "acl-broker", f"allow_anonymous true\nacl_file {acl}") as mosquitto:
        tap = Tap(settings_of(mosquitto)).ready()
        tap.link.publish("no", "forbidden", b"x")
        tap.until(lambda: bool(tap.of(Published)), "an answer")
        assert tap.of(Published)[0] == Published("no", "Not authorized")
        tap.link.stop(2)


def test_backing_off_leaves_the_broker_alone(tap: Tap) -> None:
    tap.link.back_off("another daemon")
    tap.until(lambda: bool(tap.of(Disconnected)), "left")
    assert tap.of(Disconnected)[0][:2] == ("another daemon", True)
    time.sleep(1.5)
    tap.events += tap.link.receive(0, 100)
    assert len(tap.of(Connected)) == 1


def test_what_is_published_after_leaving_is_not_taken_for_refused(tap: Tap) -> None:
    tap.link.back_off("another daemon")
    for number in range(200):
        tap.link.publish(number, "out", b"x")
    tap.until(lambda: bool(tap.of(Disconnected)), "left")
    assert not tap.of(Published)


def test_a_surprise_in_the_thread_is_a_lost_connection_and_tried_again(tap: Tap) -> None:
    tap.link.publish("bad", "out/#", b"x")
    tap.until(lambda: len(tap.of(Connected)) == 2, "connected again")
    assert "ValueError" in tap.of(Disconnected)[0].reason


def test_retained_messages_of_a_named_topic_are_taken(broker: Mosquitto) -> None:
    send(broker, 3, retain=True)
    tap = Tap(settings_of(broker), filters=("in/0",), retained=("in/2",)).ready()
    tap.until(lambda: payloads(tap) == [2], "the retained message")
    tap.link.stop(2)


def test_no_broker_is_said_and_tried_again() -> None:
    tap = Tap(Broker(client_id="daemon", port=free_port()))
    tap.until(lambda: len(tap.of(Disconnected)) >= 2, "two attempts")
    assert "Connection" in tap.of(Disconnected)[0].reason
    tap.link.stop(2)


def test_half_open_tcp_is_noticed_within_twice_the_keepalive() -> None:
    """A peer that greets and then says nothing more, not even to pings."""
    keepalive, greeted = 2, list[float]()
    server = socket.create_server(("127.0.0.1", 0))

    def greet() -> None:
        while True:
            peer, _ = server.accept()
            peer.recv(4096)
            peer.sendall(GREETING)
            greeted.append(time.monotonic())
            held.append(peer)

    held: list[socket.socket] = []
    threading.Thread(target=greet, daemon=True).start()
    tap = Tap(Broker(client_id="d", port=server.getsockname()[1], keepalive_s=keepalive), filters=())
    tap.until(lambda: len(greeted) >= 2, "a second attempt", seconds=20)
    assert greeted[1] - greeted[0] <= 2 * keepalive + 2
    tap.link.stop(2)


def test_what_waits_is_bounded_in_bytes(tap: Tap, broker: Mosquitto) -> None:
    """Large messages: the thread stops reading, the broker keeps the rest, and none is lost."""
    count, body = 400, b"x" * 60_000
    client = broker.client()
    for info in [client.publish(f"in/{number}", body, qos=1) for number in range(count)]:
        info.wait_for_publish(20)
    client.disconnect()
    client.loop_stop()
    queue = tap.link._events
    wait_until(lambda: queue.waiting_bytes >= 0.95 * handover.QUEUE_BYTES, 10, "a full queue")
    time.sleep(0.2)
    assert queue.waiting_bytes < handover.QUEUE_BYTES + 2 * READ_BYTES
    taken: list[Event] = []
    while len(taken) < count:
        events = tap.link.receive(5, 1000)
        assert 0 < sum(len(event.payload) for event in events) < handover.TAKEN_BYTES + len(body)
        tap.link.acknowledge(event.token for event in events)
        taken += events
    assert [event.topic for event in taken] == [f"in/{number}" for number in range(count)]


def test_a_goodbye_does_not_publish_the_will(broker: Mosquitto) -> None:
    listener = Listener(broker, "status")
    tap = Tap(settings_of(broker)).ready()
    tap.link.stop(2)
    time.sleep(0.3)
    assert listener.of("status") == []
    listener.close()
