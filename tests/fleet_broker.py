"""A Mosquitto with the shipped configuration: TLS, a certificate per truck, the shipped ACL."""

import getpass
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import MOSQUITTO as PROGRAM
from broker import Broker

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
MOSQUITTO = DEPLOY / "mosquitto"
TRUCKS = ("truck-1", "truck-2")
CLIENTS = ("dispatcher", "depot")


class FleetBroker(Broker):
    """``mosquitto.conf``, ``acl`` and ``make-certs.sh`` as they are shipped; only paths and port are moved."""

    host = "localhost"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.certs = folder / "certs"
        script = str(MOSQUITTO / "make-certs.sh")
        subprocess.run([script, str(self.certs), "broker", "localhost", "127.0.0.1"], check=True, capture_output=True)
        subprocess.run([script, str(self.certs), "truck", *TRUCKS], check=True, capture_output=True)
        subprocess.run([script, str(self.certs), "person", "alice"], check=True, capture_output=True)
        subprocess.run([script, str(self.certs), "client", *CLIENTS], check=True, capture_output=True)
        text = (MOSQUITTO / "mosquitto.conf").read_text()
        for old, new in (
            ("/etc/mosquitto/certs", str(self.certs)),
            ("/etc/mosquitto/acl", str(self.certs / "acl")),
            ("/var/lib/mosquitto/", f"{folder}/"),
            ("listener 8883", f"listener {self.port} 127.0.0.1"),
            ("log_dest stdout", f"log_dest file {folder}/mosquitto.log"),
        ):
            assert text.count(old), f"mosquitto.conf: expected {old}"
            text = text.replace(old, new)
        # Started as root, mosquitto would drop to a user of its own, who may not enter a test's folder.
        self.config.write_text(f"{text}\nuser {getpass.getuser()}\n")

    def options(self, name: str) -> list[str]:
        """The command line's options for the client with this name."""
        files = {"--ca": "ca.crt", "--cert": f"{name}.crt", "--key": f"{name}.key"}
        paths = [text for option, file in files.items() for text in (option, str(self.certs / file))]
        return ["--broker", self.address, *paths]

    def files(self, name: str) -> dict[str, Path]:
        """The TLS files of the client with this name, as `Connection` takes them."""
        return {
            "ca": self.certs / "ca.crt",
            "certificate": self.certs / f"{name}.crt",
            "key": self.certs / f"{name}.key",
        }

    def own(self, name: str) -> list[str]:
        """Doctor's options for this client's certificate."""
        return ["--cert", str(self.certs / f"{name}.crt"), "--key", str(self.certs / f"{name}.key")]

    def device_config(self, folder: Path, model: Path, name: str = "truck-1") -> Path:
        """The shipped sample configuration for a truck, with files and broker where they are here."""
        text = (DEPLOY / "tickover.toml").read_text()
        for old, new in (
            ("broker.example.org", self.host),
            ("port = 8883", f"port = {self.port}"),
            ("/etc/tickover/tls", str(self.certs)),
            ("/etc/tickover/truck.onnx", str(model)),
            ("/var/lib/tickover", str(folder / "state")),
        ):
            assert text.count(old), f"tickover.toml: expected {old}"
            text = text.replace(old, new)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "tickover.toml"
        path.write_text(text.replace("truck-1", name))
        return path


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetBroker]:
    """One of them, running, for a test module."""
    if PROGRAM is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto)")
    one = FleetBroker(tmp_path_factory.mktemp("fleet"))
    one.start()
    yield one
    one.stop()
