"""A fleet that publishes to a real broker from one socket: many vehicles, QoS 1.

A client library spends more on ten thousand messages a second than the daemon under test; here a message is a few bytes
put together. What the broker answers is read and thrown away.
"""

import socket
import struct
import threading
import time
from contextlib import suppress
from itertools import count

KEEPALIVE_S = 600
CONNECT = b"\x00\x04MQTT\x04\x02" + struct.pack(">H", KEEPALIVE_S) + b"\x00\x05fleet"
SLICE_S = 0.005
"""Messages of so much time go out together."""
PATTERNS = 7


def packet(kind: int, body: bytes) -> bytes:
    """An MQTT packet: its first byte, the length of the rest, the rest."""
    length, left = b"", len(body)
    while True:
        left, low = divmod(left, 128)
        length += bytes([low | (128 if left else 0)])
        if not left:
            return bytes([kind]) + length + body


def publish(port: int, vehicles: int, signals: int, seconds: float, hz: float = 1.0, split: bool = False) -> None:
    """Each vehicle ``hz`` times a second, spread over the time; times of now, values near 50.

    ``split``: each signal in a message of its own, all with the row's time.
    """
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(packet(0x10, CONNECT))
    assert client.recv(4)[:2] == b"\x20\x02"
    threading.Thread(target=_drain, args=(client,), daemon=True).start()
    names = [f"truck/v{number}/telemetry".encode() for number in range(vehicles)]
    topics = [struct.pack(">H", len(name)) + name for name in names]
    values = [_values(pattern, signals, split) for pattern in range(PATTERNS)]
    begin, sent, rate = time.time(), 0, vehicles * hz
    while sent < seconds * rate:
        due = min(int((time.time() - begin) * rate), int(seconds * rate))
        client.sendall(b"".join(_messages(number, begin, rate, topics, values) for number in range(sent, due)))
        sent = due
        time.sleep(SLICE_S)
    client.sendall(b"\xe0\x00")
    client.close()


def _messages(number: int, begin: float, rate: float, topics: list[bytes], values: list[list[bytes]]) -> bytes:
    """Those of a row."""
    stamp = b'{"t":%.3f,' % (begin + number / rate)
    turn, vehicle = divmod(number, len(topics))
    bodies = values[(turn + vehicle) % PATTERNS]
    first = number * len(bodies)
    heads = [topics[vehicle] + struct.pack(">H", (first + place) % 65_535 + 1) for place in range(len(bodies))]
    return b"".join(packet(0x32, head + stamp + body) for head, body in zip(heads, bodies, strict=True))


def _values(pattern: int, signals: int, split: bool) -> list[bytes]:
    """The bodies of the messages of a row, behind their times."""
    each = [f'"s{place}":{50 + place + pattern * 0.25:.2f}' for place in range(signals)]
    return [f"{one}}}".encode() for one in (each if split else [",".join(each)])]


def _drain(client: socket.socket) -> None:
    with suppress(OSError):
        for _ in count():
            if not client.recv(65_536):
                return
