"""The file of ``tickover web --hooks``: which alerts go where."""

from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from tickover.core.values import Alert, Phase, Severity
from tickover.errors import ConfigError
from tickover.host import toml
from tickover.storage.files import read_text

LONGEST_TOKEN: Final = 4096
Kind = Literal["webhook", "alertmanager", "apprise", "home_assistant"]
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]


class HookConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way out. ``severity``: the least that is handed on. ``updates``: every alert; else an episode's first, those
    at which its severity rises, and its end. Default: what people read (apprise) has none.

    ``url``: of a webhook, or of Alertmanager; ``token_file`` holds a bearer token for it. ``urls``: of apprise.
    ``page``: the address under which people reach the fleet's page, for links. ``prefix``: the discovery topic of Home
    Assistant. ``muted``: whether what is muted on the page goes out all the same. ``trucks``: whether a truck that
    stops reporting, and reports again, is handed on, too.
    """

    name: Name
    kind: Kind
    severity: Severity = Severity.WARNING
    updates: bool | None = None
    url: str = ""
    urls: tuple[str, ...] = ()
    token_file: str = ""
    page: str = ""
    prefix: str = "homeassistant"
    muted: bool = False
    trucks: bool = False

    def problem(self) -> str | None:
        """What types alone cannot say."""
        if self.kind in ("webhook", "alertmanager") and not self.url.startswith(("http://", "https://")):
            return f"url: expected http:// or https://, got {self.url!r}"
        if self.kind == "apprise" and not self.urls:
            return 'urls: expected at least one, as "ntfy://topic"'
        if self.page and not self.page.startswith(("http://", "https://")):
            return f"page: expected http:// or https://, got {self.page!r}"
        return None

    def wants(self, alert: Alert, before: Severity | None) -> bool:
        """Whether the alert is handed on; ``before``: the episode's highest severity until then, None: its first."""
        severities = list(Severity)
        rank = severities.index(alert.severity)
        if rank < severities.index(self.severity):
            return False
        every = self.kind != "apprise" if self.updates is None else self.updates
        return every or alert.phase is Phase.END or before is None or rank > severities.index(before)

    def token(self) -> str:
        """The bearer token, empty when there is none; ConfigError when its file cannot be read."""
        try:
            return read_text(Path(self.token_file), LONGEST_TOKEN).strip() if self.token_file else ""
        except (OSError, ValueError) as error:
            raise ConfigError(f"hooks {self.name!r}: token_file: {self.token_file} cannot be read: {error}") from error


class _File(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    hooks: tuple[HookConfig, ...] = ()


def load_hooks(path: Path) -> tuple[HookConfig, ...]:
    """The hooks of a TOML file; ConfigError names what is wrong."""
    hooks = toml.decode(toml.read(path), _File, str(path)).hooks
    names = [hook.name for hook in hooks]
    for hook in hooks:
        if names.count(hook.name) > 1:
            raise ConfigError(f"{path}: hooks: expected names of their own, got {hook.name!r} twice")
        if problem := hook.problem():
            raise ConfigError(f"{path}: hooks {hook.name!r}: {problem}")
    return hooks
