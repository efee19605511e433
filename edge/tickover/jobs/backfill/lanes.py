"""Work side by side in processes of this machine. A process that dies costs its task another try, and nothing else."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import connection, get_context
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from tickover.host.parent import end_with_parent

TRIES: Final = 3
"""A task whose process died so often has failed."""
LOOK_S: Final = 0.25
"""How often to look whether the work is to stop."""
THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""One thread each: as many workers as processors would otherwise fight for them."""
T = TypeVar("T")
R = TypeVar("R")


class Failure(NamedTuple):
    """A task without a result: ``why``."""

    why: str


class Runner(Protocol):
    """Runs a function over tasks somewhere, in no order."""

    where: str
    """In words."""

    def run(
        self, work: Callable[[T], R], tasks: Iterable[T], stopped: Callable[[], bool]
    ) -> Iterator[tuple[T, R | Failure]]:
        """Each task with what the function returned, or why it did not, as they come; ends early once ``stopped()``."""


class Lanes:
    """As many processes as there are ``workers``."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self.where = f"{workers} process{'es' * (workers != 1)}"

    def run(
        self, work: Callable[[T], R], tasks: Iterable[T], stopped: Callable[[], bool]
    ) -> Iterator[tuple[T, R | Failure]]:
        """See `Runner`. Processes are ended when the iteration is."""
        waiting = deque((task, 1) for task in tasks)
        lanes = [_Lane() for _ in range(min(self._workers, len(waiting)))]
        try:
            while waiting or any(lane.is_busy for lane in lanes):
                for place, lane in enumerate(lanes):
                    if waiting and not lane.is_busy:
                        lanes[place] = lane = lane if lane.is_alive else _Lane()
                        lane.give(work, *waiting.popleft())
                for lane in _ready(lanes):
                    task, tries, answer = lane.take()
                    if isinstance(answer, _Died) and tries < TRIES:
                        waiting.append((task, tries + 1))
                    else:
                        yield task, Failure(str(answer)) if isinstance(answer, _Died) else answer
                if stopped():
                    return
        finally:
            for lane in lanes:
                lane.end()


class _Died(NamedTuple):
    """A process ended without an answer."""

    code: int | None

    def __str__(self) -> str:
        code = self.code or 0
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        hint = "; was there too little memory? (--workers)" if code == -signal.SIGKILL else ""
        return f"its process died {TRIES} times ({how}){hint}"


class _Lane:
    """One process, and the task that it has."""

    def __init__(self) -> None:
        context = get_context("spawn")  # a fork would copy threads' locks, those of onnxruntime among them
        for name in THREADS:
            os.environ.setdefault(name, "1")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, os.getpid()), daemon=True)
        self._process.start()
        there.close()
        self._task: tuple[Any, int] | None = None

    @property
    def is_busy(self) -> bool:
        return self._task is not None

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def give(self, work: Callable[[Any], Any], task: Any, tries: int) -> None:
        self._task = task, tries
        try:
            self._here.send((work, task))
        except OSError:
            self._process.join()  # it died while idle: `take` says so

    def waits_for(self) -> list[Any]:
        return [self._here, self._process.sentinel]

    def take(self) -> tuple[Any, int, Any]:
        """The task, how often it was tried, and the answer."""
        assert self._task is not None
        (task, tries), self._task = self._task, None
        try:
            if self._here.poll():
                return task, tries, self._here.recv()
        except (EOFError, OSError):
            pass
        self._process.join()
        return task, tries, _Died(self._process.exitcode)

    def end(self) -> None:
        """Kill the process: whatever it writes is replaced whole, so nothing is half done."""
        self._process.kill()
        self._process.join()
        self._here.close()


def _ready(lanes: list[_Lane]) -> list[_Lane]:
    """The lanes that have an answer or died, after a while at the latest."""
    lane_of = {one: lane for lane in lanes if lane.is_busy for one in lane.waits_for()}
    heard = connection.wait(list(lane_of), timeout=LOOK_S)
    return list(dict.fromkeys(lane_of[one] for one in heard))


def _serve(pipe: Any, parent: int) -> None:
    """What a process does: answer tasks until its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    end_with_parent(parent)
    while True:
        try:
            work, task = pipe.recv()
        except EOFError:
            return
        try:
            answer = work(task)
        except Exception as error:  # noqa: BLE001 - of one task, whatever it is; the others go on
            answer = Failure(f"{type(error).__name__}: {error}")
        pipe.send(answer)
