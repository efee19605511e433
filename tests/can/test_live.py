"""A live bus: the kernel's framing over a socket pair, other interfaces, interfaces that go away, and the daemon."""

import json
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

import paths
from daemon_process import MODEL, SIGNALS, alerts_in, drive
from faults.scripted import ScriptedLink, write_config
from tickover.core.manifest import Manifest
from tickover.core.pipeline import Pipeline
from tickover.core.policy import Settings
from tickover.daemon import bus as live
from tickover.daemon import presence, runner, upkeep
from tickover.daemon.config import Vehicles, load_config
from tickover.daemon.intake import Intake
from tickover.daemon.recovery import open_fleet
from tickover.daemon.sources import Transport, open_port
from tickover.errors import ConfigError
from tickover.logs.mapping import LogLayout, Mapping, SignalColumn
from tickover.logs.reading import load_catalogue, read_log
from tickover.messages.alerts import decode_alert, encode_alert
from tickover.model.detector import Detector
from tickover.payloads.can.filters import filters_of
from tickover.payloads.can.shipped import shipped_catalogue
from tickover.transports.can import socketcan
from tickover.transports.can.base import ERROR, EXTENDED, REMOTE, Frame
from tickover.transports.can.listener import Listener
from tickover.transports.can.settings import Bus

DBC = paths.TESTS / "can" / "live.dbc"
LAYOUT = LogLayout(dbc=(str(DBC),))
WAIT_S = 10.0


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def packed(key: int, payload: bytes) -> bytes:
    return socketcan.CLASSIC.pack(key, len(payload), payload.ljust(8, b"\0"))


class Script:
    """A port that gives what is put into it; ``None`` stands for the interface going away."""

    dropped = 0

    def __init__(self, frames: list[Frame | None]) -> None:
        self.waiting = deque(frames)

    def receive(self, timeout: float) -> list[Frame]:
        if not self.waiting:
            time.sleep(0.01)
            return []
        frame = self.waiting.popleft()
        if frame is None:
            raise OSError(100, "Network is down")
        return [frame]

    def close(self) -> None:
        pass


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socketcan.SocketPort]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    port = socketcan.SocketPort(ours)
    yield theirs, port
    port.close()
    theirs.close()


def test_frames_of_the_kernels_framing(pair: tuple[socket.socket, socketcan.SocketPort]) -> None:
    theirs, port = pair
    theirs.send(packed(0x100, b"\x01\x02"))
    theirs.send(packed(EXTENDED | 0x18FEF100, bytes(range(8))))
    theirs.send(socketcan.FD.pack(0x101, 12, bytes(range(12)).ljust(64, b"\0")))
    theirs.send(b"what is this")
    before = time.time() * 1e6
    frames = port.receive(1.0)
    assert [(frame.key, frame.payload) for frame in frames] == [
        (0x100, b"\x01\x02"),
        (EXTENDED | 0x18FEF100, bytes(range(8))),
        (0x101, bytes(range(12))),
    ]
    assert all(abs(frame.time - before) < 5e6 for frame in frames)
    assert port.receive(0.01) == []


def test_a_listener_counts_errors_and_opens_again_what_went_away() -> None:
    ports = deque(
        [
            OSError(19, "No such device"),
            Script([Frame(1, 0x100, b"a"), Frame(2, ERROR | 4, b""), Frame(3, REMOTE | 0x100, b""), None]),
            Script([Frame(4, 0x101, b"b")]),
        ]
    )

    def open_next() -> Script:
        port = ports.popleft() if len(ports) > 1 else ports[0]
        if isinstance(port, OSError):
            raise port
        return port

    listener = Listener("test", open_next, longest_wait_s=0.05)
    assert not listener.is_open
    listener.start()
    found: list[Frame] = []
    until(lambda: found.extend(listener.drain()) or len(found) == 2)
    assert [frame.payload for frame in found] == [b"a", b"b"]
    assert listener.is_open
    assert dict(listener.counts) == {"opened": 2, "frames": 2, "error_frames": 1, "remote_frames": 1}
    listener.stop()


def test_frames_that_nobody_takes_are_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickover.transports.can.listener.MAX_WAITING", 10)
    script = Script([Frame(n, 0x100, b"") for n in range(25)])
    listener = Listener("test", lambda: script)
    listener.start()
    until(lambda: listener.counts["frames"] == 25)
    listener.stop()
    assert [frame.time for frame in listener.drain()] == list(range(15, 25))
    assert listener.dropped == 15


def test_an_interface_that_is_absent_says_so() -> None:
    listener = Listener("test", lambda: open_port(Bus(channel="nocan9", vehicle="t1"), []))
    listener.start()
    until(lambda: listener.trouble.startswith("cannot be opened: "))
    listener.stop()


def test_the_filters_pass_what_is_wanted_and_no_more() -> None:
    catalogue = shipped_catalogue()
    pairs = filters_of(catalogue, frozenset({"engine_speed", "obd_engine_speed"}))
    passes = lambda key: any(key & mask == match & mask for match, mask in pairs)  # noqa: E731
    assert passes(EXTENDED | 0x0CF00400)
    assert passes(EXTENDED | 0x18F00431), "any priority and source"
    assert passes(0x7E8)
    assert passes(EXTENDED | 0x18DAF110)
    for key in (EXTENDED | 0x18FEF100, 0x0F00400 & 0x7FF, 0x7DF, EXTENDED | 0x18DA10F1, REMOTE | 0x7E8):
        assert not passes(key)
    plain = load_catalogue(LAYOUT)
    assert filters_of(plain, frozenset({"rpm"})) == [(257, EXTENDED | REMOTE | 0x7FF)]


def frames_of_drive(seconds: int) -> list[Frame]:
    """A drive of `daemon_process` as frames, a message for each reading; float32, as the bus carries them."""
    return [
        Frame(round(stamp * 1e6) + place, 256 + place, struct.pack("<f4x", shown[name]))
        for stamp, shown in drive(seconds)
        for place, name in enumerate(SIGNALS)
        if name in shown
    ]


def candump(frames: list[Frame]) -> str:
    return "".join(f"({f.time / 1e6:.6f}) can0 {f.key:03X}#{f.payload.hex().upper()}\n" for f in frames)


def replayed(path: Path) -> list:
    """The alerts of a replay of the recording; the log's end ends nothing."""
    pipeline = Pipeline(Detector.load(MODEL), Settings(), "anomaly")
    mapping = Mapping(signals={name: SignalColumn() for name in SIGNALS}, log=LAYOUT)
    alerts = []
    for block in read_log(path, mapping, vehicle="t1", counts=Counter(), on_bad=print):
        pipeline.feed(block)
        alerts += [alert for output in pipeline.pump() for alert in output.alerts]
    return [decode_alert(encode_alert(alert)) for alert in alerts]


def test_the_same_frames_live_and_replayed_give_the_same_alerts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "LISTEN_S", 0.0)
    monkeypatch.setattr(live, "GATHER_S", 0.0)
    frames = frames_of_drive(290)
    (tmp_path / "a.log").write_text(candump(frames))
    wanted = {alert.alert_id: alert for alert in replayed(tmp_path / "a.log")}
    assert wanted
    path = write_config(tmp_path / "config.toml", tmp_path / "state", MODEL)
    path.write_text(path.read_text() + f'\n[bus]\nchannel = "can0"\nvehicle = "t1"\ndbc = ["{DBC}"]\n')
    config = load_config(path)
    script = Script([])
    monkeypatch.setattr(live, "open_port", lambda bus, filters: script)
    link = ScriptedLink()
    daemon = runner.open_daemon(config, open_fleet(config), "live", Transport(link, link))
    # In pieces of odd sizes: how frames come in turns must not matter.
    for at in range(0, len(frames), 37):
        script.waiting.extend(frames[at : at + 37])
        until(lambda: not script.waiting)
        daemon.turn(0)
    until(lambda: daemon.buses[0].listener.counts["frames"] == len(frames))
    report = daemon.health.report()
    for _ in range(20):
        daemon.turn(0)
    assert report["bus"]["open"]
    assert report["bus"]["frames"] == len(frames)
    daemon.stop(0.0)
    told = {
        alert.alert_id: alert for alert in alerts_in([body for topic, body in published(link) if "/alert/" in topic])
    }
    assert told == wanted


def test_two_buses_of_one_truck_give_its_signals_and_each_that_is_down_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "LISTEN_S", 0.0)
    monkeypatch.setattr(live, "GATHER_S", 0.0)
    monkeypatch.setattr(upkeep, "CHORES_S", 0.01)
    frames = frames_of_drive(290)
    (tmp_path / "a.log").write_text(candump(frames))
    wanted = {alert.alert_id for alert in replayed(tmp_path / "a.log")}
    path = write_config(tmp_path / "config.toml", tmp_path / "state", MODEL)
    tables = [f'[[bus]]\nchannel = "can{n}"\nvehicle = "t1"\ndbc = ["{DBC}"]\n' for n in (0, 1)]
    path.write_text(path.read_text() + "\n" + "\n".join(tables))
    config = load_config(path)
    scripts = {"can0": Script([]), "can1": Script([])}
    monkeypatch.setattr(live, "open_port", lambda bus, filters: scripts[bus.channel])
    link = ScriptedLink()
    daemon = runner.open_daemon(config, open_fleet(config), "live", Transport(link, link))
    for at in range(0, len(frames), 6):
        for frame in frames[at : at + 6]:
            scripts["can0" if frame.key == 256 else "can1"].waiting.append(frame)
        sent = min(at + 6, len(frames))
        until(lambda: sum(bus.listener.counts["frames"] for bus in daemon.buses) == sent)  # noqa: B023
        daemon.turn(0)
    for _ in range(20):
        daemon.turn(0)
    assert {alert.alert_id for alert in alerts_in([b for topic, b in published(link) if "/alert/" in topic])} == wanted
    assert [one["interface"] for one in daemon.health.report()["buses"]] == ["socketcan:can0", "socketcan:can1"]

    def notices() -> list[dict]:
        return [json.loads(body)["data"] for topic, body in published(link) if topic.endswith("alert/bus_down")]

    assert notices() == []
    monkeypatch.setattr(live, "open_port", gone)
    scripts["can1"].waiting.append(None)
    until(lambda: daemon.turn(0) or len(notices()) > 0)
    assert notices()[0]["active"]
    assert "bus socketcan:can1 " in notices()[0]["text"]
    monkeypatch.setattr(live, "open_port", lambda bus, filters: scripts[bus.channel])
    until(lambda: daemon.turn(0) or not notices()[-1]["active"])
    daemon.stop(0.0)


def gone(bus: Bus, filters: object) -> Script:
    raise OSError(19, "No such device")


def published(link: ScriptedLink) -> list[tuple[str, bytes]]:
    return [(one[0], one[1]) for one in link.published]


def test_python_cans_virtual_bus_is_a_bus() -> None:
    can = pytest.importorskip("can")
    port = open_port(Bus(interface="virtual", channel="tickover-test", vehicle="t1"), [])
    with can.Bus(interface="virtual", channel="tickover-test") as other:
        other.send(can.Message(arbitration_id=0x18FEF100, is_extended_id=True, data=b"\x01"))
        other.send(can.Message(arbitration_id=0x123, is_extended_id=False, data=b"\x02"))
        found: list[Frame] = []
        until(lambda: found.extend(port.receive(0.1)) or len(found) == 2)
    port.close()
    assert [(frame.key, frame.payload) for frame in found] == [(EXTENDED | 0x18FEF100, b"\x01"), (0x123, b"\x02")]


def test_a_socketcand_is_a_bus() -> None:
    pytest.importorskip("can")
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = server.accept()
        with peer:
            peer.sendall(b"< hi >")
            peer.recv(100)
            peer.sendall(b"< ok >")
            peer.recv(100)
            peer.sendall(b"< ok >")
            peer.sendall(b"< frame 18FEF100 1764480000.250000 0102 >")
            time.sleep(0.5)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    options = {"host": "127.0.0.1", "port": server.getsockname()[1]}
    port = open_port(Bus(interface="socketcand", channel="can0", vehicle="t1", options=options), [])
    found: list[Frame] = []
    until(lambda: found.extend(port.receive(0.1)) or bool(found))
    port.close()
    server.close()
    assert found[0] == Frame(1_764_480_000_250_000, EXTENDED | 0x18FEF100, b"\x01\x02")


def test_a_real_vcan_is_a_bus() -> None:
    try:
        sender = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
        sender.bind(("vcan0",))
    except OSError:
        pytest.skip("no vcan0 here: the framing is tested over a socket pair")
    with sender:
        port = open_port(Bus(channel="vcan0", vehicle="t1"), [])
        sender.send(packed(EXTENDED | 0x18FEF100, bytes(8)))
        found: list[Frame] = []
        until(lambda: found.extend(port.receive(0.1)) or bool(found))
        port.close()
        assert found[0].key == EXTENDED | 0x18FEF100


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('channel = "can0"\nvehicle = "t1"\nmap = "a.toml"\ndbc = ["b.dbc"]', "bus: dbc: expected none beside map"),
        ('channel = "a-name-that-is-too-long"\nvehicle = "t1"', "bus: channel: expected the name of an interface"),
        ('vehicle = "t1"', "channel"),
    ],
)
def test_a_wrong_table_is_refused_with_its_key(table: str, words: str, tmp_path: Path) -> None:
    path = write_config(tmp_path / "config.toml", tmp_path / "state", MODEL)
    path.write_text(f"{path.read_text()}\n[bus]\n{table}\n")
    with pytest.raises(ConfigError) as refusal:
        load_config(path)
    assert words in str(refusal.value)


def test_one_interface_twice_is_refused(tmp_path: Path) -> None:
    path = write_config(tmp_path / "config.toml", tmp_path / "state", MODEL)
    path.write_text(path.read_text() + '\n[[bus]]\nchannel = "can0"\nvehicle = "t1"\n' * 2)
    with pytest.raises(ConfigError, match="bus: channel: expected each interface once, got socketcan:can0 twice"):
        load_config(path)


def test_a_bus_without_the_models_signals_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected the models' signals \(coolant, rpm\).*got none"):
        live.read_mapping(Bus(channel="can0", vehicle="t1"), ("coolant", "rpm"))


def test_rows_have_the_models_columns_in_their_order() -> None:
    intake = Intake((), ("speed", "other", "rpm"), Vehicles(), lambda vehicle: False)
    bus = live.LiveBus(
        Bus(channel="x", vehicle="t1", dbc=(str(DBC),)), ("speed", "other", "rpm"), intake, Listener("x", Script)
    )  # type: ignore[arg-type]
    time_, values = bus.rows([Frame(5, 257, struct.pack("<f", 7.0)), Frame(6, 258, struct.pack("<f", 8.0))])
    assert time_.tolist() == [5, 6]
    np.testing.assert_array_equal(values, [[np.nan, np.nan, 7.0], [8.0, np.nan, np.nan]])
    intake.take_rows("t1", time_, values, 0, synced=False)
    (rows,) = intake.drain()
    assert rows.vehicle == "t1"
    assert json.dumps(rows.arrays(3)[0].tolist()) == "[5, 6]"


def manifest_with(mapping: str, *names: str) -> Manifest:
    """The manifest of a model of these signals that carries this mapping."""
    own = Detector.load(MODEL).manifest
    signals = tuple(msgspec.structs.replace(own.signals[0], name=name) for name in names)
    return msgspec.structs.replace(own, signals=signals, log_mapping=mapping)


def test_without_a_mapping_of_its_own_the_bus_is_read_as_the_models_recordings() -> None:
    text = (
        '[log]\nby_name = true\nnames = "vss"\n[signals.road]\ncolumn = "Vehicle.Speed"\nsource = 0x0B\nscale = 2.0\n'
        '[signals.vehicle_load]\ncolumn = "Motorlast [%]"\n'
    )
    manifest = manifest_with(text, "road", "vehicle_load")
    columns = ("vehicle_load", "road")
    mapping = live.read_mapping(Bus(channel="can0", vehicle="t1"), columns, [manifest])
    assert mapping.names == columns
    assert [one.source for one in mapping.signals.values()] == [None, 0x0B]
    intake = Intake((), columns, Vehicles(), lambda vehicle: False)
    bus = live.LiveBus(
        Bus(channel="can0", vehicle="t1"),
        columns,
        intake,
        Listener("x", Script),
        [manifest],  # type: ignore[arg-type]
    )
    payload = bytes((0xFF, 0, 50, 255, 255, 255, 255, 255))
    # The source of the training is read although the other one begins, and goes on an hour later.
    sources = [0x00, 0x0B, 0x00, 0x0B]
    frames = [Frame(k * 3600_000_000, EXTENDED | 0x18FEF100 | source, payload) for k, source in enumerate(sources)]
    time_, values = bus.rows(frames)
    assert time_.tolist() == [3600_000_000, 3 * 3600_000_000]
    np.testing.assert_array_equal(values[:, 1], [100.0, 100.0])
    assert intake.counts["Vehicle.Speed of other source"] == 2


def test_a_bus_with_another_dbc_than_the_models_is_said(caplog: pytest.LogCaptureFixture) -> None:
    text = f'[log]\ntrained_with = ["truck.dbc sha256:{"0" * 64}"]\n[signals.rpm]\n'
    intake = Intake((), ("rpm",), Vehicles(), lambda vehicle: False)
    bus = Bus(channel="can0", vehicle="t1", dbc=(str(DBC),))
    live.LiveBus(bus, ("rpm",), intake, Listener("x", Script), [manifest_with(text, "rpm")])  # type: ignore[arg-type]
    assert "the model was trained with the DBC truck.dbc (sha256 000000000000), and is given live.dbc" in caplog.text
