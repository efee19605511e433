"""The names of the topics that the daemon publishes to and listens on (docs/asyncapi.json)."""

from collections.abc import Iterable
from typing import Final

QUESTIONS: Final = ("status", "snapshot")
"""Commands that change nothing: they need not wait for what was published before them."""


class Topics:
    """``<base>/v1/<vehicle>/…``; the daemon's own topics are under its node."""

    def __init__(self, base: str, node: str) -> None:
        self._root = f"{base}/v1"
        self.status, self.info, self.health = (self.of(node, name) for name in ("status", "info", "health"))
        self.requests = f"{self._root}/+/cmd/+/request"
        self.questions = tuple(f"{self._root}/+/cmd/{name}/request" for name in QUESTIONS)

    def of(self, vehicle: str, name: str) -> str:
        """One topic of a vehicle."""
        return f"{self._root}/{vehicle}/{name}"

    def alarms(self, vehicle: str, names: Iterable[str]) -> list[str]:
        """The alarm topics of a vehicle's detectors, or of notices."""
        return [self.of(vehicle, f"alarm/{name}") for name in names]

    def response(self, target: str, command: str) -> str:
        """Where a command is answered."""
        return self.of(target, f"cmd/{command}/response")

    def command(self, topic: str) -> tuple[str, str] | None:
        """Target and name of a request's topic; None for other topics."""
        if not (topic.startswith(self._root) and topic.endswith("/request")):
            return None
        levels = topic[len(self._root) + 1 :].split("/")
        return (levels[0], levels[2]) if len(levels) == 4 and levels[1] == "cmd" else None
