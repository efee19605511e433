"""``tickover doctor`` as a real process, and a configuration for it to look at."""

import subprocess
import sys
from pathlib import Path

from broker import Broker
from daemon_process import MODEL


def doctor(config: Path, *options: str) -> tuple[int, dict[str, str], str]:
    """Exit code, each check's state by name, everything said."""
    command = [sys.executable, "-m", "tickover", "doctor", "--config", str(config), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    lines = [line for line in done.stdout.splitlines()[:-1] if not line.startswith(" ")]
    return done.returncode, {line[6:22].strip(): line[:5].strip() for line in lines}, done.stdout + done.stderr


def plain(broker: Broker, folder: Path, model: Path = MODEL) -> Path:
    """A configuration for a broker on loopback without TLS."""
    path = folder / "tickover.toml"
    path.write_text(
        f'[broker]\nport = {broker.port}\nclient_id = "truck-1"\n'
        '[[inputs]]\ntopic = "trucks/truck-1/signals"\nvehicle = "truck-1"\ntime = "time"\n'
        f'[[models]]\npath = "{model}"\n[state]\nfolder = "{folder / "state"}"\n'
    )
    return path
