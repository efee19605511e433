"""What is the same for all vehicles of a model is made once: a fleet holds thousands of them."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")

MOST: Final = 128
"""Things that are remembered: a dozen for each of some models; the oldest are made again."""
_MADE: Final[OrderedDict[tuple[int, ...], tuple[tuple[Any, ...], Any]]] = OrderedDict()


def once(make: Callable[..., T], *parts: object) -> T:
    """``make(*parts)``, or what that gave before for the very same objects; nobody may change it."""
    key = (id(make), *map(id, parts))
    found = _MADE.get(key)
    if found is None:
        # The parts are kept, so that no other object can come to have their identity.
        found = _MADE[key] = ((make, *parts), make(*parts))
        if len(_MADE) > MOST:
            _MADE.popitem(last=False)
    made: T = found[1]
    return made
