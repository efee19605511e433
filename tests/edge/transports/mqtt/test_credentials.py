"""Files that let someone pass for the daemon, open to too many: told at the start and by doctor, refused by neither."""

import os
from pathlib import Path

import pytest

from broker import Broker as Mosquitto
from daemon_process import Daemon
from doctor_process import doctor, plain
from tickover.transports.mqtt.credentials import exposed
from tickover.transports.mqtt.settings import Broker, Tls


def secret(folder: Path, mode: int) -> Path:
    path = folder / "secret"
    path.write_text('username = "u"\npassword = "p"\n')
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_our_own_alone_is_well(tmp_path: Path, mode: int) -> None:
    name = str(secret(tmp_path, mode))
    assert not list(exposed(Broker(client_id="c", credentials=name)))


@pytest.mark.parametrize(("mode", "who"), [(0o640, "its group"), (0o604, "anybody"), (0o644, "anybody")])
def test_credentials_and_keys_that_others_can_read_are_named_with_the_cure(tmp_path: Path, mode: int, who: str) -> None:
    name = str(secret(tmp_path, mode))
    tls = Tls(certificate="c.crt", key=name)
    for word, broker in (
        ("credentials", Broker(client_id="c", credentials=name)),
        ("TLS key", Broker(client_id="c", tls=tls)),
    ):
        (found,) = exposed(broker)
        assert found.seen.startswith(f"{word} {name}: mode {mode:04o}, open to {who}")
        assert found.fix == f"chmod 600 {name}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_roots_file_may_be_our_groups_and_no_one_elses(tmp_path: Path) -> None:
    path = secret(tmp_path, 0o640)
    os.chown(path, 12345, os.getegid())
    broker = Broker(client_id="c", credentials=str(path))
    assert not list(exposed(broker))
    path.chmod(0o644)
    (found,) = exposed(broker)
    assert found.fix == f"chmod 640 {path}"


def test_the_start_and_doctor_say_it_and_go_on(broker: Mosquitto, tmp_path: Path) -> None:
    path = secret(tmp_path, 0o644)
    with Daemon(tmp_path / "daemon", broker.port, broker={"credentials": str(path)}) as daemon:
        assert f"level=warning logger=tickover credentials {path}: mode 0644" in daemon.text()
        assert f"chmod 600 {path}" in daemon.text()
    config = plain(broker, tmp_path)
    config.write_text(config.read_text().replace("[broker]\n", f'[broker]\ncredentials = "{path}"\n'))
    _, states, said = doctor(config)
    assert states["secrets"] == "warn"
    assert f"-> chmod 600 {path}" in said
