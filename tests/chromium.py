"""The browser that shows pages to tests and measurements."""

import shutil
from collections.abc import Sequence
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
"""Its path; None when there is none."""
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Without a window, and without anything that it would load or say by itself."""


def command(profile: str | Path, address: str, *, size: tuple[int, int], flags: Sequence[str] = ()) -> list[str]:
    """The command line that opens ``address`` in a window of ``size`` pixels; ``profile`` is a folder of its own."""
    assert CHROMIUM
    width, height = size
    return [CHROMIUM, *QUIET, f"--window-size={width},{height}", f"--user-data-dir={profile}", *flags, address]
