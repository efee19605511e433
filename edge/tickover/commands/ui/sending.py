"""What ``play`` and ``simulate`` share: they publish rows as a truck and show how far they are."""

import time
from typing import Final

import click

from tickover.commands.ui.terminal import StatusLine
from tickover.commands.ui.words import many
from tickover.core.time_format import clock, duration, is_relative
from tickover.core.values import SECOND
from tickover.errors import BrokerError, LogError
from tickover.payloads.base import PayloadError
from tickover.payloads.values import vehicle_name
from tickover.transports.mqtt.client import MqttClient

LOG_EVERY_S: Final = 30.0
"""How often a line is written where standard error is no terminal."""
DRAIN_LIMIT_S: Final = 10.0
LIVELY: Final = 10
"""A pace of this or more is shown in whole numbers."""


class Sender:
    """Publishes messages to each vehicle's topic and shows progress on standard error."""

    def __init__(self, client: MqttClient, topic: str) -> None:
        if "{vehicle}" not in topic or "+" in topic or "#" in topic:
            raise click.UsageError(f"--topic: expected {{vehicle}} in it, and neither + nor #, got {topic!r}")
        self._client = client
        self._topic = topic
        self._began = time.monotonic()
        self._line = StatusLine(LOG_EVERY_S)
        self._first: int | None = None
        self._moment = 0
        self._sent = 0

    def send(self, vehicle: str, moment: int, payload: bytes) -> None:
        """Publish one message; waits while too many are unacknowledged.

        LogError for a vehicle whose name cannot be a level of a topic.
        """
        try:
            level = vehicle_name(vehicle)
        except PayloadError as error:
            raise LogError(f"expected a vehicle's name without / + and #, got {vehicle!r}") from error
        self._client.publish(self._topic.replace("{vehicle}", level), payload)
        self._first = moment if self._first is None else self._first
        self._moment = max(self._moment, moment)
        self._sent += 1
        if self._line.is_due():
            self._line.show(f"{many(self._sent, 'message')}, {self._passed()}, now at {self._now()}")

    def finish(self, word: str) -> None:
        """Wait for the last acknowledgements and print the result; BrokerError when messages were refused."""
        complete = self._client.drain(DRAIN_LIMIT_S)
        counts = self._client.counts
        self._line.show(f"{word}: {many(counts['published'], 'message')} acknowledged, {self._passed()}", last=True)
        if counts["unheard"]:
            click.echo(
                f"{counts['unheard']:,} of them had no subscriber; check the topic in the daemon's configuration",
                err=True,
            )
        if counts["reconnected"]:
            click.echo(f"connected again {many(counts['reconnected'], 'time')}", err=True)
        if counts["refused"]:
            raise BrokerError(
                f"the broker refused {counts['refused']:,} messages: {self._client.refusal}; check the broker's ACL"
            )
        if not complete:
            raise BrokerError(f"{self._sent - counts['published']:,} messages were not acknowledged")

    def _passed(self) -> str:
        """How much event time was sent, in how much time, and the ratio of the two."""
        driven = self._moment - (self._first or 0) if self._sent else 0
        took = max(round((time.monotonic() - self._began) * SECOND), 1)
        pace = f"{driven / took:,.0f}" if driven >= LIVELY * took else f"{driven / took:.2g}"
        return f"{duration(driven)} of driving in {duration(took)} ({pace} times as fast)"

    def _now(self) -> str:
        return clock(self._moment, is_relative(self._moment))
