"""Which Sparkplug B nodes lost messages and must be asked for their births again.

A node counts its messages and those of its devices in one sequence, so both must be heard to tell a hole from a
message of the other.
"""

from collections.abc import Mapping
from typing import Final

from tickover.payloads.base import TOPIC, Requests

SEQUENCE: Final = 256
"""Sequence numbers count to 255 and begin again."""
MAX_SOURCES: Final = 10_000
"""The most nodes and devices that are remembered."""
BIRTH: Final = "NBIRTH"
KIND: Final = "{kind}"
NAMED: Final = frozenset({"{vehicle}", "{group}", "{device}"})


def neighbour_topics(template: str) -> tuple[str, ...]:
    """Where a node's other messages are, which are numbered with these: its devices', or for devices its own."""
    levels = template.split("/")
    below = len(levels) - levels.index(KIND) - 1
    if below > 2:  # deeper than a device: no topic of the specification
        return ()
    levels = [*levels, "+"] if below == 1 else levels[:-1]
    return ("/".join("+" if level in NAMED else level for level in levels),)


class Nodes:
    """Follows the nodes' sequence numbers; ``requests.wanted`` takes the command topics of those to ask.

    A node is known by its command topic. Without ``requests`` nothing is followed.
    """

    def __init__(self, template: str, requests: Requests | None) -> None:
        self._requests = requests
        self._kind_level = template.split("/").index(KIND)
        self._next: dict[str, int] = {}

    def of(self, fields: Mapping[str, str]) -> str:
        """The node that a message is of: the message's topic, up to the node's level, with NCMD as its kind.

        Empty when births are not asked for, or when the message's topic is not among the fields.
        """
        topic = fields.get(TOPIC, "") if self._requests else ""
        levels = topic.split("/")[: self._kind_level + 2]
        if len(levels) < self._kind_level + 2:
            return ""
        levels[self._kind_level] = "NCMD"
        return "/".join(levels)

    def want(self, node: str) -> None:
        """Ask this node."""
        if self._requests and node and len(self._requests.wanted) < MAX_SOURCES:
            self._requests.wanted.add(node)

    def died(self, node: str) -> None:
        """The node's NDEATH, which has no number; its next birth begins anew."""
        self._next.pop(node, None)

    def has_gap(self, node: str, kind: str, seq: int | None) -> bool:
        """Follow the number of one message; True when one was lost before it, and the node is asked."""
        if not node or self._requests is None:
            return False
        if kind == BIRTH:
            self._requests.wanted.discard(node)
        if seq is None or (node not in self._next and len(self._next) >= MAX_SOURCES):
            return False
        expected = self._next.get(node)
        # The number before the expected one is a repeated message (QoS 1), not a hole of 255.
        if kind != BIRTH and expected is not None and seq == (expected - 1) % SEQUENCE:
            return False
        self._next[node] = (seq + 1) % SEQUENCE
        if kind == BIRTH or expected == seq:
            return False
        # Also a node that is met in the middle (its birth came before our start) is asked: its aliases may be new.
        self.want(node)
        return expected is not None
