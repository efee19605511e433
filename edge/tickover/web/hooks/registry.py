"""The kinds of hook by name; a new one is a file and a line."""

from collections.abc import Callable
from typing import Final

from tickover.storage.history import History
from tickover.web.hooks.alertmanager import Alertmanager
from tickover.web.hooks.apprise_urls import AppriseUrls
from tickover.web.hooks.base import Hook
from tickover.web.hooks.config import HookConfig
from tickover.web.hooks.delivery import Delivery
from tickover.web.hooks.webhook import Webhook

HOOKS: Final[dict[str, Callable[[HookConfig], Hook]]] = {
    "webhook": Webhook,
    "alertmanager": Alertmanager,
    "apprise": AppriseUrls,
}
HOME_ASSISTANT: Final = "home_assistant"
"""This one publishes state, and takes no alerts."""


def deliveries(configs: tuple[HookConfig, ...], history: History) -> list[Delivery]:
    """The hooks that take alerts."""
    return [Delivery(one, HOOKS[one.kind](one), history) for one in configs if one.kind in HOOKS]
