"""Topic templates: ``truck/{vehicle}/{signal}`` gives the subscription and the meaning of each level.

``+`` is any one level. ``{signal+}`` is one or more levels, which name the signal together: of ``vss/Vehicle/Speed``
with ``vss/{signal+}`` it is ``Vehicle.Speed``. ``#`` at the end is all levels that follow, or none.
"""

from typing import Final

FIELD_NAMES: Final = frozenset({"vehicle", "signal", "kind", "device", "group"})
"""The fields that a template may name."""
SHARE: Final = "$share"
MANY: Final = "{signal+}"
REST: Final = "#"
JOIN: Final = "."
"""Between the levels of a signal's name: the names of signals hold no slash."""


class TopicTemplate:
    """A template such as ``truck/{vehicle}/+/telemetry``; ``problem`` says what is wrong with it, or None."""

    def __init__(self, template: str) -> None:
        self.group, template = split_share(template)
        levels = template.split("/")
        many = next((place for place, level in enumerate(levels) if level in (MANY, REST)), None)
        self.fields = tuple(level[1:-1].removesuffix("+") for level in levels if _is_field(level))
        self.problem = _problem(template, levels, self.fields)
        self._head = levels[:many]
        self._many = None if many is None else levels[many]
        self._tail = [] if many is None else levels[many + 1 :]
        self.filter = "/".join("+" if _is_field(level) else level for level in self._head)
        if self._many:
            # A subscription has no sign for "many levels, then this one": what is received beside is not read.
            self.filter = "/".join([self.filter, REST] if self._head else [REST])
        if self.group:  # the broker delivers under the topics themselves
            self.problem = self.problem or _share_problem(self.group, template, self.fields)
            self.filter = self.group + self.filter

    def match(self, topic: str) -> dict[str, str] | None:
        """The fields of a topic, or None when it does not fit the template."""
        levels = topic.split("/")
        between = len(levels) - len(self._head) - len(self._tail)
        least = {None: 0, REST: 0, MANY: 1}[self._many]
        if between < least or (self._many is None and between):
            return None
        fields: dict[str, str] = {}
        inner = levels[len(self._head) : len(self._head) + between]
        outer = levels[: len(self._head)] + levels[len(self._head) + between :]
        for pattern, level in zip(self._head + self._tail, outer, strict=True):
            if _is_field(pattern):
                fields[pattern[1:-1]] = level
            elif pattern not in ("+", level):
                return None
        if self._many == MANY:
            fields["signal"] = JOIN.join(inner)
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
            "set fleet.shards, by which several daemons share a fleet, or give each topics of its own (a depot's)"
        )
    return None


def _is_field(level: str) -> bool:
    return level.startswith("{") and level.endswith("}")


def _problem(template: str, levels: list[str], fields: tuple[str, ...]) -> str | None:
    if REST in template[:-1] or (template.endswith(REST) and levels[-1] != REST):
        return f"expected # as the last level only, got {template!r}"
    if len(set(fields)) != len(fields) or (MANY in levels and REST in levels):
        return f"expected each field once, and {MANY} without #, got a field twice in {template!r}"
    for level in levels:
        rest = level[1:-1] if _is_field(level) and level != MANY else level
        if level != MANY and (any(mark in rest for mark in "{}") or ("+" in rest and rest != "+")):
            return f"expected a name, + or {{field}} for each level, got {level!r} in {template!r}"
    return None
