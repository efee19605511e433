"""The operating gate: ``engine_speed > 400 and speed >= 1``. Only readings taken while it holds reach the detector."""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

from tickover.errors import ConfigError

COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_TERM: Final = re.compile(r"^\s*([A-Za-z_][A-Za-z0-9_.@\-]*)\s*(>=|<=|>|<)\s*([-+0-9.eE]+)\s*$")


class Gate:
    """Comparisons joined by ``and``. A signal that was never read leaves the gate shut."""

    def __init__(self, text: str) -> None:
        matches = [_TERM.match(term) for term in text.split(" and ")]
        try:
            self.terms = [(m[1], COMPARISONS[m[2]], float(m[3])) for m in matches if m]
        except ValueError:
            self.terms = []
        if len(self.terms) < len(matches):
            raise ConfigError(f"expected comparisons such as 'engine_speed > 400 and speed >= 1', got {text!r}")

    @classmethod
    def problem(cls, text: str | None) -> str | None:
        """Why the text is no gate, or None."""
        try:
            if text is not None:
                cls(text)
        except ConfigError as error:
            return str(error)
        return None

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals that it looks at."""
        return tuple(name for name, _, _ in self.terms)

    def holds(self, last: Mapping[str, float]) -> bool:
        """Whether the last known values satisfy every comparison."""
        return all(name in last and compare(last[name], limit) for name, compare, limit in self.terms)
