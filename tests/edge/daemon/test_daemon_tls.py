"""The daemon over TLS with a client certificate and a password, by MQTT 5 and 3.1.1; and what it refuses to do."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import MOSQUITTO, Broker, free_port, wait_until
from daemon_process import ROOT, Daemon, Truck, Watcher, as_told, drive, replayed

PASSWD = shutil.which("mosquitto_passwd")
CERTS = ROOT / "deploy" / "mosquitto" / "make-certs.sh"
USER, PASSWORD = "truck-1", 'p"ss wörd'
ELSEWHERE = "192.0.2.1"
"""An address for documentation (RFC 5737): nobody answers."""
PROTOCOL_IN_LOG = {"5": "p5", "3.1.1": "p2"}


class SecuredBroker(Broker):
    """Wants certificate, user and password on its TLS port; the plain port is for the test's own clients."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.certs, self.tls_port = folder / "certs", free_port()
        for kind, name in (("broker", "localhost"), ("client", USER)):
            subprocess.run([CERTS, self.certs, kind, name], check=True, capture_output=True)
        subprocess.run([CERTS, folder / "stranger", "client", USER], check=True, capture_output=True)
        passwords = folder / "passwords"
        subprocess.run([PASSWD, "-b", "-c", passwords, USER, PASSWORD], check=True, capture_output=True)
        secured = {
            "listener": f"{self.tls_port} 127.0.0.1",
            "cafile": self.certs / "ca.crt",
            "certfile": self.certs / "broker.crt",
            "keyfile": self.certs / "broker.key",
            "require_certificate": "true",
            "allow_anonymous": "false",
            "password_file": passwords,
        }
        text = "\n".join(f"{key} {value}" for key, value in secured.items())
        self.config.write_text(f"per_listener_settings true\n{self.config.read_text()}{text}\n")

    def tables(self, folder: Path, password: str = PASSWORD, ca: str = "certs", **more: object) -> dict[str, dict]:
        """The daemon's configuration; the credentials in a file of their own."""
        secret = folder / "credentials.toml"
        secret.write_text(f"username = {json.dumps(USER)}\npassword = {json.dumps(password)}\n")
        tls = {
            "ca": str(self.folder / ca / "ca.crt"),
            "certificate": str(self.certs / f"{USER}.crt"),
            "key": str(self.certs / f"{USER}.key"),
        }
        where = {"host": "localhost", "port": self.tls_port, "credentials": str(secret), **more}
        return {"broker": where, "broker.tls": tls}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    if MOSQUITTO is None or PASSWD is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto)")
    with SecuredBroker(tmp_path_factory.mktemp("secured")) as running:
        yield running


def refused(daemon: Daemon) -> str:
    """The daemon ends by itself, for its configuration."""
    daemon.start(ready=False)
    wait_until(daemon.over, 10, "it ends")
    assert daemon.process
    assert daemon.process.returncode == 78
    return daemon.text()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_certificate_and_password_open_the_way_to_the_same_alerts(
    secured: SecuredBroker, tmp_path: Path, protocol: str
) -> None:
    name, rows = f"gateway-{protocol}", drive(200)
    tables = secured.tables(tmp_path, protocol=protocol, client_id=name)
    with (
        Watcher(secured, f"tickover-{protocol}/#") as watcher,
        Truck(secured) as truck,
        Daemon(tmp_path, secured.port, **tables, out={"base": f"tickover-{protocol}"}) as daemon,
    ):
        truck.send(rows)
        watcher.expect(as_told(replayed(rows)))
        assert daemon.stop() == 0
    greeting = re.compile(rf"as {name} \({PROTOCOL_IN_LOG[protocol]}, c0, k30, u'{USER}'\)")
    assert greeting.search(secured.log), "its own user, protocol, and no clean session"
    assert PASSWORD not in daemon.text()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password": "wrong"}, "refused the connection: Not authorized"),
        ({"ca": "stranger"}, "certificate verify failed"),
        ({"host": "127.0.0.1"}, "IP address mismatch"),
    ],
    ids=["password", "authority", "host name"],
)
def test_what_the_broker_or_we_refuse_is_said_aloud_and_tried_again(
    secured: SecuredBroker, tmp_path: Path, wrong: dict, said: str
) -> None:
    daemon = Daemon(tmp_path, secured.port, **secured.tables(tmp_path, **wrong))
    with daemon.start(ready=False):
        wait_until(lambda: said in daemon.text(), 10, said)
        assert not daemon.over()
        assert "wrong" not in daemon.text(), "the password stays out of the log"
        assert "connected broker=" not in daemon.text()
        start = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - start < 5


def test_plaintext_to_another_machine_needs_the_switch(tmp_path: Path) -> None:
    text = refused(Daemon(tmp_path / "no", 1883, broker={"host": ELSEWHERE}))
    assert f"plaintext to {ELSEWHERE}: expected [broker.tls], or allow_plaintext = true" in text
    daemon = Daemon(tmp_path / "yes", 1883, broker={"host": ELSEWHERE, "allow_plaintext": True})
    with daemon.start(ready=False):
        wait_until(lambda: "started models=" in daemon.text(), 10, "started")
        assert daemon.stop() == 0


def test_without_a_certificate_the_broker_hangs_up(secured: SecuredBroker, tmp_path: Path) -> None:
    tables = secured.tables(tmp_path)
    tables["broker.tls"] = {"ca": tables["broker.tls"]["ca"]}
    daemon = Daemon(tmp_path, secured.port, **tables)
    with daemon.start(ready=False):
        wait_until(lambda: "no connection broker=localhost" in daemon.text(), 10, "said")
        assert "connected broker=localhost" not in daemon.text()


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"broker": {"credentials": "/nowhere/secret.toml"}}, "/nowhere/secret.toml: cannot be read"),
        ({"broker.tls": {"ca": "/nowhere/ca.crt"}}, "broker.tls: expected PEM files that can be read, got /nowhere/ca"),
        ({"broker.tls": {"certificate": "/nowhere/truck.crt"}}, "tls: expected certificate and key together"),
    ],
)
def test_files_that_are_not_there_are_a_wrong_configuration(tmp_path: Path, tables: dict, said: str) -> None:
    assert said in refused(Daemon(tmp_path, 1883, **tables))
