"""Topic templates: ``truck/{vehicle}/{signal}`` gives the subscription and the meaning of each level."""

from typing import Final

FIELD_NAMES: Final = frozenset({"vehicle", "signal", "kind", "device", "group"})
"""The fields that a template may name."""
SHARE: Final = "$share"


class TopicTemplate:
    """A template such as ``truck/{vehicle}/+/telemetry``; ``problem`` says what is wrong with it, or None."""

    def __init__(self, template: str) -> None:
        self.group, template = split_share(template)
        levels = template.split("/")
        self.fields = tuple(level[1:-1] for level in levels if _is_field(level))
        self.filter = "/".join("+" if _is_field(level) else level for level in levels)
        self.problem = _problem(template, levels, self.fields)
        self._levels = levels
        if self.group:  # the broker delivers under the topics themselves
            self.problem = self.problem or _share_problem(self.group, template, self.fields)
            self.filter = self.group + self.filter

    def match(self, topic: str) -> dict[str, str] | None:
        """The fields of a topic, or None when it does not fit the template."""
        levels = topic.split("/")
        if len(levels) != len(self._levels):
            return None
        fields: dict[str, str] = {}
        for pattern, level in zip(self._levels, levels, strict=True):
            if _is_field(pattern):
                fields[pattern[1:-1]] = level
            elif pattern not in ("+", level):
                return None
        return fields


def split_share(template: str) -> tuple[str, str]:
    """A shared subscription's ``$share/GROUP/`` and the topic behind it; empty and the topic for any other.

    MQTT 5, 4.8.2; Mosquitto and others take it in 3.1.1 as well.
    """
    first, _, rest = template.partition("/")
    if first != SHARE:
        return "", template
    group, _, topic = rest.partition("/")
    return f"{SHARE}/{group}/", topic


def _share_problem(group: str, template: str, fields: tuple[str, ...]) -> str | None:
    name = group.split("/")[1]
    if not name or any(mark in name for mark in "+#{}") or not template:
        return f"expected {SHARE}/GROUP/TOPIC with a plain name of the group, got '{group}{template}'"
    if "vehicle" in fields:
        return (
            f"expected a topic without {SHARE} where it names the vehicle, got '{group}{template}': a shared "
            "subscription gives each message to any of its clients, so no daemon would see the whole of a vehicle; "
            "give each daemon topics of its own (a depot's, a region's)"
        )
    return None


def _is_field(level: str) -> bool:
    return level.startswith("{") and level.endswith("}")


def _problem(template: str, levels: list[str], fields: tuple[str, ...]) -> str | None:
    if "#" in template:
        return f"expected a name, + or {{field}} for each level, got '#' in {template!r}"
    if len(set(fields)) != len(fields):
        return f"expected each field once, got a field twice in {template!r}"
    for level in levels:
        rest = level[1:-1] if _is_field(level) else level
        if any(mark in rest for mark in "{}") or ("+" in rest and rest != "+"):
            return f"expected a name, + or {{field}} for each level, got {level!r} in {template!r}"
    return None
