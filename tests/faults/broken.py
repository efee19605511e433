"""tickover with one promise broken on purpose: ``python broken.py NAME run --config …``. The harnesses must find it."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tickover import cli
from tickover.daemon import loop, outbox
from tickover.daemon.committer import Committer
from tickover.transports.mqtt import link


def acknowledge_first() -> None:
    """Inputs are acknowledged when they come, before the commit."""
    received = Committer.received

    def early(self: Committer, message: link.Incoming) -> None:
        received(self, message)
        LINKS[-1].acknowledge([message])
        time.sleep(0.001)  # the socket's thread sends it

    Committer.received = early  # type: ignore[method-assign]
    Link = loop.Link

    def noted(*args: Any, **options: Any) -> link.Link:
        LINKS.append(Link(*args, **options))
        return LINKS[-1]

    loop.Link = noted  # type: ignore[assignment,misc]


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
    lost = loop.Daemon._on_disconnected

    def stay(self: loop.Daemon, event: link.Disconnected) -> None:
        lost(self, event)
        self.connected = True

    loop.Daemon._on_disconnected = stay  # type: ignore[method-assign]
    link.Link.heard = property(lambda _: time.monotonic(), lambda *_: None)  # type: ignore[assignment,method-assign]


LINKS: list[link.Link] = []
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
