"""Memory that is free goes back to the system, also from between what stays."""

import platform
import subprocess
import sys

import pytest

FREES = """
from pathlib import Path
from tickover.host.malloc import give_back_free
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])
kept = [bytes(20_000) for _ in range(2_000)]
full = resident()
kept = kept[::2]
give_back_free()
print(resident() / full)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
def test_what_is_free_between_what_stays_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", FREES], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.8
