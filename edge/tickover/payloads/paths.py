"""Where something stands in a JSON value: a key, keys with dots between them, or a JMESPath expression.

https://jmespath.org/specification.html. ``state.reported`` is JMESPath too; it is walked here, because evaluating it
with the library costs ten times as much for each message. The library is loaded for what is more than that.
"""

import re
from typing import Any, Final

MISSING: Final = object()
"""Nothing stands there."""
_SIMPLE: Final = re.compile(r"""[^\s.\[\]{}()"'`@&|*?!<>=,]+(?:\.[^\s.\[\]{}()"'`@&|*?!<>=,]+)*""")
"""Keys of any letters but JMESPath's own signs, with dots between them."""


class Path:
    """A place in a JSON value. ``is_expression``: more than keys with dots between them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._keys = tuple(text.split(".")) if _SIMPLE.fullmatch(text) else ()
        self._expression = None if self._keys else _compiled(text)
        self.is_expression = self._expression is not None

    def find(self, item: object) -> Any:
        """What stands there, or MISSING. A key of the whole text comes first: ``position.speed`` may be one key."""
        if type(item) is dict and self.text in item:
            return item[self.text]
        if self._expression is not None:
            return self._search(item)
        for key in self._keys:
            item = item.get(key, MISSING) if type(item) is dict else MISSING
        return item if self._keys else MISSING

    def _search(self, item: object) -> Any:
        from jmespath.exceptions import JMESPathError

        assert self._expression is not None
        try:
            found = self._expression.search(item)
        except (JMESPathError, ArithmeticError, LookupError, TypeError, ValueError):
            # A function that met a value of another type than it takes.
            return MISSING
        return MISSING if found is None else found


def _compiled(text: str) -> Any:
    """The compiled expression; None when the text is none, and only a key."""
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.compile(text)
    except (JMESPathError, ValueError):
        return None
