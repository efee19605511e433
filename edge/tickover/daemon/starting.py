"""What is said while the journal is run again, which takes a large fleet half a minute: to systemd, and to the log."""

import logging
import time
from typing import Final

from tickover.host.log_fields import fields
from tickover.host.systemd import notify

logger: Final = logging.getLogger("tickover")

LOGGED_S: Final = 5.0
MORE_S: Final = 60
"""systemd waits so long for the next sign of life; else a start that takes longer than ``TimeoutStartSec`` is killed,
and the next one takes as long."""


class Progress:
    """Call it with how many journal entries were applied, of ``total``."""

    def __init__(self, total: int) -> None:
        self._total, self._next = total, time.monotonic() + LOGGED_S

    def __call__(self, entries: int) -> None:
        notify(f"EXTEND_TIMEOUT_USEC={MORE_S * 1_000_000}")
        now = time.monotonic()
        if now >= self._next:
            self._next = now + LOGGED_S
            logger.info("running the journal again %s", fields(entries=entries, of=self._total))
