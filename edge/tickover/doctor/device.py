"""The device: Python, onnxruntime on this processor, the model files, the clock, the disk, permissions of secrets."""

import errno
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import numpy as np

from tickover.core.coverage import gaps
from tickover.core.gate import Gate
from tickover.core.manifest import Manifest
from tickover.core.time_format import iso_seconds
from tickover.daemon.config import Config, Model
from tickover.doctor import Check, fail, ok, warn
from tickover.errors import ModelError
from tickover.host.clock import is_synced
from tickover.storage import private
from tickover.transports.mqtt.credentials import exposed

LEAST_PYTHON: Final = (3, 11)
IMPORT_LIMIT_S: Final = 60.0
STEPS: Final = 200
"""Ticks timed per model."""
LEAST_FREE_MB: Final = 50
WANTED_FREE_MB: Final = 500
FSYNCS: Final = 20
FSYNC_BYTES: Final = 8192
SLOW_FSYNC_S: Final = 0.1
STUCK_FSYNC_S: Final = 1.0
DISK_FIXES: Final = {
    errno.ENOSPC: "free some space; until then the daemon detects, but its alerts do not survive a power cut",
    errno.EROFS: "remount it writable; a disk that turned read-only by itself is failing",
    errno.EEXIST: "expected a folder, got a file: move it, or name another folder",
}
METRICS_WAIT_S: Final = 2.0


def examine(config: Config) -> Iterator[Check]:
    """The checks in order."""
    yield _python()
    runtime = _onnxruntime()
    yield runtime
    if not runtime.fix:
        manifests = []
        for model in config.models:
            check, manifest = _model(model)
            yield check
            manifests += [manifest] if manifest else []
        if len(manifests) == len(config.models):
            yield from _names(config, manifests)
    yield _clock(config)
    yield from _disk(Path(config.state.folder))
    if config.out.metrics_port:
        yield _metrics(config.out.metrics_port)
    yield from (warn("secrets", file.seen, file.fix) for file in exposed(config.broker))


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < LEAST_PYTHON:
        return fail("python", version, "install Python 3.11 or newer")
    return ok("python", f"{version} on {os.uname().machine}, {os.cpu_count()} cores")


def _onnxruntime() -> Check:
    """Imported in a process of its own: on a processor that it was not built for, that process is killed (SIGILL)."""
    code = "import onnxruntime; print(onnxruntime.__version__)"
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=IMPORT_LIMIT_S)
    except subprocess.TimeoutExpired:
        return fail("onnxruntime", f"not loaded within {IMPORT_LIMIT_S:g} s", "check the free memory of the device")
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"ended with signal {-done.returncode}"]
        return fail("onnxruntime", said[0], "install a build of onnxruntime for this processor")
    return ok("onnxruntime", done.stdout.strip())


def _model(model: Model) -> tuple[Check, Manifest | None]:
    """Opens it as the daemon does (seal, structure, golden vectors) and times a tick."""
    from tickover.model.detector import Detector

    name = f"model {model.detector}"
    try:
        detector = Detector.load(model.path)
    except ModelError as error:
        return fail(name, str(error), "export the model again, and copy it whole"), None
    row = np.full(len(detector.manifest.signals), np.nan, np.float32)
    times = []
    for _ in range(STEPS):
        began = time.perf_counter()
        detector.step(row)
        times.append(time.perf_counter() - began)
    manifest = detector.manifest
    seen = (
        f"{manifest.name}, {len(manifest.signals)} signals, digest {detector.digest[:12]}, "
        f"{statistics.median(times) * 1e6:.0f} us a tick of {manifest.tick_period_s:g} s"
    )
    if said := list(gaps(manifest)):
        return warn(name, f"{seen}; {'; '.join(said)}", "retune or train it on more and better trips"), manifest
    return ok(name, f"{seen}; golden vectors agree"), manifest


def gate_signals(config: Config) -> frozenset[str]:
    """The signals of the operating gate."""
    return frozenset(Gate(config.vehicles.gate).signals) if config.vehicles.gate else frozenset()


def _names(config: Config, manifests: list[Manifest]) -> Iterator[Check]:
    """Names in the configuration that no model has."""
    known = {name for manifest in manifests for name in manifest.names}
    renamed = {ours for item in config.inputs for ours in item.signals.values()}
    gate = gate_signals(config)
    unknown = sorted(({*config.sensitivity} | renamed) - known - gate)
    if unknown:
        yield fail("names", f"no model has: {', '.join(unknown)}", "correct sensitivity or inputs.signals")
    if foreign := sorted(gate - known):
        fix = "every reading is dropped until they are received: publish them too, or correct vehicles.gate"
        yield warn("gate", f"no model has: {', '.join(foreign)}", fix)


def _clock(config: Config) -> Check:
    said = iso_seconds(time.time_ns() // 1000)
    if is_synced(config.vehicles.clock):
        return ok("clock", f"{said}, synchronised")
    fix = "start systemd-timesyncd or chrony; until then readings ahead of the clock are not refused"
    return warn("clock", f"{said}, not synchronised", fix)


def _disk(folder: Path) -> Iterator[Check]:
    """The state folder is tried as this user: run doctor as the daemon's (``sudo -u tickover``)."""
    try:
        private.create(folder)
        free_mb = shutil.disk_usage(folder).free / 1e6
        took = _fsync_times(folder)
    except OSError as error:
        fix = DISK_FIXES.get(error.errno or 0, "run as the daemon's user (sudo -u tickover), or give it the folder")
        yield fail("state folder", f"{folder}: {error.strerror or error}", fix)
        return
    yield _free(folder, free_mb)
    yield _fsync(statistics.median(took), max(took))


def _metrics(port: int) -> Check:
    """Free for the daemon, or used by a running one."""
    where = f"127.0.0.1:{port}"
    try:
        with socket.create_server(("127.0.0.1", port)):
            return ok("metrics port", f"{where} is free")
    except OSError as error:
        problem = os.strerror(error.errno or 0)
    with suppress(OSError), urlopen(f"http://{where}/metrics", timeout=METRICS_WAIT_S) as answer:
        if b"tickover_" in answer.read():
            return ok("metrics port", f"{where} is a running daemon's")
    return fail("metrics port", f"{where}: {problem}", "stop what uses it, or set out.metrics_port to another")


def _fsync_times(folder: Path) -> list[float]:
    times = []
    with tempfile.TemporaryFile(dir=folder, prefix="doctor-") as file:
        for _ in range(FSYNCS):
            began = time.perf_counter()
            file.write(os.urandom(FSYNC_BYTES))
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return times


def _free(folder: Path, free_mb: float) -> Check:
    seen = f"{folder}: {free_mb:,.0f} MB free"
    if free_mb < LEAST_FREE_MB:
        return fail("disk space", seen, f"free some space: below {LEAST_FREE_MB} MB alerts may not survive a power cut")
    if free_mb < WANTED_FREE_MB:
        return warn("disk space", seen, f"{WANTED_FREE_MB} MB or more leave room for a long outage")
    return ok("disk space", seen)


def _fsync(median_s: float, worst_s: float) -> Check:
    seen = f"a durable write takes {median_s * 1e3:.1f} ms, at worst {worst_s * 1e3:.0f} ms"
    if worst_s >= STUCK_FSYNC_S:
        return fail("disk sync", seen, "the disk is failing or far too slow: replace it")
    if median_s >= SLOW_FSYNC_S:
        return warn("disk sync", seen, "alerts wait for the disk: use a faster card, or raise state.commit_s")
    return ok("disk sync", seen)
