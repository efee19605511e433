"""Listens to a bus in a thread of its own, and opens the interface again whenever it goes away."""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from tickover.transports.backoff import LONGEST_S, Waits
from tickover.transports.can.base import ERROR, REMOTE, Frame, Port

logger: Final = logging.getLogger("tickover.transports.can")

WAIT_S: Final = 0.1
"""How long one call waits for frames; how soon a stop is noticed."""
MAX_WAITING: Final = 65_536
"""Frames that may wait for the daemon: 16 s of a full bus. The oldest go first, and are counted."""


class Listener:
    """Frames of a bus, taken by `drain`. ``counts``: frames, error frames, remote frames, overruns, opened."""

    def __init__(self, name: str, open_port: Callable[[], Port], longest_wait_s: float = LONGEST_S) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        self.trouble = "not opened yet"
        self.tried = False
        self._open_port = open_port
        self._waits = Waits(longest_wait_s)
        self._waiting: deque[Frame] = deque()
        self._stop = threading.Event()
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name=f"bus {name}", daemon=True)

    @property
    def is_open(self) -> bool:
        """Whether the interface is open."""
        return not self.trouble

    @property
    def dropped(self) -> int:
        """Frames that the interface or this listener lost, since the start."""
        return self._dropped + self.counts["overruns"]

    def start(self) -> None:
        """Begin to listen; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and let go of the interface."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10 * WAIT_S)

    def drain(self) -> list[Frame]:
        """The frames since the last call, in order of arrival."""
        waiting = self._waiting
        return [waiting.popleft() for _ in range(len(waiting))]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                port = self._open_port()
            except OSError as error:
                self._say(f"cannot be opened: {error.strerror or error}")
                self._stop.wait(self._waits.after(0.0))
                continue
            self._opened()
            begun = time.monotonic()
            try:
                self._listen(port)
            except OSError as error:
                self._say(f"is gone: {error.strerror or error}")
            finally:
                self._dropped += port.dropped
                port.close()
            self._stop.wait(self._waits.after(time.monotonic() - begun))

    def _listen(self, port: Port) -> None:
        while not self._stop.is_set():
            for frame in port.receive(WAIT_S):
                self._take(frame)

    def _take(self, frame: Frame) -> None:
        if frame.key & ERROR:
            self.counts["error_frames"] += 1
        elif frame.key & REMOTE:
            self.counts["remote_frames"] += 1
        else:
            self.counts["frames"] += 1
            self._waiting.append(frame)
            if len(self._waiting) > MAX_WAITING:
                self._waiting.popleft()
                self.counts["overruns"] += 1

    def _opened(self) -> None:
        self.tried = True
        self.counts["opened"] += 1
        self.trouble = ""
        logger.info("listening to bus %s", self.name)

    def _say(self, trouble: str) -> None:
        """Each new trouble is logged once."""
        self.tried = True
        log = logger.warning if trouble != self.trouble else logger.debug
        log("bus %s %s", self.name, trouble)
        self.trouble = trouble
