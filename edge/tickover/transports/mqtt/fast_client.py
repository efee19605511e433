"""paho's client, with code of our own for the packets that come by the thousand (`tickover.transports.mqtt.packets`).

It reads 64 KiB at a time (paho itself reads byte by byte), hands over the publishes that lie whole in the buffer,
and acknowledges many in one write. paho handles everything else, from the same buffer. The client also offers what an
external loop needs: whether bytes wait that ``poll`` cannot see, and when to check the keepalive next.

It uses private attributes of paho; ``tests/edge/transports/mqtt/test_paho_private.py`` lists them.
"""

import fcntl
import os
import select
import socket
import termios
import time
from collections.abc import Sequence
from contextlib import suppress
from struct import Struct
from typing import Final

import paho.mqtt.client as paho

from tickover.transports.mqtt.lookup import At, connect
from tickover.transports.mqtt.packets import Publish, pubacks, whole_publishes

QOS: Final = 1
READ_BYTES: Final = 65_536
_INT: Final = Struct("@i")
QUICK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


class FastClient(paho.Client):
    """For one connection, by paho's interface for external loops."""

    _buffer: bytes = b""
    _at: int = 0
    heard: float = 0.0
    """When bytes last came (monotonic seconds)."""
    places: Sequence[At] = ()
    """Where the broker is; paho would ask the name server itself."""
    _twin: socket.socket | None = None
    """A second object for the connection's socket, to set its options: that of a WebSocket hides its own."""

    def _create_socket_connection(self) -> socket.socket:
        return connect(self.places, self.connect_timeout)

    def _sock_recv(self, bufsize: int) -> bytes:
        # All of paho's reads go through this method: it asks for a few bytes at a time, and is served from the buffer.
        if not self.has_read:
            self._read_socket()
        head = self._buffer[self._at : self._at + bufsize]
        self._at += len(head)
        return head

    def _read_socket(self) -> None:
        self._buffer, self._at = super()._sock_recv(READ_BYTES), 0
        if self._buffer:
            # paho notes this only of what it reads itself: it would ping a broker that keeps sending.
            self.heard = self._last_bytes_received = time.monotonic()
            self._confirm_at_once()

    def fill(self) -> bool:
        """Read from the socket when the buffer is empty; whether there is something in it.

        Nothing: whether the connection is lost is for paho to find out, by ``loop_read``.
        """
        if not self.has_read:
            with suppress(OSError):
                self._read_socket()
        return self.has_read

    @property
    def has_read(self) -> bool:
        """Whether something is in the buffer."""
        return self._at < len(self._buffer)

    @property
    def speaks_five(self) -> bool:
        """Whether this is a client of MQTT 5."""
        return self._protocol == paho.MQTTv5

    def whole_publishes(self) -> tuple[list[Publish], dict[int, bytes]]:
        """What lies complete in the buffer, unless paho is in the middle of a packet; and the properties, by place."""
        properties: dict[int, bytes] = {}
        if self._in_packet["command"]:
            return [], properties
        publishes, self._at = whole_publishes(self._buffer, self._at, self.speaks_five, properties)
        return publishes, properties

    def acknowledge(self, packet_ids: list[int]) -> None:
        """Acknowledge in order, as one write."""
        self._packet_queue(paho.PUBACK, pubacks(packet_ids), packet_ids[-1], QOS)

    def next_look(self) -> float:
        """When `loop_misc` has something to do next (monotonic seconds): send a ping, or give up.

        A dead connection is noticed at twice the keepalive after the last bytes came: one keepalive until paho pings,
        one until it gives up.
        """
        moments = [self._last_msg_out, self._last_bytes_received]
        return min([*moments, self._ping_t] if self._ping_t else moments) + self._keepalive

    def send_at_once(self) -> None:
        """Of a new connection: without this a second small packet waits for the peer's delayed acknowledgement of the
        first, 40 ms, and so does the broker's for ours (`_confirm_at_once`)."""
        if (sock := self.socket()) is not None:
            self._twin = socket.socket(fileno=os.dup(sock.fileno()))
            self._twin.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _confirm_at_once(self) -> None:
        """Without this a broker's next small packet waits until the system confirms this one, too: up to 40 ms as long
        as nothing is sent, and the system forgets the wish with each answer (tcp(7)); others than Linux have none."""
        if QUICK is not None and self._twin is not None:
            with suppress(OSError):  # whether the connection is lost, the next read says
                self._twin.setsockopt(socket.IPPROTO_TCP, QUICK, 1)

    def buffered(self) -> bool:
        """True when bytes wait that ``poll`` cannot see."""
        sock = self.socket()
        # TLS holds decrypted bytes; paho's WebSocket passes the question on.
        return self.has_read or (sock is not None and hasattr(sock, "pending") and sock.pending() > 0)

    def has_more(self) -> bool:
        """Whether bytes wait to be read, in the buffer or in the socket."""
        if self.buffered():
            return True
        sock = self.socket()
        if sock is None:
            return False
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))

    def waiting(self) -> int:
        """Packets not written yet."""
        return len(self._out_packet)

    def unwritten(self) -> int:
        """Bytes of the packets that are not written yet."""
        return sum(len(packet["packet"]) - packet["pos"] for packet in self._out_packet)

    def in_socket(self) -> int:
        """Bytes that the kernel holds because the peer has not acknowledged them; 0 where it does not say.

        May be called from any thread (``man 7 tcp``, SIOCOUTQ).
        """
        sock = self.socket()
        try:
            answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(_INT.size)) if sock else bytes(_INT.size)
        except (OSError, ValueError):
            return 0
        return int(_INT.unpack(answer)[0])

    def close_socket(self) -> None:
        """Close the socket, if it is still open, without a DISCONNECT."""
        sock = self.socket()
        if sock is not None:
            sock.close()
        if self._twin is not None:
            self._twin.close()
            self._twin = None
