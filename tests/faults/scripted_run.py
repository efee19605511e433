"""A daemon with a scripted broker, to be recorded: ``python scripted_run.py CONFIG [SYNCHRONOUS]``.

Says on standard output, as JSON lines, what reaches the broker: acknowledgements and messages, each before anything
else is done.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from daemon_process import Row, drive
from faults import scripted
from faults.store_writer import weaken
from tickover.transports.mqtt.dedup import Delivery

BURST = 9
"""Rows that come at once."""


def run_rows() -> list[Row]:
    """What the truck says: four faults, so that something is always under way."""
    return drive(640)


class TellingLink(scripted.ScriptedLink):
    """A scripted link that tells all it gets."""

    def acknowledge(self, tokens: Iterable[Delivery]) -> None:
        tokens = list(tokens)
        super().acknowledge(tokens)
        say(acknowledged=[token.packet_id for token in tokens])

    def publish(self, token: object, topic: str, payload: bytes, retain: bool = False) -> None:
        super().publish(token, topic, payload, retain)
        if "/alert/" in topic:
            say(told=payload.decode())


def say(**fact: object) -> None:
    """One line."""
    os.write(1, json.dumps(fact).encode() + b"\n")


def main(config: str, level: str = "FULL") -> None:
    logging.disable()
    if level != "FULL":
        weaken(level)
    rows = run_rows()
    with scripted.started(Path(config), TellingLink) as (daemon, link):
        for first in range(0, len(rows), BURST):
            for number, row in enumerate(rows[first : first + BURST], first + 1):
                link.inbox.append(scripted.message(row, number))
            daemon.turn(0)
            time.sleep(0.01)
        scripted.turn_until_idle(daemon, link)


if __name__ == "__main__":
    main(*sys.argv[1:])
