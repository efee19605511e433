"""Hands alerts on at least once, in their order, from a queue on disk: a receiver may be down, this process be killed.

An alert is queued in the transaction that stores it, and leaves the queue once its receiver has taken it. What was
taken just before a kill is sent again, with the same id.
"""

import logging
import threading
import time
from typing import Any, Final

from tickover.core.values import Alert, Severity
from tickover.storage.history import History
from tickover.web.fleet import Turn
from tickover.web.hooks import truck_event
from tickover.web.hooks.base import AwayError, Hook, RefusedError
from tickover.web.hooks.config import HookConfig

logger: Final = logging.getLogger("tickover")
AT_ONCE: Final = 20
"""Alerts that are read from the queue at a time."""
SETTLE_S: Final = 0.01
"""Alerts that are sent within this time are taken off the queue together. A receiver that needs longer for one, as
those that people read do, is sent at most one again after a kill."""
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
IDLE_S: Final = 1.0
TRIES: Final = 3
"""A message that its receiver does not accept is left out after so many tries, and counted."""
MOST_WAITING: Final = 100_000
SAY: Final = 200


class Delivery:
    """One hook with its queue and its thread. ``history`` is the page's."""

    def __init__(self, config: HookConfig, hook: Hook, history: History) -> None:
        self.config = config
        self._hook, self._history = hook, history
        self._waiting = history.depth(config.name)
        self._sent = self._refused = self._muted = self._overflow = self._tries = 0
        self._trouble = ""
        self._news, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"hook {config.name}", daemon=True)

    def take(self, alert: Alert, body: bytes, muted: bool) -> None:
        """Queue a new alert, in the transaction of the caller."""
        rank = self._history.worst_before(alert.episode_id, alert.alert_id)
        if not self.config.wants(alert, None if rank is None else list(Severity)[rank]):
            return
        if muted and not self.config.muted:
            self._muted += 1
        else:
            self._queue(alert.alert_id, body)

    def turn(self, turn: Turn, now: int) -> None:
        """Queue that a truck stopped reporting, or reports again, in the transaction of the caller."""
        if self.config.trucks:
            self._queue(*truck_event.encode(turn, now))

    def _queue(self, id: str, body: bytes) -> None:
        if self._waiting >= MOST_WAITING:
            self._overflow += 1
        elif self._history.queue(self.config.name, id, body):
            self._waiting += 1
            self._news.set()

    def start(self) -> None:
        """Begin to hand on, with what an earlier run left."""
        self._news.set()
        self._thread.start()

    def stop(self) -> None:
        """End after the message that is being sent."""
        self._stop.set()
        self._news.set()
        self._thread.join(LONGEST_WAIT_S)

    def report(self) -> dict[str, Any]:
        """For the page: what waits, what went, what is wrong."""
        return {
            "name": self.config.name, "kind": self.config.kind, "waiting": self._waiting, "sent": self._sent,
            "refused": self._refused, "muted": self._muted, "overflow": self._overflow, "trouble": self._trouble,
        }  # fmt: skip

    def _run(self) -> None:
        wait = FIRST_WAIT_S
        while not self._stop.is_set():
            self._news.wait(IDLE_S)
            self._news.clear()
            if self._drain():
                wait = FIRST_WAIT_S
            else:
                self._stop.wait(wait)
                wait = min(2 * wait, LONGEST_WAIT_S)

    def _drain(self) -> bool:
        """Send what waits; False when the receiver is away."""
        while not self._stop.is_set() and (batch := self._history.waiting(self.config.name, AT_ONCE)):
            done: list[int] = []
            since = time.monotonic()
            for number, id, body in batch:
                if not self._send(id, body):
                    self._settle(done)
                    return False
                done.append(number)
                if time.monotonic() - since >= SETTLE_S:
                    self._settle(done)
                    done, since = [], time.monotonic()
            self._settle(done)
        return True

    def _settle(self, numbers: list[int]) -> None:
        """Take off the queue what its receiver has."""
        if numbers:
            self._history.delivered(numbers)
            self._history.commit()
            self._waiting -= len(numbers)

    def _send(self, id: str, body: bytes) -> bool:
        """True when the message is off the queue: taken, or refused for good."""
        try:
            self._hook.send(id, body)
        except AwayError as error:
            self._say(f"waits: {error}")
            return False
        except RefusedError as error:
            self._tries += 1
            self._say(f"refused {id}: {error}")
            if self._tries < TRIES:
                return False
            self._refused += 1
        except Exception as error:
            logger.exception("hook %s", self.config.name)
            self._say(f"failed: {error}")
            return False
        else:
            self._sent += 1
            self._trouble = ""
        self._tries = 0
        return True

    def _say(self, text: str) -> None:
        """Told on the page, and logged once while it stays."""
        if text[:SAY] != self._trouble:
            self._trouble = text[:SAY]
            logger.warning("hook %s %s", self.config.name, self._trouble)
