"""Work on a Dask cluster: the only import of ``distributed`` (extra ``cluster``)."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

from tickover import __version__
from tickover.errors import TickoverError
from tickover.jobs.backfill.lanes import Failure

CONNECT_S: Final = 10
"""How long a scheduler has to answer, and a first worker to come."""
LOOK_S: Final = 0.5
AHEAD: Final = 2
"""Tasks handed out for each thread of the cluster: enough that none waits, few enough that the rest stays here."""
TOKEN: Final = ".seen"
T = TypeVar("T")
R = TypeVar("R")


class DaskCluster:
    """The workers of a scheduler, ``tcp://host:8786``. Each must see the model, the archive and ``out``."""

    def __init__(self, address: str, out: Path) -> None:
        import distributed

        library: Any = distributed  # half of it has no types
        self._wait = library.wait
        try:
            self._client = library.Client(address, timeout=CONNECT_S)
        except (OSError, TimeoutError, ValueError) as error:
            raise TickoverError(
                f"--scheduler {address}: expected a Dask scheduler that answers within {CONNECT_S} s: {error or 'none'}"
            ) from error
        self._address = address
        threads = self._threads()
        self._ahead = AHEAD * threads
        self.where = f"the cluster at {address}, {threads} thread{'s' * (threads != 1)}"
        self._check(out)

    def close(self) -> None:
        """Leave the cluster; what it still works at is given up."""
        self._client.close(timeout=CONNECT_S)

    def run(
        self,
        work: Callable[[T], R],
        tasks: Iterable[T],
        stopped: Callable[[], bool],
        weight: Callable[[T], int] | None = None,
    ) -> Iterator[tuple[T, R | Failure]]:
        """See `lanes.Runner`. The scheduler gives the task of a worker that died to another one.

        ``weight`` is of no account: whoever gives a worker several threads runs tasks side by side.
        """
        rest = iter(tasks)
        open_: dict[Any, T] = {}
        try:
            while True:
                for task in islice(rest, self._ahead - len(open_)):
                    open_[self._client.submit(work, task, pure=False)] = task
                if not open_ or stopped():
                    return
                try:
                    finished = self._wait(list(open_), timeout=LOOK_S, return_when="FIRST_COMPLETED").done
                except TimeoutError:
                    continue
                for future in finished:
                    yield open_.pop(future), _answer(future)
        finally:
            self._client.cancel(list(open_), force=True)

    def _threads(self) -> int:
        """Of all workers; waits for a first one."""
        until = time.monotonic() + CONNECT_S
        while not (threads := sum(self._client.nthreads().values())):
            if time.monotonic() > until:
                self.close()
                raise TickoverError(
                    f"--scheduler {self._address}: expected workers, got none in {CONNECT_S} s; start dask worker"
                )
            time.sleep(LOOK_S)
        return int(threads)

    def _check(self, out: Path) -> None:
        """That all workers have this release, and see the folder of results; TickoverError names one that does not."""
        token = out / TOKEN
        token.write_text(__version__)
        try:
            answers: dict[str, str] = self._client.run(_seen, str(token), on_error="return")
        finally:
            token.unlink(missing_ok=True)
        for worker, answer in answers.items():
            if answer != __version__:
                self.close()
                raise TickoverError(f"--scheduler {self._address}: worker {worker}: {_trouble(answer, out)}")


def _answer(future: Any) -> Any:
    if future.status == "finished":
        return future.result()
    error = future.exception() if future.status == "error" else None
    return Failure(f"{type(error).__name__}: {error}" if error else f"the cluster gave it up ({future.status})")


def _seen(token: str) -> str:
    """On a worker: its release, when it sees the folder of results."""
    return __version__ if Path(token).exists() else ""


def _trouble(answer: object, out: Path) -> str:
    if isinstance(answer, BaseException):
        return f"expected tickover {__version__} installed there: {type(answer).__name__}: {answer}"
    if answer == "":
        return f"expected to see --out {out}, as a folder that all machines share; it does not"
    return f"expected tickover {__version__}, got {answer}"
