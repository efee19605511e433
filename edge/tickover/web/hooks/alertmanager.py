"""Prometheus' Alertmanager, by its API version 2: an episode is an alert, which the end resolves.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml

An alert there is what its labels are, so one whose severity rises is another: the one before is resolved in the same
request. A resolved alert that never fired is told to nobody.
"""

from typing import Any, Final
from urllib.parse import quote

from tickover.core.time_format import iso
from tickover.core.values import SECOND, Alert, Severity
from tickover.host.clock import now_us
from tickover.web.hooks import truck_event
from tickover.web.hooks.base import alert_in, details, encode, post, summary
from tickover.web.hooks.config import HookConfig
from tickover.web.hooks.truck_event import TruckEvent

PATH: Final = "/api/v2/alerts"
NAME: Final = "tickover"
TRUCK: Final = "TruckDoesNotReport"
GONE_US: Final = 30 * 86_400 * SECOND
HOLD_US: Final = 3 * 3600 * SECOND
"""An alert that is neither renewed nor ended for this long resolves itself: open episodes are told again each
5 minutes, those of sensors each hour."""


class Alertmanager:
    """``page``: the address of the fleet's page, for links back."""

    def __init__(self, config: HookConfig) -> None:
        self._url = config.url.rstrip("/") + PATH
        self._token, self._page = config.token(), config.page

    def send(self, id: str, body: bytes) -> None:
        """Hand on an alert."""
        headers = {"content-type": "application/json"}
        truck = truck_event.decode(body)
        now = now_us()
        alerts = [_of_truck(truck, self._page, now)] if truck else alerts_of(alert_in(body), self._page, now)
        post(self._url, encode(alerts), headers | ({"authorization": f"Bearer {self._token}"} if self._token else {}))


def alerts_of(alert: Alert, page: str, now: int) -> list[dict[str, Any]]:
    """The alert at its severity, and at each lower one, resolved; ``now`` in microseconds of this clock."""
    severities = list(Severity)
    rank = severities.index(alert.severity)
    return [
        _alert(alert, severity, alert.end is None and place == rank, page, now)
        for place, severity in enumerate(severities[: rank + 1])
    ]


def _of_truck(event: TruckEvent, page: str, now: int) -> dict[str, Any]:
    """It fires until the truck reports again; without that, for a month."""
    vehicle = event.turn.vehicle
    told = {
        "labels": {"alertname": TRUCK, "vehicle": vehicle, "severity": Severity.MAJOR.value},
        "annotations": {"summary": event.line},
        # Without a start Alertmanager takes the end for it.
        "startsAt": iso(min(event.turn.since, now - SECOND)),
        "endsAt": iso(now + GONE_US if event.is_gone else now),
    }
    return told | ({"generatorURL": f"{page.rstrip('/')}/?truck={quote(vehicle, safe='')}"} if page else {})


def _alert(alert: Alert, severity: Severity, fires: bool, page: str, now: int) -> dict[str, Any]:
    labels = {
        "alertname": NAME,
        "vehicle": alert.vehicle,
        "detector": alert.detector,
        "severity": severity.value,
        "episode": alert.episode_id,
    }
    # An end that is not past yet resolves nothing there (Alert.Merge keeps the later end), and a truck's clock may be
    # ahead of this one. An end has to be after the start.
    start = min(alert.start, now - SECOND)
    end = now + HOLD_US if fires else max(min(alert.end or alert.time, now), start + 1)
    told = {
        "labels": labels,
        "annotations": {"summary": summary(alert), "description": details(alert)},
        "startsAt": iso(start),
        "endsAt": iso(end),
    }
    return told | ({"generatorURL": f"{page.rstrip('/')}/?episode={alert.episode_id}"} if page else {})
