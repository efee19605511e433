"""A TCP proxy that can lose a connection without a word: the half-open TCP of a truck that drove into a tunnel."""

import contextlib
import select
import socket
import threading
import time

CHUNK = 65_536


class Proxy:
    """Forwards one port to another. `swallow`: bytes of the connections of now go nowhere, new ones may pass."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._swallowed: list[tuple[socket.socket, socket.socket]] = []
        self._muted: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._away = False
        self.accepted: list[float] = []
        """When each connection was passed on (monotonic seconds)."""
        self.refused = 0
        """Attempts to connect while the network was away."""
        threading.Thread(target=self._run, daemon=True).start()

    def swallow(self) -> None:
        """From now on the connections of now are dead, and nobody is told."""
        with self._lock:
            self._swallowed += self._pairs
            self._pairs.clear()

    def mute(self) -> None:
        """From now on nothing that the clients of now say arrives; they still hear."""
        with self._lock:
            self._muted |= {near for near, _ in self._pairs}

    def go_away(self) -> None:
        """The network is gone: connections of now are dead unnoticed, new ones find nobody."""
        self._away = True
        self.swallow()

    def drop(self) -> None:
        """The connections of now end, in the open; new ones find nobody."""
        self._away = True
        with self._lock:
            for sock in [sock for pair in self._pairs for sock in pair]:
                sock.shutdown(socket.SHUT_RDWR)

    def come_back(self) -> None:
        """New connections pass again."""
        self._away = False

    def close(self) -> None:
        self._closed = True
        time.sleep(0.1)
        for one in [sock for pair in self._pairs + self._swallowed for sock in pair] + [self._server]:
            one.close()

    def _run(self) -> None:
        while not self._closed:
            with self._lock:
                pairs = dict(self._pairs) | {far: near for near, far in self._pairs}
            ready, _, _ = select.select([self._server, *pairs], [], [], 0.02)
            for sock in ready:
                if sock is self._server:
                    self._accept()
                else:
                    self._forward(sock, pairs[sock])

    def _accept(self) -> None:
        near, _ = self._server.accept()
        if self._away:
            self.refused += 1
            near.close()
            return
        try:
            far = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            near.close()
            return
        self.accepted.append(time.monotonic())
        with self._lock:
            self._pairs.append((near, far))

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = source.recv(CHUNK)
            if data:
                if source not in self._muted:
                    sink.sendall(data)
                return
        with self._lock:
            self._pairs = [pair for pair in self._pairs if source not in pair]
        source.close()
        sink.close()
