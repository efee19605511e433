"""A recording session: messages from a broker into per-trip logs, acknowledged once they are on disk."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from tickover.core.values import SECOND
from tickover.errors import LogError
from tickover.jobs.record import Recorder
from tickover.payloads.listener import Listener
from tickover.transports.mqtt.client import RECEIVE_MAXIMUM, Message, MqttClient

COMMIT_MESSAGES: Final = RECEIVE_MAXIMUM // 2
COMMIT_EVERY_S: Final = 10.0
"""Files are written, and messages acknowledged, this often; sooner when many wait, or …"""
COMMIT_BYTES: Final = 2 * 2**20
"""… so many bytes of them: decoded they take ten times as much memory. A crash loses no more of what was sent at QoS 0;
what was sent at QoS 1 the broker sends again."""
WAIT_S: Final = 0.5
"""How long to wait for a message before other things are looked after."""
LAST_WAIT_S: Final = 0.3
LAST_LIMIT_S: Final = 10.0
"""Once stopped: the silence that ends the session, and how long it goes on at most."""


class Session:
    """Takes messages and commits them in time.

    ``tell`` is called after each message or wait; ``removed`` names an old file that was deleted to make room.
    """

    def __init__(
        self,
        client: MqttClient,
        listener: Listener,
        recorder: Recorder,
        *,
        tell: Callable[[], None],
        removed: Callable[[Path], None],
    ) -> None:
        self._client = client
        self._listener = listener
        self._recorder = recorder
        self._tell = tell
        self._removed = removed
        self._waiting: list[Message] = []
        self._bytes = 0
        self._committed = time.monotonic()
        self._stopped = False

    def stop(self, number: int, frame: object) -> None:
        """Handler of SIGINT and SIGTERM: end after the message at hand."""
        self._stopped = True

    def run(self) -> None:
        """Until it is stopped; then messages under way are still taken, for a bounded time, and all is written."""
        ends = float("inf")
        while (message := self._client.receive(LAST_WAIT_S if self._stopped else WAIT_S)) or not self._stopped:
            now = time.monotonic()
            ends = min(ends, now + LAST_LIMIT_S) if self._stopped else ends
            if now > ends:
                break
            if message is not None:
                self._take(message)
            many = len(self._waiting) >= COMMIT_MESSAGES or self._bytes >= COMMIT_BYTES
            if many or now - self._committed >= COMMIT_EVERY_S:
                self._commit()
            self._tell()
        self._commit()

    def _take(self, message: Message) -> None:
        """A retained message is an old one, which the broker sends to every new subscriber: no new reading."""
        self._waiting.append(replace(message, payload=b""))  # its acknowledgement needs no more
        self._bytes += len(message.topic) + len(message.payload)
        if not message.retained:
            for row in self._listener.rows(message.topic, message.payload, round(time.time() * SECOND)):
                self._recorder.add(row)

    def _commit(self) -> None:
        """Write, then acknowledge: in the other order a crash between the two would lose what was acknowledged."""
        try:
            removed = self._recorder.commit()
        except OSError as error:
            raise LogError(f"{error.filename or 'recording'}: cannot write: {error.strerror or error}") from error
        for path in removed:
            self._removed(path)
        for message in self._waiting:
            self._client.ack(message)
        self._waiting.clear()
        self._bytes = 0
        self._committed = time.monotonic()
