"""A TCP proxy in user space for a narrow link: so many bytes a second each way, and small buffers."""

import select
import socket
import threading
import time
from contextlib import suppress

BUFFER = 8 * 1024
TICK_S = 0.02


class _Way:
    """One direction of one connection: takes what its bucket allows."""

    def __init__(self, source: socket.socket, sink: socket.socket, rate: float) -> None:
        self.source, self.sink, self.rate = source, sink, rate
        self._allowance, self._at = 0.0, time.monotonic()

    def forward(self) -> bool:
        """Move what may move now; False at the end of the connection."""
        now = time.monotonic()
        self._allowance = min(self.rate * 0.1, self._allowance + (now - self._at) * self.rate)
        self._at = now
        if self._allowance < 1 or not select.select([self.source], [], [], 0)[0]:
            return True
        if not select.select([], [self.sink], [], 0)[1]:
            return True
        data = self.source.recv(int(self._allowance))
        if data:
            self._allowance -= len(data)
            self.sink.sendall(data)
        return bool(data)


class NarrowProxy:
    """Forwards one port to another, ``down`` bytes a second to the client and ``up`` from it.

    ``first_down``: when the first bytes of each connection came down (monotonic seconds): the CONNACK.
    """

    def __init__(self, target: int, down: float, up: float) -> None:
        self._target, self._down, self._up = target, down, up
        self._server = socket.socket()
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)  # before listen: connections inherit it
        self._server.bind(("127.0.0.1", 0))
        self._server.listen()
        self.port: int = self._server.getsockname()[1]
        self.first_down: list[float] = []
        self._closed = False
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        self._closed = True
        self._server.close()

    def _run(self) -> None:
        with suppress(OSError):
            while not self._closed:
                near, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        far = socket.socket()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        for sock in (near, far):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        with near, far, suppress(OSError):
            far.connect(("127.0.0.1", self._target))
            up, down = _Way(near, far, self._up), _Way(far, near, self._down)
            greeted = False
            while not self._closed:
                if not greeted and select.select([far], [], [], 0)[0]:
                    greeted = True
                    self.first_down.append(time.monotonic())
                if not (up.forward() and down.forward()):
                    break
                time.sleep(TICK_S)
