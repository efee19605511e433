"""How much memory this process has taken at most."""

import resource
import sys
from pathlib import Path
from typing import Final

STATUS: Final = Path("/proc/self/status")
PEAK: Final = "VmHWM:"


def peak_bytes() -> int:
    """The most memory that was resident at a time."""
    # Not by ``getrusage`` where Linux says it better: a child there starts with its parent's peak.
    try:
        lines = STATUS.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(PEAK)) * 1024
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
