"""Daemons that start without importing anything: forked from a process that has done so. Kills then fall into what the
daemon does, also on a slow machine, and not into Python's imports."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from faults.process import environment

IMPORTED = ("tickover.commands.run", "tickover.daemon.runner", "google.protobuf")


class Forked:
    """A process of the nursery, as far as `Gateway` asks: like ``subprocess.Popen``."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        """None while it runs. How it ended is not known: its parent does not ask."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 0
        return None

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def wait(self, timeout: float = 10) -> int:
        end = time.monotonic() + timeout
        while self.poll() is None:
            assert time.monotonic() < end, f"process {self.pid} does not end"
            time.sleep(0.001)
        return 0


class Nursery:
    """The process that forks them; it ends at the end of ``with``."""

    def __enter__(self) -> Self:
        command = [sys.executable, __file__]
        self._mother = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
        return self

    def __exit__(self, *_: object) -> None:
        self._mother.kill()
        self._mother.communicate()

    def start(self, config: Path, log: Path) -> Forked:
        """``tickover run`` in a session of its own; what it says is appended to the log."""
        assert self._mother.stdin
        assert self._mother.stdout
        self._mother.stdin.write(json.dumps([str(config), str(log)]).encode() + b"\n")
        self._mother.stdin.flush()
        return Forked(int(self._mother.stdout.readline()))


def main() -> None:
    """One line of JSON for each daemon: its configuration and its log; answers its process id."""
    for name in IMPORTED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        if not os.fork():
            run(*json.loads(line))


def run(config: str, log: str) -> None:
    """In the child."""
    from tickover import cli

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.write(1, b"%d\n" % os.getpid())
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(0)
    sys.argv = ["tickover", "run", "--config", config]
    cli.main()
    os._exit(0)


if __name__ == "__main__":
    main()
