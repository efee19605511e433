"""The commands' client against a broker that plays a script: what it says, and when, before it hangs up."""

import queue
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from tickover.errors import BrokerError
from tickover.transports.mqtt.client import MqttClient
from tickover.transports.mqtt.connection import Connection
from tickover.transports.mqtt.settings import Broker

CONNECT, PUBACK, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT = 0x10, 0x40, 0x80, 0xA0, 0xE0
WAIT_S = 10.0
NOT_YET_S = 0.3
MESSAGES = 5


class SlowBroker:
    """Greets, grants, sends a few messages; answers an unsubscription only when `answer` is set."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.heard: queue.Queue[int] = queue.Queue()
        """The types of the packets that came."""
        self.answer = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    @property
    def connection(self) -> Connection:
        return Connection(host="127.0.0.1", port=self.server.getsockname()[1])

    def next(self) -> int:
        return self.heard.get(timeout=WAIT_S)

    def _serve(self) -> None:
        peer, _ = self.server.accept()
        with peer, peer.makefile("rb") as stream:
            while head := stream.read(2):
                kind, body = head[0] & 0xF0, stream.read(head[1])
                self.heard.put(kind)
                if kind == CONNECT:
                    peer.sendall(b"\x20\x03\x00\x00\x00")
                elif kind == SUBSCRIBE:
                    peer.sendall(b"\x90\x04" + body[:2] + b"\x00\x01")
                    for mid in range(1, MESSAGES + 1):
                        peer.sendall(b"\x32\x07" + b"\x00\x01t" + struct.pack(">H", mid) + b"\x00x")
                elif kind == UNSUBSCRIBE:
                    self.answer.wait(WAIT_S)
                    peer.sendall(b"\xb0\x04" + body[:2] + b"\x00\x00")


@pytest.fixture
def slow() -> Iterator[SlowBroker]:
    one = SlowBroker()
    yield one
    one.answer.set()
    one.server.close()


def test_it_hangs_up_only_when_the_broker_has_read_every_acknowledgement(slow: SlowBroker) -> None:
    """The broker reads in order: its answer to a last request says that it has read what came before."""
    client = MqttClient(slow.connection, client_id="c", session_s=60, acknowledge=False)
    client.connect()
    client.subscribe("t")
    messages = [client.receive(WAIT_S) for _ in range(MESSAGES)]
    for message in messages:
        assert message
        client.ack(message)
    closing = threading.Thread(target=client.close)
    closing.start()
    assert [slow.next() for _ in range(MESSAGES + 3)] == [CONNECT, SUBSCRIBE, *[PUBACK] * MESSAGES, UNSUBSCRIBE]
    with pytest.raises(queue.Empty):
        slow.heard.get(timeout=NOT_YET_S)
    assert closing.is_alive(), "it waits for the answer"
    slow.answer.set()
    assert slow.next() == DISCONNECT
    closing.join(WAIT_S)
    slow.thread.join(WAIT_S)
    assert slow.heard.empty()


def test_a_client_that_leaves_acknowledging_to_paho_hangs_up_at_once(slow: SlowBroker) -> None:
    with MqttClient(slow.connection) as client:
        client.subscribe("t")
        # One that is still on its way would reset the connection, and the broker forget what it has not read yet.
        assert all(client.receive(WAIT_S) for _ in range(MESSAGES))
    heard = [slow.next()]
    while heard[-1] != DISCONNECT:
        heard.append(slow.next())
    assert UNSUBSCRIBE not in heard


@pytest.mark.parametrize("host", ["localhost.example.org", "127.example.org", "::1234:5", "localhost.", "0.0.0.0"])
def test_a_host_that_only_looks_like_this_machine_gets_no_plaintext(host: str) -> None:
    with pytest.raises(BrokerError, match="expected TLS"):
        MqttClient(Connection(host=host, port=1883))
    assert "plaintext" in (Broker(host=host, client_id="c").problem() or "")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_plaintext_to_this_machine_is_allowed(host: str) -> None:
    MqttClient(Connection(host=host, port=1883))
    assert Broker(host=host, client_id="c").problem() is None
