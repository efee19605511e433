"""SIGKILL on entering the N-th of a kind of system call: every write, sync and send of a short run, one by one."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from broker import Broker
from daemon_process import Row, as_told, drive, replayed
from faults.gateway import SOUND, VEHICLE, Ear, Gateway, Player, Result
from faults.recording import STRACE

DURABLE: Final = ("pwrite64", "fdatasync", "fsync", "ftruncate", "unlink")
"""Calls that change or sync the store."""
SENDS: Final = ("sendto",)
"""Calls that acknowledge inputs and publish alerts."""
ROWS: Final = 330
"""Rows of the short run: two episodes and a half."""


@dataclass
class Campaign:
    """Results by kill point, ``("fdatasync", 7)``."""

    counts: Counter[str] = field(default_factory=Counter)
    results: dict[tuple[str, int], Result] = field(default_factory=dict)
    missed: list[tuple[str, int]] = field(default_factory=list)
    """Points that the run did not reach: it was over before."""

    @property
    def bad(self) -> dict[tuple[str, int], Result]:
        return {point: result for point, result in self.results.items() if not result.good}


class KillPoints:
    """Runs of one daemon over the same rows, each in its own topics at one broker."""

    def __init__(self, folder: Path, broker: Broker, launcher: tuple[str, ...] = SOUND, patience: float = 20.0) -> None:
        self._folder, self._broker, self._launcher, self._patience = folder, broker, launcher, patience
        self._ear = Ear(broker)
        self.rows: list[Row] = drive(ROWS)
        self._wanted = as_told(replayed(self.rows, VEHICLE))
        self._number = 0
        self._lock = threading.Lock()

    def reference(self) -> Counter[str]:
        """How often each call is made when nobody interferes."""
        gateway = self._prepared()
        log = gateway.folder / "strace"
        assert STRACE
        calls = ",".join((*DURABLE, *SENDS))
        gateway.start(STRACE, "-f", "-qq", "-s", "0", "-e", f"trace={calls}", "-o", str(log))
        result = self._ear.compare(gateway.name, self._wanted)
        time.sleep(1.0)
        gateway.kill()
        assert result.good, result
        lines = log.read_text().splitlines()
        return Counter(call for line in lines for call in (*DURABLE, *SENDS) if f" {call}(" in line)

    def kill_at(self, call: str, number: int) -> Result | None:
        """Kill on entering that call, start again, compare; None when the call never came."""
        gateway = self._prepared()
        launcher = self._launcher
        assert STRACE
        inject = f"inject={call}:signal=KILL:when={number}"
        gateway.start(STRACE, "-f", "-qq", "-e", f"trace={call}", "-e", inject, "-o", "/dev/null", launcher=launcher)
        wait = time.monotonic() + 15
        while not gateway.over and time.monotonic() < wait:
            time.sleep(0.05)
        reached = gateway.over
        gateway.kill()
        gateway.start(launcher=launcher)
        result = self._ear.compare(gateway.name, self._wanted, self._patience)
        gateway.kill()
        return result if reached else None

    def run(self, points: list[tuple[str, int]], workers: int, end: float = float("inf")) -> Campaign:
        """Kill at all these points; those after ``end`` (monotonic seconds) are left out."""
        campaign = Campaign()

        def one(point: tuple[str, int]) -> None:
            if time.monotonic() > end:
                return
            result = self.kill_at(*point)
            if result is None:
                campaign.missed.append(point)  # the run was over before
            else:
                campaign.results[point] = result

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(one, points))
        return campaign

    def close(self) -> None:
        self._ear.close()

    def _prepared(self) -> Gateway:
        with self._lock:
            self._number += 1
            name = f"k{self._number}"
        gateway = Gateway(self._folder, self._broker, name, state_more="commit_s = 0.5\ncheckpoint_s = 0.3")
        gateway.open_session()
        player = Player(gateway)
        player.play(self.rows)
        player.close()
        return gateway
