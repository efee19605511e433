"""MQTT: the daemon's link and the client of people's commands (the only paho import)."""

import importlib
import sys
import types
import urllib
from typing import Any


class _WhenUsed(types.ModuleType):
    """Stands for a module that is imported once something of it is used.

    `importlib.util.LazyLoader` would do, but loads the module at the next ``import`` of it.
    """

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


# paho imports it to look for a proxy in the environment, which the daemon's client never does (`FastClient`): with http
# and email it takes more than a megabyte.
if "urllib.request" not in sys.modules:
    sys.modules["urllib.request"] = urllib.request = _WhenUsed("urllib.request")  # type: ignore[attr-defined]
