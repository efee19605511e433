"""tickover with one promise broken on purpose: ``python broken.py NAME run --config …``. The harnesses must find it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tickover import cli, daemon, outbox
from tickover.committer import Committer
from tickover.io import mqtt


def acknowledge_first() -> None:
    """Inputs are acknowledged when they come, before the commit."""
    received = Committer.received

    def early(self: Committer, message: mqtt.Incoming) -> None:
        received(self, message)
        LINKS[-1].acknowledge([message])

    Committer.received = early  # type: ignore[method-assign]
    Link = daemon.Link

    def noted(*args: Any, **options: Any) -> mqtt.Link:
        LINKS.append(Link(*args, **options))
        return LINKS[-1]

    daemon.Link = noted  # type: ignore[assignment,misc]


def forget_first() -> None:
    """An alert leaves the outbox when it is sent, before the broker has it."""
    send = outbox.Outbox._send

    def hasty(self: Any, token: Any, *rest: Any) -> None:
        send(self, token, *rest)
        if hasattr(token, "n"):
            self._delivered.append(token.n)

    outbox.Outbox._send = hasty  # type: ignore[method-assign]


def publish_first() -> None:
    """Nothing is written before it is told: the store keeps its changes in memory."""
    from tickover.io import database

    connect = database.connect
    database.connect = lambda _: connect(":memory:")  # type: ignore[assignment]


LINKS: list[mqtt.Link] = []
WAYS: dict[str, Callable[[], None]] = {way.__name__: way for way in (acknowledge_first, forget_first, publish_first)}


def launcher(name: str) -> tuple[str, ...]:
    """What to give `Gateway.start` to run a broken daemon."""
    assert name in WAYS
    return (str(Path(__file__)), name)


if __name__ == "__main__":
    WAYS[sys.argv.pop(1)]()
    cli.main()
