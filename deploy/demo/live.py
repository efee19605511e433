"""The live path on one machine: a broker, the daemon, a truck that plays the bundled recording, a subscriber.

    python deploy/demo/live.py [--speed N]

Prints the alerts that the subscriber receives. Needs Mosquitto; without it, prints how to install it.
"""

import argparse
import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from tickover.messages.alerts import AlertError, alert_line, decode_alert
from tickover.transports.mqtt.client import Connection, MqttClient

HERE = Path(__file__).resolve().parent
VEHICLE = "truck-1"
SPEED = 1200.0
"""The recording's 2.6 hours take about 8 seconds."""
START_LIMIT_S = 20.0
QUIET_S = 2.0
"""The demo ends when the truck is done and no alert was received for this long."""
PLACES = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin"

GET_MOSQUITTO = """The live demo needs the MQTT broker Mosquitto, which is not installed:
  Debian, Ubuntu   sudo apt install mosquitto
  Fedora           sudo dnf install mosquitto
  macOS            brew install mosquitto
Then: make demo"""

BROKER = """listener {port} 127.0.0.1
allow_anonymous true
max_queued_messages 100000
log_type error
"""
DAEMON = """[broker]
port = {port}
client_id = "{vehicle}"
[[inputs]]
topic = "trucks/{vehicle}/signals"
vehicle = "{vehicle}"
time = "time"
[[models]]
path = "{model}"
[state]
folder = "{folder}/state"
"""


def main() -> int:
    """Run it; 0 when alerts arrived, or when there is no Mosquitto to try it with."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speed", type=float, default=SPEED, help="times as fast as recorded (default %(default)g)")
    speed = parser.parse_args().speed
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path=PLACES)
    if mosquitto is None:
        click.echo(GET_MOSQUITTO)
        return 0
    click.echo("\nLive: a truck publishes the same recording over MQTT, and the daemon publishes alerts.")
    with tempfile.TemporaryDirectory(prefix="tickover-live-") as folder, contextlib.ExitStack() as stack:
        port = start_broker(stack, mosquitto, Path(folder))
        alerts = drive(stack, port, Path(folder), speed)
    click.echo(f"{alerts} alerts arrived over MQTT. (A replay may print one more: the end of its log ends an episode.)")
    return 0 if alerts else 1


def start_broker(stack: contextlib.ExitStack, mosquitto: str, folder: Path) -> int:
    """A Mosquitto on a free loopback port; returns the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    config = folder / "mosquitto.conf"
    config.write_text(BROKER.format(port=port))
    stack.enter_context(process([mosquitto, "-c", str(config)]))
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            click.echo(f"broker: {mosquitto} on 127.0.0.1:{port}")
            return port


def drive(stack: contextlib.ExitStack, port: int, folder: Path, speed: float) -> int:
    """The daemon, then the truck, until the truck is done; returns how many alerts arrived."""
    config = folder / "tickover.toml"
    config.write_text(DAEMON.format(port=port, vehicle=VEHICLE, model=HERE / "truck.onnx", folder=folder))
    client = stack.enter_context(MqttClient(Connection(host="127.0.0.1", port=port)))
    client.subscribe(f"tickover/v1/{VEHICLE}/#")
    stack.enter_context(process(tickover("run", "--config", str(config)), folder / "daemon.log"))
    if client.receive(START_LIMIT_S) is None:
        click.echo((folder / "daemon.log").read_text(), err=True)
        raise SystemExit(f"expected the daemon to be online within {START_LIMIT_S:g} s, got no message from it")
    click.echo(f"daemon: online; truck: plays {HERE / 'trip.csv.gz'} at {speed:g} times its pace")
    play = ["play", str(HERE / "trip.csv.gz"), "--map", str(HERE / "mapping.toml"), "--vehicle", VEHICLE]
    truck = stack.enter_context(
        process(tickover(*play, "--broker", f"127.0.0.1:{port}", "--speed", f"{speed:g}"), folder / "truck.log")
    )
    alerts = print_alerts(client, truck)
    click.echo(f"truck: {(folder / 'truck.log').read_text().strip()}")
    return alerts


def print_alerts(client: MqttClient, truck: subprocess.Popen[bytes]) -> int:
    """Alerts as they arrive, one line each."""
    alerts, quiet_since = 0, time.monotonic()
    while truck.poll() is None or time.monotonic() - quiet_since < QUIET_S:
        message = client.receive(0.2)
        if message is None or "/alert/" not in message.topic:
            quiet_since = time.monotonic() if truck.poll() is None else quiet_since
            continue
        quiet_since = time.monotonic()
        with contextlib.suppress(AlertError):
            click.echo(alert_line(decode_alert(message.payload)))
            alerts += 1
    return alerts


def tickover(*args: str) -> list[str]:
    """The command line of this very Python's tickover."""
    return [sys.executable, "-m", "tickover", *args]


@contextlib.contextmanager
def process(command: list[str], log: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block; its output goes to ``log``."""
    with contextlib.ExitStack() as files:
        out = files.enter_context(log.open("wb")) if log else subprocess.DEVNULL
        started = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.wait(timeout=10)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


if __name__ == "__main__":
    sys.exit(main())
