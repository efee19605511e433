"""Prometheus' Alertmanager, by its API version 2: an episode is an alert, which the end resolves.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml

An alert there is what its labels are, so one whose severity rises is another: the one before is resolved in the same
request. A resolved alert that never fired is told to nobody.
"""

from typing import Any, Final

from tickover.core.time_format import iso
from tickover.core.values import SECOND, Alert, Severity
from tickover.web.hooks.base import alert_in, details, encode, post, summary
from tickover.web.hooks.config import HookConfig

PATH: Final = "/api/v2/alerts"
NAME: Final = "tickover"
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
        alerts = alerts_of(alert_in(body), self._page)
        post(self._url, encode(alerts), headers | ({"authorization": f"Bearer {self._token}"} if self._token else {}))


def alerts_of(alert: Alert, page: str) -> list[dict[str, Any]]:
    """The alert at its severity, and at each lower one, resolved."""
    severities = list(Severity)
    now = severities.index(alert.severity)
    return [
        _alert(alert, severity, alert.end is None and place == now, page)
        for place, severity in enumerate(severities[: now + 1])
    ]


def _alert(alert: Alert, severity: Severity, fires: bool, page: str) -> dict[str, Any]:
    labels = {
        "alertname": NAME,
        "vehicle": alert.vehicle,
        "detector": alert.detector,
        "severity": severity.value,
        "episode": alert.episode_id,
    }
    # Times are of the event; Alertmanager wants an end after the start.
    end = alert.time + HOLD_US if fires else max(alert.end or alert.time, alert.start + SECOND)
    told = {
        "labels": labels,
        "annotations": {"summary": summary(alert), "description": details(alert)},
        "startsAt": iso(alert.start),
        "endsAt": iso(end),
    }
    return told | ({"generatorURL": f"{page.rstrip('/')}/?episode={alert.episode_id}"} if page else {})
