"""ntfy, Slack, Teams, mail and a hundred more, through the library apprise (extra ``notify``), by their URLs.

https://github.com/caronc/apprise/wiki
"""

from typing import Final
from urllib.parse import quote

from tickover.core.values import Severity
from tickover.errors import ConfigError
from tickover.web.hooks import truck_event
from tickover.web.hooks.base import AwayError, alert_in, details, summary
from tickover.web.hooks.config import HookConfig

TYPES: Final = {Severity.WARNING: "info", Severity.MAJOR: "warning", Severity.CRITICAL: "failure"}
OVER: Final = "success"


class AppriseUrls:
    """ConfigError when a URL is none that apprise knows."""

    def __init__(self, config: HookConfig) -> None:
        import apprise

        self._page, self._urls = config.page, apprise.Apprise()
        for number, url in enumerate(config.urls, 1):
            if not self._urls.add(url):
                kind = url.partition("://")[0][:20]
                raise ConfigError(f"hooks {config.name!r}: urls: number {number} ({kind}://…) is no URL for apprise")

    def send(self, id: str, body: bytes) -> None:
        """Hand on an alert. The library does not say why something was not taken; its log does."""
        truck = truck_event.decode(body)
        if truck:
            title, text, kind = truck.line, "", TYPES[Severity.MAJOR] if truck.is_gone else OVER
            link = f"/?truck={quote(truck.turn.vehicle, safe='')}"
        else:
            alert = alert_in(body)
            title, text = summary(alert), details(alert) + "\n"
            kind = TYPES[alert.severity] if alert.end is None else OVER
            link = f"/?episode={alert.episode_id}"
        text += self._page.rstrip("/") + link if self._page else ""
        if not self._urls.notify(title=title, body=text.strip() or title, notify_type=kind):
            raise AwayError("not taken by every URL")
