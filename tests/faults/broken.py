"""tickover with one promise broken on purpose: ``python broken.py NAME run --config …``. The harnesses must find it."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tickover import cli
from tickover.daemon import outbox
from tickover.daemon.committer import Committer
from tickover.daemon.connection import Connection
from tickover.transports.base import Disconnected
from tickover.transports.mqtt.link import Link


def acknowledge_first() -> None:
    """Inputs are acknowledged when they come, before the commit."""
    begin = Committer.__init__

    def noted(self: Committer, policy: Any, source: Link, *rest: Any) -> None:
        begin(self, policy, source, *rest)
        received = self.received

        def early(token: object) -> None:
            received(token)
            source.acknowledge([token])
            time.sleep(0.001)  # the socket's thread sends it

        self.received = early  # type: ignore[method-assign]

    Committer.__init__ = noted  # type: ignore[method-assign]


def forget_first() -> None:
    """An alert leaves the outbox when it is sent, before the broker has it."""
    send = outbox.Outbox._send

    def hasty(self: Any, token: Any, *rest: Any) -> None:
        send(self, token, *rest)
        if hasattr(token, "n"):
            self._delivered.append(token.n)

    outbox.Outbox._send = hasty  # type: ignore[method-assign]


def count_silence_always() -> None:
    """A network that is away counts as a truck that is silent."""
    lost = Connection.disconnected

    def stay(self: Connection, event: Disconnected) -> None:
        lost(self, event)
        self.up = True

    Connection.disconnected = stay  # type: ignore[method-assign]
    Link.heard = property(lambda _: time.monotonic(), lambda *_: None)  # type: ignore[assignment,method-assign]


WAYS: dict[str, Callable[[], None]] = {
    way.__name__: way for way in (acknowledge_first, forget_first, count_silence_always)
}


def launcher(name: str) -> tuple[str, ...]:
    """What to give `Gateway.start` to run a broken daemon."""
    assert name in WAYS
    return (str(Path(__file__)), name)


if __name__ == "__main__":
    WAYS[sys.argv.pop(1)]()
    cli.main()
