"""Work side by side in processes of this machine. A process that dies costs its tasks another try, and nothing else.

A process may have several tasks, which take turns (`company`). Those of a process that died are tried again one by one,
each in a process of its own, so that one that kills its process takes no other along.
"""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import connection, get_context
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from tickover.host.malloc import keep_freed_memory, share_one_arena
from tickover.host.parent import end_with_parent
from tickover.jobs.backfill.company import Company

TRIES: Final = 3
"""A task whose process died so often has failed."""
SIDE_BY_SIDE: Final = 4
"""Tasks of one process at most: more gain little, and take memory."""
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
        self,
        work: Callable[[T], R],
        tasks: Iterable[T],
        stopped: Callable[[], bool],
        weight: Callable[[T], int] | None = None,
    ) -> Iterator[tuple[T, R | Failure]]:
        """Each task with what the function returned, or why it did not, as they come; ends early once ``stopped()``.

        ``weight``: how much work a task is; tasks that have one gain by being run together.
        """


class Lanes:
    """As many processes as there are ``workers``."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self.where = f"{workers} process{'es' * (workers != 1)}"

    def run(
        self,
        work: Callable[[T], R],
        tasks: Iterable[T],
        stopped: Callable[[], bool],
        weight: Callable[[T], int] | None = None,
    ) -> Iterator[tuple[T, R | Failure]]:
        """See `Runner`. Processes are ended when the iteration is."""
        weighed = [(task, 1 if weight is None else weight(task)) for task in tasks]
        waiting, again = deque(weighed), deque[tuple[Any, int]]()
        together = 1 if weight is None else self.together([size for _, size in weighed])
        lanes = [_Lane() for _ in range(min(self._workers, len(waiting)))]
        try:
            while waiting or again or any(lane.tasks for lane in lanes):
                self._give(lanes, work, waiting, again, together)
                for lane in _ready(lanes):
                    for task, tries, answer in lane.take():
                        if isinstance(answer, _Died) and tries < TRIES:
                            again.append((task, tries + 1))
                        else:
                            yield task, Failure(str(answer)) if isinstance(answer, _Died) else answer
                if stopped():
                    return
        finally:
            for lane in lanes:
                lane.end()

    def together(self, weights: Sequence[int]) -> int:
        """How many tasks a process has at once: none may be so large that it is what all wait for at the end."""
        fair = sum(weights) / (self._workers * max(1, max(weights, default=1)))
        return max(1, min(SIDE_BY_SIDE, int(fair)))

    def _give(
        self,
        lanes: "list[_Lane]",
        work: Callable[[Any], Any],
        waiting: deque[tuple[Any, int]],
        again: deque[tuple[Any, int]],
        together: int,
    ) -> None:
        """Hand out tasks, and one that is tried again to a process that has no other."""
        for place, lane in enumerate(lanes):
            if not lane.tasks and (again or waiting) and not lane.is_alive:
                lanes[place] = _Lane(lane.load)
        for lane in lanes:
            if again and not lane.tasks:
                lane.give(work, *again.popleft())
        while waiting and (chosen := next_lane(lanes, len(waiting), together)) is not None:
            task, size = waiting.popleft()
            chosen.load += size
            chosen.give(work, task, 1)


class Loaded(Protocol):
    """What is known of a process: its ``tasks``, whether it takes no more, and the weight of all it ever had."""

    tasks: dict[int, tuple[Any, int]]
    load: int

    @property
    def is_closed(self) -> bool: ...


L = TypeVar("L", bound=Loaded)


def next_lane(lanes: Sequence[L], waiting: int, together: int) -> L | None:
    """Who gets the next of so many tasks that wait; None: nobody for now.

    Whoever has the fewest. Towards the end, a process that had more than another waits for that one to take its share:
    tasks that share a process end together, and the first to end would take all that are left.
    """
    free = [lane for lane in lanes if len(lane.tasks) < together and not lane.is_closed]
    if waiting <= together * len(lanes):
        least = min(lane.load for lane in lanes)
        free = [lane for lane in free if not lane.tasks or lane.load <= least]
    return min(free, key=lambda lane: (len(lane.tasks), lane.load), default=None)


class _Died(NamedTuple):
    """A process ended without an answer."""

    code: int | None

    def __str__(self) -> str:
        code = self.code or 0
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        hint = "; was there too little memory? (--workers)" if code == -signal.SIGKILL else ""
        return f"its process died {TRIES} times ({how}){hint}"


class _Lane:
    """One process, and the tasks that it has, by number; ``load``: the weight of all that it, and those before it in
    its place, ever had."""

    def __init__(self, load: int = 0) -> None:
        self.load = load
        context = get_context("spawn")  # a fork would copy threads' locks, those of onnxruntime among them
        for name in THREADS:
            os.environ.setdefault(name, "1")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, os.getpid()), daemon=True)
        self._process.start()
        there.close()
        self.tasks: dict[int, tuple[Any, int]] = {}
        self._given = 0

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    @property
    def is_closed(self) -> bool:
        """Whether a task is tried again, alone."""
        return any(tries > 1 for _, tries in self.tasks.values())

    def give(self, work: Callable[[Any], Any], task: Any, tries: int) -> None:
        self._given += 1
        self.tasks[self._given] = task, tries
        try:
            self._here.send((self._given, work, task))
        except OSError:
            self._process.join()  # it died while idle: `take` says so

    def waits_for(self) -> list[Any]:
        return [self._here, self._process.sentinel]

    def take(self) -> list[tuple[Any, int, Any]]:
        """Tasks that have an answer, or all when the process died: each with how often it was tried, and the answer."""
        found: list[tuple[Any, int, Any]] = []
        try:
            while self._here.poll():
                number, answer = self._here.recv()
                found.append((*self.tasks.pop(number), answer))
        except (EOFError, OSError):
            pass
        if found and self._process.is_alive():
            return found
        self._process.join()
        lost = [(*given, _Died(self._process.exitcode)) for given in self.tasks.values()]
        self.tasks = {}
        return found + lost

    def end(self) -> None:
        """Kill the process: whatever it writes is replaced whole, so nothing is half done."""
        self._process.kill()
        self._process.join()
        self._here.close()


def _ready(lanes: list[_Lane]) -> list[_Lane]:
    """The lanes that have an answer or died, after a while at the latest."""
    lane_of = {one: lane for lane in lanes if lane.tasks for one in lane.waits_for()}
    heard = connection.wait(list(lane_of), timeout=LOOK_S)
    return list(dict.fromkeys(lane_of[one] for one in heard))


def _serve(pipe: Any, parent: int) -> None:
    """What a process does: answer tasks until its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    end_with_parent(parent)
    share_one_arena()  # tasks' threads work one at a time: what one frees serves the next
    keep_freed_memory()
    company, writing = Company(), threading.Lock()
    while True:
        try:
            number, work, task = pipe.recv()
        except EOFError:
            os._exit(0)  # nobody waits for what is still worked at
        threading.Thread(target=_answer, args=(pipe, writing, company, number, work, task), daemon=True).start()


def _answer(
    pipe: Any, writing: threading.Lock, company: Company, number: int, work: Callable[[Any], Any], task: Any
) -> None:
    try:
        with company.seat():
            answer = work(task)
    except Exception as error:  # noqa: BLE001 - of one task, whatever it is; the others go on
        answer = Failure(f"{type(error).__name__}: {error}")
    with writing:
        pipe.send((number, answer))
