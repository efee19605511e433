"""Child processes of the harnesses: where they find the sources."""

import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent


def environment() -> dict[str, str]:
    """For child processes: where the sources are."""
    paths = os.pathsep.join(str(ROOT / name) for name in ("edge", "tests"))
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
