"""An HTTP server that hooks of the page hand alerts on to; it may be down in each way that servers are."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REFUSED, HANGS, FAILS = "refused", "hangs", "fails"
"""Nobody listens; connections are taken and nothing is answered; every request is answered 503."""


class Receiver:
    """Keeps what it is sent; ``code`` is its answer, ``slow_s`` how long it takes for one."""

    def __init__(self, port: int = 0) -> None:
        self.code, self.slow_s = 200, 0.0
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.at: list[float] = []
        """When each came, `time.monotonic`."""
        self._hangs = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self.port = port
        self._listen()

    def _listen(self) -> None:
        received = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        while self._hangs.is_set():
            time.sleep(0.05)
            request.close_connection = True
            if not self._hangs.is_set():
                return
        time.sleep(self.slow_s)
        if self.code < 300:
            self.got.append((request.path, dict(request.headers), body))
            self.at.append(time.monotonic())
        request.send_response(self.code)
        request.end_headers()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def ids(self) -> list[str]:
        """Of the CloudEvents that came, in order, with repetitions."""
        return [json.loads(body)["id"] for _, _, body in self.got]

    @contextmanager
    def down(self, how: str) -> Iterator[None]:
        """Out of order inside."""
        if how == REFUSED:
            self.close()
        self._hangs.set() if how == HANGS else self._hangs.clear()
        self.code = 503 if how == FAILS else 200
        yield
        self.code = 200
        self._hangs.clear()
        if how == REFUSED:
            self._listen()

    def close(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
