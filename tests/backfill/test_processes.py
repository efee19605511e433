"""Back-fills in real processes: side by side, killed, interrupted, on a Dask cluster. The bytes are always the same."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from archives import folders
from tickover.errors import TickoverError
from tickover.jobs.backfill import dask_cluster

TABLES = ("alerts.parquet", "daily.csv", "vehicles.csv", "drops.csv", "index.html")
LONG = 8_000
"""Rows of a trip that takes long enough to be killed in."""


@pytest.fixture
def archive(tmp_path):
    """Six vehicles, with trips long enough that the work is still going on when something happens to it."""
    return folders(tmp_path / "archive", vehicles=6, days=1, rows=LONG)


def results(out):
    return {name: (out / name).read_bytes() for name in TABLES}


def ended(process, code):
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors.decode()
    return errors.decode()


def wait_for_done(out, process, count=1):
    """Until so many vehicles are done; the work must still go on then."""
    until = time.monotonic() + 60
    while len(list(out.glob("done/*.alerts.jsonl"))) < count or not list(out.glob("done/*.json")):
        assert time.monotonic() < until, "expected a vehicle to be done within a minute"
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.02)


def children(pid):
    """The processes that a process began and that read tasks."""
    return [int(task) for task in Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if _works(task)]


def _works(pid):
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_one_and_two_workers_a_killed_worker_a_killed_client_and_ctrl_c_give_the_same_bytes(
    run, start, archive, tmp_path
):
    run(archive, out=tmp_path / "one")
    killed = start(archive, "--out", tmp_path / "two", "--workers", 2)
    wait_for_done(tmp_path / "two", killed)
    os.kill(children(killed.pid)[0], signal.SIGKILL)
    assert "failed" not in ended(killed, 0)
    assert results(tmp_path / "two") == results(tmp_path / "one")

    client = start(archive, "--out", tmp_path / "three", "--workers", 2)
    wait_for_done(tmp_path / "three", client)
    workers = children(client.pid)
    client.kill()
    client.communicate()
    until = time.monotonic() + 30
    while any(_works(pid) for pid in workers):
        assert time.monotonic() < until, "expected workers to end when their client is gone"
        time.sleep(0.05)
    again = start(archive, "--out", tmp_path / "three", "--workers", 2)
    assert "of 6 vehicles were done before" in ended(again, 0)
    assert results(tmp_path / "three") == results(tmp_path / "one")

    stopped = start(archive, "--out", tmp_path / "four", "--workers", 2)
    wait_for_done(tmp_path / "four", stopped)
    os.killpg(stopped.pid, signal.SIGINT)  # as a terminal does: the workers hear it, too
    assert "stopped; " in ended(stopped, 130)
    assert not (tmp_path / "four" / "alerts.parquet").exists()
    errors = ended(start(archive, "--out", tmp_path / "four", "--workers", 2), 0)
    assert "of 6 vehicles were done before" in errors
    assert results(tmp_path / "four") == results(tmp_path / "one")


@pytest.fixture
def cluster(tmp_path):
    """The address of a Dask scheduler, and two workers of one thread, each a process."""
    distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    with distributed.LocalCluster(n_workers=0, dashboard_address=None, silence_logs=50) as cluster:
        address = cluster.scheduler_address
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment, "cwd": tmp_path}
        workers = [subprocess.Popen([*worker, "--no-dashboard"], **quiet) for _ in range(2)]
        yield address, workers
        for one in workers:
            one.kill()
            one.wait()


def test_a_cluster_gives_the_same_bytes_also_when_a_worker_is_killed(run, start, cluster, archive, tmp_path):
    address, workers = cluster
    run(archive, out=tmp_path / "one")
    out = tmp_path / "out"
    process = start(archive, "--out", out, "--scheduler", address)
    wait_for_done(out, process)
    workers[0].kill()
    errors = ended(process, 0)
    assert "failed" not in errors
    assert results(out) == results(tmp_path / "one")


def test_a_scheduler_that_is_not_there_is_named(monkeypatch, tmp_path):
    pytest.importorskip("distributed", reason="the extra cluster is not installed")
    monkeypatch.setattr(dask_cluster, "CONNECT_S", 0.5)
    with pytest.raises(TickoverError, match=r"--scheduler tcp://127.0.0.1:9: expected a Dask scheduler that answers"):
        dask_cluster.DaskCluster("tcp://127.0.0.1:9", tmp_path)
