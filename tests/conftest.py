"""Fixtures for all tests: the real recordings, found through TICKOVER_DATA."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from small_disk import SmallDisk, mounted

ROOT = Path(__file__).resolve().parent.parent


def find_data() -> Path | None:
    """The folder of real recordings, or None when it is absent."""
    named = os.environ.get("TICKOVER_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    return folder.resolve() if (folder / "kit-obd").is_dir() else None


def pytest_configure() -> None:
    """A shell starts background jobs with SIGINT ignored, and children inherit it: tests of Ctrl-C need it back.

    Hypothesis sets no deadlines: on a machine with other work they measure that work.
    """
    settings.register_profile("tickover", deadline=None)
    settings.load_profile("tickover")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    folder = find_data()
    return (
        f"real recordings: {folder}"
        if folder
        else "real recordings: ABSENT, their tests are skipped; set TICKOVER_DATA to the folder that holds kit-obd/"
    )


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real recordings; skips, saying so, when it is absent."""
    folder = find_data()
    if folder is None:
        pytest.skip("real recordings absent: set TICKOVER_DATA to the folder that holds kit-obd/")
    return folder


@pytest.fixture(scope="session")
def trips_1hz(data_dir: Path) -> list[Path]:
    """The KIT trips on a 1 s grid, in order of date."""
    return sorted((data_dir / "kit-obd" / "1hz").glob("*.csv"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk to fill; skips where mounting is not allowed."""
    with mounted(tmp_path / "small") as disk:
        if disk is None:
            pytest.skip("mounting a small tmpfs needs root")
        yield disk
