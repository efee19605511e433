"""What is in ``deploy/`` works as it is shipped: unit, broker configuration, ACL, containers, first alert."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from broker import wait_until
from fleet_broker import DEPLOY, TRUCKS, FleetBroker, fleet
from tickover.cli import COMMANDS, root
from tickover.core.values import Alert, EndReason
from tickover.errors import BrokerError
from tickover.messages.alerts import decode_alert
from tickover.transports.mqtt.client import MqttClient
from tickover.transports.mqtt.connection import Connection

__all__ = ["fleet"]
ROOT = DEPLOY.parent
DEMO = DEPLOY / "demo"
MOST_EXPOSURE = 1.5
SYSTEMD_ANALYZE = shutil.which("systemd-analyze")


def connection(fleet: FleetBroker, name: str) -> Connection:
    certs = fleet.certs
    return Connection(
        host="localhost",
        port=fleet.port,
        tls=True,
        ca=certs / "ca.crt",
        certificate=certs / f"{name}.crt",
        key=certs / f"{name}.key",
    )


def test_the_unit_is_hardened() -> None:
    if SYSTEMD_ANALYZE is None:
        pytest.skip("systemd-analyze is not installed (apt install systemd)")
    command = [SYSTEMD_ANALYZE, "security", "--offline=yes", "--no-pager", str(DEPLOY / "tickover.service")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    exposure = re.search(r"Overall exposure level for tickover\.service: ([\d.]+)", done.stdout)
    assert exposure, done.stdout + done.stderr
    assert float(exposure[1]) <= MOST_EXPOSURE, done.stdout


@pytest.mark.parametrize(
    "line",
    [
        *("Type=notify", "WatchdogSec=30", "StateDirectory=tickover", "Restart=always", "StartLimitIntervalSec=0"),
        *("RestartPreventExitStatus=78", "ExecReload=/bin/kill -HUP $MAINPID"),
        "ExecStart=/opt/tickover/bin/tickover run --config /etc/tickover/tickover.toml",
    ],
)
def test_the_unit_says(line: str) -> None:
    assert line in (DEPLOY / "tickover.service").read_text().splitlines()


def test_the_unit_starts_a_command_that_there_is() -> None:
    text = (DEPLOY / "tickover.service").read_text()
    start = re.search(r"^ExecStart=(.+)$", text, re.MULTILINE)
    assert start
    parse(shlex.split(start[1])[1:])


def parse(arguments: list[str]) -> None:
    """Parse a command line with the real commands, without running it; files need not exist."""
    command = root.get_command(click.Context(root), arguments[0])
    assert command is not None, f"no command {arguments[0]}"
    options = {option for parameter in command.params for option in parameter.opts}
    for word in arguments[1:]:
        assert not word.startswith("--") or word in options, f"{arguments[0]} has no option {word}"
    required = {
        parameter.opts[-1] for parameter in command.params if parameter.required and parameter.opts[0][0] == "-"
    }
    assert required <= set(arguments)


@pytest.mark.parametrize("page", ["deploy/README.md", "docs/operations.md"])
def test_the_commands_in_the_pages_are_commands_that_there_are(page: str) -> None:
    text = (ROOT / page).read_text()
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    commands = [
        shlex.split(found[1], comments=True)
        for line in lines
        if (found := re.search(r".*\btickover ([a-z]+ .+)", line))
    ]
    device = {name for name, entry in COMMANDS.items() if entry.where.startswith("tickover.")}
    ours = [command for command in commands if command and command[0] in device]
    assert len(ours) >= 2
    for command in ours:
        parse(command)
    for name in re.findall(r"\bdeploy/[\w./-]+\w", text):
        assert (ROOT / name).exists(), name


def test_the_compose_file_runs_commands_that_there_are_on_files_that_there_are() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    commands = [json.loads(found) for found in re.findall(r"^    command: (\[.+\])$", text, re.MULTILINE)]
    ours = [command for command in commands if command[0] != "mosquitto"]
    assert {command[0] for command in ours} == {"run", "play", "watch"}
    for command in ours:
        parse(command)
    mounts = re.findall(r"^      - (\./[^:]+):(/[^:]+)(?::ro)?$", text, re.MULTILINE)
    assert len(mounts) >= 10
    for path, _ in mounts:
        assert path.startswith("./run/") or (DEPLOY / path).exists(), path


def test_the_compose_file_is_yaml() -> None:
    yaml = pytest.importorskip("yaml")
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert set(services) == {"broker", "daemon", "truck", "watcher"}
    assert services["watcher"]["cap_drop"] == ["ALL"]


def test_the_image_is_made_of_files_that_there_are() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for line in copied:
        for name in line.split()[:-1]:
            assert (ROOT / name).exists(), name
            assert f"!{name}" in kept


@pytest.mark.parametrize(
    ("user", "topic", "allowed"),
    [
        ("truck-1", "tickover/v1/truck-1/alert/anomaly", True),
        ("truck-1", "trucks/truck-1/signals", True),
        ("truck-1", "tickover/v1/truck-2/alert/anomaly", False),
        ("truck-1", "trucks/truck-2/signals", False),
        ("truck-1", "tickover/v1/truck-2/cmd/mute/request", False),
        ("dispatcher", "tickover/v1/truck-2/cmd/mute/request", True),
        ("dispatcher", "tickover/v1/truck-2/alert/anomaly", False),
        ("depot", "tickover/v1/truck-2/alert/anomaly", True),
        ("depot", "trucks/truck-2/signals", False),
        ("truck-1-signals", "trucks/truck-1/signals", True),
        ("truck-1-signals", "trucks/truck-2/signals", False),
        ("truck-1-signals", "tickover/v1/truck-1/alert/anomaly", False),
        ("truck-1-doctor", "tickover/v1/truck-1/doctor/queue", True),
        ("truck-1-doctor", "trucks/truck-1/signals", False),
        ("truck-1-doctor", "tickover/v1/truck-2/doctor", False),
        ("alice", "tickover/v1/truck-2/cmd/mute/request", True),
        ("alice", "tickover/v1/truck-2/alert/anomaly", False),
    ],
)
def test_who_may_publish_what(fleet: FleetBroker, user: str, topic: str, allowed: bool) -> None:
    with MqttClient(connection(fleet, user)) as client:
        client.publish(topic, b"x")
        assert client.drain(5)
        assert client.counts["refused"] == (not allowed)


def test_a_truck_hears_its_own_topics_only_and_the_dispatcher_all(fleet: FleetBroker) -> None:
    heard = {}
    with MqttClient(connection(fleet, "truck-1")) as one, MqttClient(connection(fleet, "dispatcher")) as all_of_them:
        for client in (one, all_of_them):
            client.subscribe("tickover/v1/+/health")
        with MqttClient(connection(fleet, "depot")) as depot:
            for name in TRUCKS:
                depot.publish(f"tickover/v1/{name}/health", name.encode())
            assert depot.drain(5)
        for name, client in (("truck-1", one), ("dispatcher", all_of_them)):
            messages = iter(lambda client=client: client.receive(0.5), None)
            heard[name] = {message.payload for message in messages}
    assert heard == {"truck-1": {b"truck-1"}, "dispatcher": {b"truck-1", b"truck-2"}}


@pytest.mark.parametrize("thief", ["truck-2", "truck-2-signals", "truck-1-signals", "truck-1-doctor", "dispatcher"])
@pytest.mark.parametrize("clean", [True, False])
def test_no_other_certificate_takes_over_the_session_of_a_truck(fleet: FleetBroker, thief: str, clean: bool) -> None:
    """The client id that a client says is not used: the name of its certificate is."""
    topic, number = "trucks/truck-1/signals", 50
    with MqttClient(connection(fleet, "truck-1"), client_id="truck-1", session_s=600) as daemon:
        daemon.subscribe(topic)
    with MqttClient(connection(fleet, "truck-1-signals")) as truck:
        for row in range(number):
            truck.publish(topic, str(row).encode())
        assert truck.drain(10)
    with MqttClient(connection(fleet, thief), client_id="truck-1", session_s=0 if clean else 600) as other:
        assert not other.session_present
        assert other.receive(0.3) is None
        other.end_session()
    with MqttClient(connection(fleet, "truck-1"), client_id="truck-1", session_s=600) as daemon:
        assert daemon.session_present
        received = [daemon.receive(5) for _ in range(number)]
        daemon.end_session()
    assert [int(message.payload) for message in received if message] == list(range(number))


def test_a_connected_truck_is_not_cut_off_by_a_name(fleet: FleetBroker) -> None:
    with MqttClient(connection(fleet, "truck-1"), client_id="truck-1", session_s=600) as daemon:
        for _ in range(3):
            with MqttClient(connection(fleet, "truck-2"), client_id="truck-1"):
                pass
        time.sleep(0.5)
        assert daemon.connected
        assert daemon.counts["reconnected"] == 0
        daemon.end_session()


def test_the_script_refuses_names_that_it_gives_itself(tmp_path: Path) -> None:
    script = str(DEPLOY / "mosquitto" / "make-certs.sh")
    for name in ("truck-1-signals", "truck-1-doctor", "broker", "acl", "a/b"):
        done = subprocess.run([script, str(tmp_path), "truck", name], capture_output=True, text=True)
        assert done.returncode == 2
        assert "not a" in done.stderr


def test_the_scripts_lines_of_the_acl_are_there_once(tmp_path: Path) -> None:
    script = str(DEPLOY / "mosquitto" / "make-certs.sh")
    for _ in range(2):
        subprocess.run([script, str(tmp_path), "truck", "t9"], check=True, capture_output=True)
    acl = (tmp_path / "acl").read_text()
    assert acl.startswith((DEPLOY / "mosquitto" / "acl").read_text())
    assert acl.count("user t9-signals\ntopic write trucks/t9/#\n") == acl.count("t9-signals") == 1


def test_nobody_comes_in_without_a_certificate(fleet: FleetBroker) -> None:
    bare = Connection(host="localhost", port=fleet.port, tls=True, ca=fleet.certs / "ca.crt")
    with pytest.raises(BrokerError, match="does it want a client certificate"), MqttClient(bare):
        pass


def test_the_queue_of_a_daemon_that_is_away_outlives_the_broker(fleet: FleetBroker) -> None:
    number = 3_000
    with MqttClient(connection(fleet, "truck-1"), client_id="away", session_s=600) as client:
        client.subscribe("trucks/truck-1/signals")
    with MqttClient(connection(fleet, "truck-1-signals")) as truck:
        for row in range(number):
            truck.publish("trucks/truck-1/signals", str(row).encode())
        assert truck.drain(20)
    fleet.restart()
    with MqttClient(connection(fleet, "truck-1"), client_id="away", session_s=600) as client:
        received = [client.receive(5) for _ in range(number)]
        client.end_session()
    assert [int(message.payload) for message in received if message] == list(range(number))


@pytest.mark.slow
def test_from_the_shipped_files_to_the_alerts_that_replay_gives(fleet: FleetBroker, tmp_path: Path) -> None:
    """The README's way: the sample configuration, TLS, ACL; a truck plays, the dispatcher watches."""
    if not (DEMO / "truck.onnx").exists():
        pytest.skip("no bundled model")
    config = fleet.device_config(tmp_path, DEMO / "truck.onnx")
    log = [str(DEMO / "trip.csv.gz"), "--map", str(DEMO / "mapping.toml")]
    out = tmp_path / "alerts.jsonl"
    with MqttClient(connection(fleet, "dispatcher")) as client, out.open("wb") as file:
        client.subscribe("tickover/v1/truck-1/status")
        daemon = start("run", "--config", str(config))
        status = client.receive(20)
        watcher = start("watch", *fleet.options("alice"), stdout=file)
        assert status is not None
        assert json.loads(status.payload)["state"] == "online"
        time.sleep(1)
        played = start("play", *log, *fleet.options("truck-1-signals"), "--speed", "max").wait(timeout=60)
        expected = replayed(log, tmp_path)
        wait_until(lambda: len(alerts_in(out)) >= len(expected), 20, "all alerts have arrived")
        for process in (daemon, watcher):
            process.terminate()
            assert process.wait(timeout=15) == 0
    assert played == 0
    assert [decode_alert(line) for line in alerts_in(out)] == expected
    assert len(expected) > 5


def alerts_in(watched: Path) -> list[bytes]:
    """The alerts among the lines of `watch`; a truck with six faults in three hours breaks its budget, too."""
    lines = [line for line in watched.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    return [line for line in lines if json.loads(line)["type"].startswith("tickover.alert.")]


def start(*arguments: str, **options: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "tickover", *arguments], **options)


def replayed(log: list[str], folder: Path) -> list[Alert]:
    """What replay says of the log, but for the end that only a log has."""
    alerts = folder / "replayed.jsonl"
    command = ["replay", str(DEMO / "truck.onnx"), *log, "--vehicle", "truck-1", "--alerts", str(alerts)]
    assert start(*command, stdout=subprocess.DEVNULL).wait(timeout=60) == 0
    found = [decode_alert(line) for line in alerts.read_bytes().splitlines()]
    return [alert for alert in found if alert.reason is not EndReason.END_OF_LOG]


@pytest.mark.slow
def test_the_live_demo_shows_alerts_arriving(fleet: FleetBroker) -> None:
    command = [sys.executable, str(DEMO / "live.py"), "--speed", "20000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"START +warning +truck-1 ", done.stdout), done.stdout
    assert re.search(r"\d+ alerts arrived over MQTT", done.stdout)


def test_the_live_demo_says_how_to_get_mosquitto(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(DEMO)!r}); import live; live.PLACES = ''; sys.argv[1:] = []; live.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env={"PATH": ""})
    assert "apt install mosquitto" in done.stdout, done.stderr
