"""``tickover run``: the daemon."""

import logging
import os
from pathlib import Path
from typing import Final

import click

from tickover.commands.ui.files import FILE

PRIORITY: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""Python's levels as syslog's, which journald reads from ``<n>`` at the start of a line."""


class _Format(logging.Formatter):
    """One line per record: ``level=warning logger=tickover message``; with journald's priority under systemd."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"level={record.levelname.lower()} logger={record.name} {super().format(record)}".replace("\n", " | ")
        return f"<{PRIORITY.get(record.levelno, 6)}>{text}" if os.environ.get("JOURNAL_STREAM") else text


@click.command()
@click.option("--config", "path", required=True, type=FILE, metavar="FILE", help="Configuration file (TOML).")
@click.option("--verbose", is_flag=True, help="Also log debug messages.")
def run(path: Path, verbose: bool) -> None:
    """Run the daemon until SIGTERM: read sensor streams from MQTT, detect anomalies, publish alerts.

    SIGHUP reloads the configuration. Exit code 0 after SIGTERM, 78 for a wrong configuration, 1 for any other failure.
    """
    from tickover.daemon.runner import Runner

    handler = logging.StreamHandler()
    handler.setFormatter(_Format())
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
    Runner(path).run()
