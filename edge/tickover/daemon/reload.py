"""Reads configuration and models again beside a running daemon: its loop goes on, whatever the files hold."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tickover.daemon.config import Config
from tickover.daemon.recovery import Opened
from tickover.model.detector import Detector
from tickover.model.trial import Trial

LoadDetector = Callable[[str, int], Detector]
"""Opens a model file that may take so many MB of memory."""
Read = Callable[[LoadDetector], tuple[Config, Opened]]

CANCEL_S: Final = 2.0
"""How long `Reload.cancel` waits for the thread."""


class Reload:
    """One reading of the files, in a thread of its own; ``read`` is given what opens a model file.

    Each model file is on trial in a child process first (`tickover.model.trial`).
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._trial: Trial | None = None
        self._cancelled = False
        self._result: tuple[Config, Opened] | BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="reload", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether `result` has something to say."""
        return not self._thread.is_alive()

    def result(self) -> tuple[Config, Opened]:
        """What was read; raises what the reading raised, for wrong files a TickoverError."""
        self._thread.join()
        if isinstance(self._result, BaseException):
            raise self._result
        assert self._result is not None
        return self._result

    def cancel(self) -> None:
        """End it; there is no result."""
        self._cancelled = True
        if trial := self._trial:
            trial.cancel()
        self._thread.join(CANCEL_S)

    def _run(self) -> None:
        try:
            self._result = self._read(self._load)
        except BaseException as error:  # noqa: BLE001  the loop's thread raises it
            self._result = error

    def _load(self, path: str, memory_mb: int) -> Detector:
        trial = self._trial = Trial(Path(path), memory_mb)
        if self._cancelled:
            trial.cancel()
        return Detector(trial.open())
