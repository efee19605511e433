"""A process that works for another ends when that one is gone, however it went."""

import os
import threading
import time
from typing import Final

LOOK_S: Final = 1.0


def end_with_parent(parent: int) -> None:
    """Watch from a thread; without it a killed parent leaves work behind that nobody waits for."""
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os._exit(1)
