"""What ``play`` and ``simulate`` share: sending rows as a truck and saying how far it is."""

import sys
import time
from datetime import UTC, datetime
from typing import Final

import click

from tickover.errors import BrokerError
from tickover.io.mqtt_client import MqttClient
from tickover.records import SECOND

SAY_EVERY_S: Final = 0.5
"""How often the line of a terminal is renewed."""
LOG_EVERY_S: Final = 30.0
"""How often a line is written where standard error is no terminal."""
DRAIN_LIMIT_S: Final = 10.0


class Sender:
    """Publishes messages to each vehicle's topic and tells on standard error how far it is."""

    def __init__(self, client: MqttClient, topic: str) -> None:
        if "{vehicle}" not in topic:
            raise click.UsageError(f"--topic: expected {{vehicle}} in it, got {topic!r}")
        self._client = client
        self._topic = topic
        self._began = self._said = time.monotonic()
        self._first: int | None = None
        self._moment = 0
        self._sent = 0
        self._live = sys.stderr.isatty()

    def send(self, vehicle: str, moment: int, payload: bytes) -> None:
        """Publish one message; waits while the broker owes too many acknowledgements."""
        self._client.publish(self._topic.replace("{vehicle}", vehicle), payload)
        self._first = moment if self._first is None else self._first
        self._moment = max(self._moment, moment)
        self._sent += 1
        now = time.monotonic()
        if now - self._said >= (SAY_EVERY_S if self._live else LOG_EVERY_S):
            self._said = now
            self._say(f"{self._sent:,} messages, {self._passed()}, now at {_text(self._moment)}", end=not self._live)

    def finish(self, word: str) -> None:
        """Wait for the last acknowledgements and say what came of it; BrokerError when messages were refused."""
        complete = self._client.drain(DRAIN_LIMIT_S)
        counts = self._client.counts
        self._say(f"{word}: {counts['published']:,} messages acknowledged, {self._passed()}", end=True)
        if counts["unheard"]:
            click.echo(f"{counts['unheard']:,} of them had no subscriber: is the daemon's topic the same?", err=True)
        if counts["reconnected"]:
            click.echo(f"connected again {counts['reconnected']} times", err=True)
        if counts["refused"]:
            raise BrokerError(
                f"the broker refused {counts['refused']:,} messages: {self._client.refusal}; see the broker's ACL"
            )
        if not complete:
            raise BrokerError(f"{self._sent - counts['published']:,} messages were not acknowledged")

    def _passed(self) -> str:
        event_s = (self._moment - (self._first or 0)) / SECOND if self._sent else 0.0
        took_s = max(time.monotonic() - self._began, 1e-3)
        return f"{_duration(event_s)} of driving in {_duration(took_s)} ({event_s / took_s:.3g} x)"

    def _say(self, text: str, *, end: bool) -> None:
        click.echo(f"\r\x1b[K{text}" if self._live else text, nl=end, err=True)


def _duration(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}"


def _text(moment: int) -> str:
    return datetime.fromtimestamp(moment / SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S")
