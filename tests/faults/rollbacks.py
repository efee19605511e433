"""A broker that lost its newest writes delivers a backlog again; a gateway sends its last minutes again."""

import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from broker import Broker, wait_until
from daemon_process import Row, drive
from faults.campaigns import rows_between
from faults.gateway import Ear, Gateway, Player, Result
from faults.proxy import Proxy

PART: Final = 150
"""Rows queued while the daemon is away."""
SAVED: Final = "mosquitto.db"
TAKEN_S: Final = 240
"""How long the daemon may take for what was sent; a campaign may share its machine, or be paused."""


@dataclass
class Again:
    """``again``: readings that the daemon got once more, ``repeated``: those that it counted so; ``result``: its
    alerts."""

    times: int
    again: int
    repeated: int
    clock_back: int
    result: Result

    @property
    def good(self) -> bool:
        return self.result.good and self.again == self.repeated and self.again > 0 and not self.clock_back


def roll_back_broker(
    folder: Path, broker: Broker, ear: Ear, times: int, each: int = 5, more: str = "", patience: float = 60
) -> Again:
    """The broker gets SIGKILL once the daemon has acknowledged a backlog, and starts with its file from before.

    The same file is put back up to ``each`` times; then rows go on.
    """
    proxy = Proxy(broker.port)
    gateway = Gateway(folder, broker, "rolled", port=proxy.port, receive_maximum=60, more=more)
    gateway.start().wait_connected()
    player, rows, sent, again = Player(gateway), drive(PART * -(-times // each)), 0, 0
    for part, first in enumerate(range(0, len(rows), PART)):
        piece = rows_between(rows, first, first + PART)
        proxy.drop()
        player.play(piece)
        broker.stop()
        aside = shutil.copy(broker.folder / SAVED, folder / f"{SAVED}-{part}")
        broker.start()
        proxy.come_back()
        sent += len(piece)
        _wait_for(ear, gateway, sent)
        for _ in range(min(each, times - part * each)):
            broker.kill()
            shutil.copy(aside, broker.folder / SAVED)
            broker.start()
            sent, again = sent + len(piece), again + _readings(piece)
            _wait_for(ear, gateway, sent)
        wait_until(player.client.is_connected, 30, "the truck is back")
    done = _judged(ear, gateway, rows, times, again, patience)
    player.close()
    proxy.close()
    return done


def resend(folder: Path, broker: Broker, ear: Ear, times: int, patience: float = 60, seed: int = 0) -> Again:
    """After every 30 rows the gateway begins again a few minutes before."""
    gateway = Gateway(folder, broker, "resent")
    gateway.start().wait_connected()
    player, rows, chance, sent, twice = Player(gateway), drive(30 * times + 60), random.Random(seed), 0, 0
    for first in range(0, len(rows), 30):
        player.play(rows[first : first + 30])
        again = rows[max(0, first + 30 - chance.randrange(1, 400)) : first + 30] if first < 30 * times else []
        player.play(again)
        sent, twice = sent + len(rows[first : first + 30]) + len(again), twice + _readings(again)
    _wait_for(ear, gateway, sent)
    done = _judged(ear, gateway, rows, times, twice, patience)
    player.close()
    return done


def _wait_for(ear: Ear, gateway: Gateway, rows: int) -> None:
    """Until the daemon has taken so many rows in all."""
    wait_until(lambda: ear.health(gateway.name).get("rows", 0) >= rows, TAKEN_S, f"the daemon has taken {rows} rows")


def _judged(ear: Ear, gateway: Gateway, rows: list[Row], times: int, again: int, patience: float) -> Again:
    result = ear.judge(gateway.name, rows, patience)
    dropped = ear.health(gateway.name)["dropped"]
    gateway.kill()
    return Again(times, again, dropped.get("repeated", 0), dropped.get("clock_back", 0), result)


def _readings(rows: list[Row]) -> int:
    return sum(len(shown) for _, shown in rows)
