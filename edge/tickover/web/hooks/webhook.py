"""A webhook: the alert as it was published, a CloudEvents 1.0 structured JSON, by HTTP POST.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md
"""

from tickover.web.hooks.base import post
from tickover.web.hooks.config import HookConfig


class Webhook:
    """``Idempotency-Key`` is the alert's id: an alert that is sent again has the same one."""

    def __init__(self, config: HookConfig) -> None:
        self._url, self._token = config.url, config.token()

    def send(self, id: str, body: bytes) -> None:
        """Hand on an alert."""
        headers = {"content-type": "application/cloudevents+json; charset=utf-8", "idempotency-key": id}
        post(self._url, body, headers | ({"authorization": f"Bearer {self._token}"} if self._token else {}))
