"""Campaigns against the whole daemon that tests run short and tests/bench/faults_*.py run long."""

import random
import threading
import time
from pathlib import Path

from broker import Broker, wait_until
from daemon_process import Row, drive
from faults.gateway import SOUND, Ear, Gateway, Player, Result
from faults.proxy import Proxy


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
        heard = ear.subscribed
        broker.start()
        wait_until(lambda count=heard: ear.subscribed > count, 20, "the ear hears again")  # type: ignore[misc]
        wait_until(player.client.is_connected, 20, "the truck is back")
        proxy.come_back()
        wait_until(lambda count=part + 2: len(proxy.accepted) >= count, 40, "the daemon is back")  # type: ignore[misc]
    result = ear.judge(gateway.name, rows, patience)
    gateway.kill()
    player.close()
    proxy.close()
    return result


def rows_between(rows: list[Row], first: int, last: int) -> list[Row]:
    """The rows of the seconds from ``first`` up to ``last`` of a drive."""
    start = rows[0][0] // 1
    return [row for row in rows if first <= row[0] - start < last]
