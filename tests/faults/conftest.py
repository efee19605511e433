"""Fixtures of the fault harnesses."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.gateway import Gateway

MEMORY = Path("/dev/shm")


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    """A folder in memory where there is one: for harnesses that record syncs and do not depend on them."""
    folder = Path(tempfile.mkdtemp(prefix="tickover-", dir=MEMORY if MEMORY.is_dir() else None))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def no_daemon_left() -> Iterator[None]:
    """Daemons end with their test, also when it fails."""
    yield
    for gateway in Gateway.made:
        if not gateway.over:
            gateway.kill()
    Gateway.made.clear()
