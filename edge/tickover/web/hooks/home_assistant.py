"""Home Assistant: each truck as a device with two binary sensors, by MQTT discovery.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery

What is published is state, not messages: retained topics that say what stands now, published again at each connect.
"""

import hashlib
import threading
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tickover import __version__
from tickover.web.desk import Desk
from tickover.web.fleet import COLUMNS
from tickover.web.hooks.config import HookConfig

EVERY_S: Final = 1.0
MOST_TRUCKS: Final = 500
"""Home Assistant keeps every entity in memory."""
SEVERITIES: Final = ("warning", "major", "critical")
Publish = Callable[[str, bytes], bool]


class HomeAssistant:
    """``publish`` sends a retained message; False when the broker is away."""

    def __init__(self, config: HookConfig, desk: Desk, publish: Publish) -> None:
        self._config, self._desk, self._publish = config, desk, publish
        self._told: dict[str, bytes] = {}
        self._since = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"hook {config.name}", daemon=True)

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def stop(self) -> None:
        """End; what was published stays."""
        self._stop.set()
        self._thread.join(5)

    def report(self) -> dict[str, Any]:
        """For the page."""
        return {
            "name": self._config.name,
            "kind": self._config.kind,
            "waiting": 0,
            "sent": len(self._told),
            "trouble": "",
        }

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.renew()

    def renew(self) -> None:
        """Publish what is not as it was published last."""
        view = self._desk.fleet_view()
        if not view["page"]["broker"]["connected"]:
            return
        if view["page"]["broker"]["since"] != self._since:
            self._since, self._told = view["page"]["broker"]["since"], {}
        for row in view["rows"][:MOST_TRUCKS]:
            for topic, body in self.topics(dict(zip(COLUMNS, row, strict=True))):
                payload = msgspec.json.encode(body)
                if self._told.get(topic) != payload and self._publish(topic, payload):
                    self._told[topic] = payload

    def topics(self, row: dict[str, Any]) -> list[tuple[str, Any]]:
        """The retained topics of a truck: two discovery messages and one state."""
        key = f"tickover_{hashlib.sha256(row['name'].encode()).hexdigest()[:16]}"
        state = f"{self._config.prefix}/binary_sensor/{key}/state"
        worst = max((n for n, count in enumerate(row["open"]) if count), default=None)
        now = {
            "problem": "OFF" if worst is None else "ON",
            "reporting": "OFF" if row["state"] in ("silent", "offline") else "ON",
            "severity": None if worst is None else SEVERITIES[worst],
            "signals": row["signals"],
            "state": row["state"],
        }
        parts = (("problem", "problem", "Problem"), ("reporting", "connectivity", "Reporting"))
        found: list[tuple[str, Any]] = [
            (
                f"{self._config.prefix}/binary_sensor/{key}/{part}/config",
                self._config_of(row["name"], key, state, *about),
            )
            for part, *about in ((part, part, kind, text) for part, kind, text in parts)
        ]
        return [*found, (state, now)]

    def _config_of(self, name: str, key: str, state: str, part: str, kind: str, text: str) -> dict[str, Any]:
        page = self._config.page
        device = {"identifiers": [key], "name": name, "manufacturer": "tickover", "sw_version": __version__}
        return {
            "name": text,
            "unique_id": f"{key}_{part}",
            "device_class": kind,
            "state_topic": state,
            "value_template": f"{{{{ value_json.{part} }}}}",
            "json_attributes_topic": state,
            "device": device | ({"configuration_url": page} if page else {}),
        }
