"""The thread between the broker and the desk: messages in, acknowledged once they are on disk; requests out."""

import itertools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

import msgspec

from tickover.errors import BrokerError
from tickover.web.desk import Desk

logger: Final = logging.getLogger("tickover")
DURABLE: Final = ("alert/+", "alarm/+")
"""Topics that the broker keeps for the page while it is away."""
PASSING: Final = ("status", "info", "health", "score", "cmd/+/response")
"""Topics whose newest message is enough."""
BATCH: Final = 500
"""Messages of one transaction."""
WAIT_S: Final = 0.1
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 30.0
RIVAL: Final = (
    "another client with this page's id is connected, and they cut each other off: is a copy of the history (--state) "
    "in use?"
)
ANSWER_S: Final = 3.0
"""How long a daemon has to answer a request."""


class Message(Protocol):
    """What the listener reads of a message."""

    @property
    def topic(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def qos(self) -> int: ...


class Client(Protocol):
    """What the listener needs of a client for MQTT."""

    @property
    def connected(self) -> bool: ...
    @property
    def rivalled(self) -> bool: ...
    def subscribe(self, pattern: str, qos: int = 1) -> None: ...
    def receive(self, timeout_s: float) -> Any: ...
    def ack(self, message: Any) -> None: ...
    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None: ...


class Listener:
    """``connect`` makes a client, connected from ``with`` to its end; ``address`` is shown to people."""

    def __init__(self, desk: Desk, connect: Callable[[], AbstractContextManager[Any]], address: str) -> None:
        self._desk, self._connect, self._address = desk, connect, address
        self._client: Client | None = None
        self._stop = threading.Event()
        self._numbers = itertools.count(1)
        self._waiting: dict[str, list[Future[dict[str, Any]]]] = {}
        self._last_error: dict[str, dict[str, Any]] = {}
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        desk.answers = self._answered

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Disconnect; what was received is on disk."""
        self._stop.set()
        self._thread.join(10)

    def request(self, vehicle: str, command: str, body: dict[str, Any]) -> Future[dict[str, Any]] | None:
        """Send a command to a truck's daemon; its answer, or None when the broker is away."""
        client = self._client
        if client is None or not client.connected:
            return None
        number = f"{self._desk.epoch}-{next(self._numbers)}"
        answer: Future[dict[str, Any]] = Future()
        self._waiting[number] = [answer]
        if len(self._waiting) > BATCH:
            self._waiting.pop(next(iter(self._waiting)))
        topic = f"{self._desk.base}/v1/{vehicle}/cmd/{command}/request"
        client.publish(topic, msgspec.json.encode({**body, "id": number}))
        return answer

    def ask(self, vehicle: str, command: str, body: dict[str, Any]) -> dict[str, Any]:
        """The same, waiting for the answer: the daemon's, or one with ``ok`` false and why."""
        future = self.request(vehicle, command, body)
        if future is None:
            return {"ok": False, "error": "not sent: no connection to the broker"}
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline:
            if future.done():
                return future.result()
            time.sleep(0.02)
        # Of several daemons at one broker those that do not know the truck say so; the one that does counts.
        return self._last_error.pop(str(id(future)), {"ok": False, "error": f"no answer within {ANSWER_S:g} s"})

    def publish(self, topic: str, payload: bytes) -> bool:
        """Send a retained message; False when the broker is away."""
        client = self._client
        if client is None or not client.connected:
            return False
        client.publish(topic, payload, retain=True)
        return True

    def watch(self, vehicle: str) -> None:
        """Somebody looks at a truck: ask for its newest tick, when that is due."""
        with self._desk.lock:
            due = self._desk.live.is_due(vehicle, self._desk.now())
        if due:
            self.request(vehicle, "snapshot", {})

    def _answered(self, vehicle: str, answer: dict[str, Any]) -> None:
        futures = self._waiting.get(str(answer.get("id")), [])
        for future in futures:
            if answer.get("ok"):
                if not future.done():
                    future.set_result(answer)
            else:
                self._last_error[str(id(future))] = answer
                if len(self._last_error) > BATCH:
                    self._last_error.pop(next(iter(self._last_error)))

    def _run(self) -> None:
        wait = FIRST_WAIT_S
        while not self._stop.is_set():
            try:
                with self._connect() as client:
                    self._subscribe(client)
                    self._client, wait = client, FIRST_WAIT_S
                    self._listen(client)
            except BrokerError as error:
                if not self._stop.is_set():
                    logger.warning("no connection to the broker: %s", error)
                    self._desk.disconnected(str(error))
            finally:
                self._client = None
            self._stop.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT_S)
        self._desk.store_trucks(self._desk.now())
        self._desk.history.commit()

    def _subscribe(self, client: Client) -> None:
        root = f"{self._desk.base}/v1/+"
        for topics, qos in ((DURABLE, 1), (PASSING, 0)):
            for topic in topics:
                client.subscribe(f"{root}/{topic}", qos)

    def _listen(self, client: Client) -> None:
        up: bool | None = None
        while not self._stop.is_set():
            if client.connected is not up:
                up = client.connected
                if up:
                    self._desk.connected(self._address)
                else:
                    self._desk.disconnected(RIVAL if client.rivalled else "the connection was lost, reconnecting")
            self._batch(client)

    def _batch(self, client: Client) -> None:
        """Take what waits, make it durable, then acknowledge it: what is not acknowledged comes again."""
        taken = []
        message = client.receive(WAIT_S)
        while message is not None:
            self._desk.take(message.topic, message.payload)
            taken.append(message)
            message = client.receive(0.0) if len(taken) < BATCH else None
        self._desk.settle()
        for one in taken:
            if one.qos:
                client.ack(one)
