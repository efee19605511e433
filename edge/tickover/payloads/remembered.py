"""What is remembered per name, bounded in bytes: names come from outside, and may be many or long."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")


class Remembered(Generic[V]):
    """Name to value, at most ``most`` bytes as the caller counts them; the least recently used go first.

    ``each``: a larger value is not kept at all.
    """

    def __init__(self, most: int, each: int | None = None) -> None:
        self._most, self._each = most, most if each is None else each
        self._values: OrderedDict[str, tuple[V, int]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._values)

    def items(self) -> Iterator[tuple[str, V]]:
        """All, the least recently used first."""
        return ((name, value) for name, (value, _) in self._values.items())

    def get(self, name: str) -> V | None:
        """The value, which counts as used now; None when it is not remembered."""
        found = self._values.get(name)
        if found is None:
            return None
        self._values.move_to_end(name)
        return found[0]

    def forget(self, name: str) -> None:
        """No longer remember a value."""
        _, size = self._values.pop(name, (None, 0))
        self.bytes -= size

    def put(self, name: str, value: V, size: int) -> int:
        """Remember a value of ``size`` bytes; how many others, or itself, had to be forgotten for it."""
        _, before = self._values.pop(name, (None, 0))
        self.bytes -= before
        if size > self._each:
            return 1
        self._values[name] = (value, size)
        self.bytes += size
        gone = 0
        while self.bytes > self._most:
            _, (_, freed) = self._values.popitem(last=False)
            self.bytes -= freed
            gone += 1
        return gone
