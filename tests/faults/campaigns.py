"""Campaigns against the whole daemon that tests run short and tests/bench/faults_*.py run long."""

import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from broker import Broker, wait_until
from daemon_process import Row, drive
from faults.gateway import SOUND, VEHICLE, Ear, Gateway, Player, Result
from faults.nursery import Nursery
from faults.process import ROOT, environment
from faults.proxy import Proxy
from tickover.core.values import Alert
from tickover.messages.alerts import decode_alert

DEMO: Final = ROOT / "deploy" / "demo"
DEMO_LOG: Final = DEMO / "trip.csv.gz"
DEMO_S: Final = 9300
"""Length of the demo's log, seconds."""
RECEIVE_MAXIMUM: Final = 2000
"""The daemon's default."""
CONNECTED: Final = "connected broker="
KILL_EVERY_S: Final = 0.45
"""How long the log plays for each kill: as long as a life lasts on average."""
EPISODES: Final = "\n[episodes]\nupdate_every_s = 10.0\n"
"""More alerts to lose."""


def restart_broker(folder: Path, broker: Broker, ear: Ear, times: int, patience: float = 60) -> Result:
    """A truck plays without a pause while the broker ends cleanly and starts again, ``times`` times."""
    gateway = Gateway(folder, broker, "restarts", broker_more="keepalive_s = 5")
    gateway.start().wait_connected()
    player, rows, chance = Player(gateway), drive(times * 120), random.Random(times)
    playing = threading.Thread(target=player.play, args=(rows, times * 2.5 / len(rows)))
    playing.start()
    for _ in range(times):
        time.sleep(chance.uniform(0.5, 1.5))
        broker.stop()
        time.sleep(chance.uniform(0.0, 0.5))
        broker.start()
        wait_until(player.client.is_connected, 20, "the truck is back")
    playing.join()
    result = ear.judge(gateway.name, rows, patience)
    gateway.kill()
    player.close()
    return result


def kill_broker(
    folder: Path, broker: Broker, ear: Ear, times: int, launcher: tuple[str, ...] = SOUND, patience: float = 30
) -> Result:
    """The broker gets SIGKILL, ``times`` times, while it has handed on rows and not received the alerts they raise.

    Nothing that the daemon says arrives from before those rows come, so its acknowledgements and alerts are under way
    when the broker dies. What a killed broker had accepted itself is not the daemon's to keep: the truck waits for
    the daemon, and the daemon finds the network again only when the ear hears again.
    """
    proxy = Proxy(broker.port)
    gateway = Gateway(folder, broker, "kills", port=proxy.port, receive_maximum=400, state_more="commit_s = 0.3")
    gateway.start(launcher=launcher).wait_connected()
    player, rows = Player(gateway), drive(times * 150)
    for part in range(times):
        time.sleep(1.0)  # acknowledgements of the part before are at the broker
        proxy.mute()
        player.play(rows_between(rows, part * 150, part * 150 + 150))
        time.sleep(1.0)  # the daemon has read, committed and tried to tell
        broker.kill()
        proxy.go_away()
        heard, connected = ear.subscribed, gateway.text().count(CONNECTED)
        broker.start()
        wait_until(lambda count=heard: ear.subscribed > count, 20, "the ear hears again")  # type: ignore[misc]
        wait_until(player.client.is_connected, 20, "the truck is back")
        proxy.come_back()
        # The daemon's own word: it may also ask the broker, by another connection, who is online.
        wait_until(lambda count=connected: gateway.text().count(CONNECTED) > count, 40, "the daemon is back")  # type: ignore[misc]
    result = ear.judge(gateway.name, rows, patience)
    gateway.kill()
    player.close()
    proxy.close()
    return result


@dataclass
class Kills:
    """A campaign of SIGKILLs."""

    kills: int
    seconds: float
    result: Result
    troubles: list[str]
    """What the daemon complained of, and what it put aside; a kill is no reason for either."""


def kill_daemon(
    folder: Path, broker: Broker, ear: Ear, kills: int, seconds: float, seed: int = 0, window: int = RECEIVE_MAXIMUM
) -> Kills:
    """``tickover play`` publishes the demo's log while the daemon is killed and started, ``kills`` times or so.

    Killed from 5 ms after its start (while it loads, recovers, connects) to 1 s (while it commits, checkpoints, sends).
    The alerts are compared with ``tickover replay`` of the same log. No more kills after ``seconds``.
    """
    mapping = folder / "mapping.toml"
    mapping.write_text((DEMO / "mapping.toml").read_text() + EPISODES)
    gateway = Gateway(
        folder,
        broker,
        "sigkill",
        receive_maximum=window,
        model=DEMO / "truck.onnx",
        time_key="time",
        state_more="commit_s = 0.5\ncheckpoint_s = 2",
        more=EPISODES,
    )
    gateway.open_session()
    speed = DEMO_S / (kills * KILL_EVERY_S)
    play = ["play", str(DEMO_LOG), "--map", str(mapping), "--broker", broker.address, "--speed", f"{speed:.1f}"]
    player = tickover([*play, "--vehicle", VEHICLE, "--topic", "sigkill/in/{vehicle}"], gateway.folder / "play")
    chance, begin, done = random.Random(seed), time.monotonic(), 0
    with Nursery() as nursery:
        while done < kills and time.monotonic() - begin < seconds:
            gateway.start_from(nursery)
            time.sleep(chance.uniform(0.005, 0.1) if chance.random() < 0.3 else chance.uniform(0.1, 1.0))
            gateway.kill()
            done += 1
    took = time.monotonic() - begin
    gateway.start()
    assert player.wait(took + 60) == 0, (gateway.folder / "play").read_text()
    result = ear.compare(gateway.name, replayed_log(mapping, folder), 60)
    assert "Traceback" not in gateway.text(), gateway.text()[-3000:]
    gateway.kill()
    usual = ("started models=", "connected broker=", "subscribed topics=", "left out: missing")
    troubles = [line for line in gateway.text().splitlines() if not any(words in line for words in usual)]
    troubles += [path.name for path in gateway.state.glob("*.damaged-*")]
    return Kills(done, took, result, troubles)


def drain_backlog(
    folder: Path, broker: Broker, ear: Ear, waiting: int, kills: int, seed: int = 0, window: int = RECEIVE_MAXIMUM
) -> Result:
    """Readings of ``waiting`` seconds wait when the daemon first starts, and the truck goes on; it is killed."""
    gateway = Gateway(folder, broker, "backlog", receive_maximum=window, state_more="commit_s = 0.5")
    gateway.open_session()
    rows, player, chance = drive(waiting + kills * 300), Player(gateway), random.Random(seed)
    player.play(rows_between(rows, 0, waiting))
    live = threading.Thread(target=player.play, args=(rows_between(rows, waiting, len(rows) * 2), 0.002))
    live.start()
    for _ in range(kills):
        gateway.start()
        time.sleep(chance.uniform(0.5, 2.0))
        gateway.kill()
    gateway.start()
    live.join()
    result = ear.judge(gateway.name, rows, 120)
    gateway.kill()
    player.close()
    return result


def replayed_log(mapping: Path, folder: Path) -> dict[str, Alert]:
    """The alerts that ``tickover replay`` finds in the demo's log; its end ends nothing."""
    out = folder / "alerts.jsonl"
    replay = ["replay", str(DEMO / "truck.onnx"), str(DEMO_LOG), "--map", str(mapping), "--vehicle", VEHICLE]
    code = tickover([*replay, "--alerts", str(out), "--state", str(folder / "state")], folder / "replay").wait(120)
    assert code == 0, (folder / "replay").read_text()
    return {alert.alert_id: alert for alert in map(decode_alert, out.read_bytes().splitlines())}


def tickover(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """The command, as a process of its own."""
    with log.open("wb") as file:
        command = [sys.executable, "-m", "tickover", *arguments]
        return subprocess.Popen(command, stdout=file, stderr=file, env=environment())


def rows_between(rows: list[Row], first: int, last: int) -> list[Row]:
    """The rows of the seconds from ``first`` up to ``last`` of a drive."""
    start = rows[0][0] // 1
    return [row for row in rows if first <= row[0] - start < last]
