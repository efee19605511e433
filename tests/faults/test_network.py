"""The network: a broker that dies and comes back, connections that are dead without a word, hours without any."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import Broker, broker, wait_until  # noqa: F401  (a fixture)
from daemon_process import drive
from faults.broken import launcher
from faults.campaigns import CONNECTED, kill_broker, restart_broker
from faults.gateway import Ear, Gateway, Player
from faults.proxy import Proxy
from faults.rollbacks import resend, roll_back_broker

pytestmark = pytest.mark.slow
KEEPALIVE_S = 2
FAST = 720
HOURS = 3


@pytest.fixture
def ear(broker: Broker) -> Iterator[Ear]:  # noqa: F811
    one = Ear(broker)
    yield one
    one.close()


def test_broker_restarts_lose_no_alert(quick_folder: Path, broker: Broker, ear: Ear) -> None:  # noqa: F811
    """Clean ends, which keep the broker's queues, while the truck goes on playing."""
    result = restart_broker(quick_folder, broker, ear, times=6)
    assert result.good, result


def test_a_killed_broker_gets_what_it_had_not_received(
    quick_folder: Path,
    broker: Broker,  # noqa: F811
    ear: Ear,
) -> None:
    """SIGKILL: the broker forgets its newest messages, and perhaps the session."""
    result = kill_broker(quick_folder, broker, ear, times=3)
    assert result.good, result


def test_a_broker_that_is_rolled_back_makes_no_alert_of_another_id(
    quick_folder: Path,
    broker: Broker,  # noqa: F811
    ear: Ear,
) -> None:
    """It delivers again what was acknowledged, without a DUP flag: an older file of it is put back."""
    told = roll_back_broker(quick_folder, broker, ear, times=4, each=2)
    assert told.good, told


def test_a_gateway_that_sends_again_makes_no_alert_of_another_id(
    quick_folder: Path,
    broker: Broker,  # noqa: F811
    ear: Ear,
) -> None:
    told = resend(quick_folder, broker, ear, times=8)
    assert told.good, told


def test_the_harness_finds_a_daemon_without_a_window(
    quick_folder: Path,
    broker: Broker,  # noqa: F811
    ear: Ear,
) -> None:
    told = roll_back_broker(quick_folder, broker, ear, times=1, more="[dedup]\nwindow = 0", patience=5)
    assert not told.good, told


def test_the_same_harness_finds_a_daemon_that_forgets_before_the_broker_has_it(
    quick_folder: Path,
    broker: Broker,  # noqa: F811
    ear: Ear,
) -> None:
    result = kill_broker(quick_folder, broker, ear, times=1, launcher=launcher("forget_first"), patience=5)
    assert result.lost


def test_a_half_open_connection_is_noticed_and_replaced(
    quick_folder: Path,
    broker: Broker,  # noqa: F811
    ear: Ear,
) -> None:
    proxy = Proxy(broker.port)
    gateway = Gateway(
        quick_folder, broker, "g", port=proxy.port, broker_more=f"keepalive_s = {KEEPALIVE_S}", silence_s=3
    )
    gateway.start().wait_connected()
    rows, player = drive(600), Player(gateway)
    player.play(rows[:145])
    for part in range(2):
        wait_until(lambda: bool(ear.alerts("g")), 10, "alerts before the cut")
        proxy.swallow()
        began = time.monotonic()
        player.play(rows[145 + part * 200 : 345 + part * 200])
        wait_until(lambda count=part + 2: gateway.text().count(CONNECTED) == count, 30, "a new connection")
        assert proxy.accepted[-1] - began <= 2 * KEEPALIVE_S + 2
    player.play(rows[545:])
    result = ear.judge("g", rows)
    assert result.good, result
    gateway.kill()
    player.close()
    proxy.close()


def test_three_hours_without_network_lose_nothing_and_need_no_memory(
    quick_folder: Path,
    broker: Broker,  # noqa: F811
    ear: Ear,
) -> None:
    """The daemon's clocks run 720 times as fast while the network is away, with an episode open and silence limits on.

    The truck goes on publishing to the broker meanwhile, a reading each second.
    """
    proxy = Proxy(broker.port)
    gateway = Gateway(quick_folder, broker, "g", port=proxy.port, receive_maximum=2000, silence_s=30)
    gateway.start(launcher=(str(Path(__file__).with_name("fast_clock.py")), str(FAST))).wait_connected()
    player, rows = Player(gateway), drive(HOURS * 3600)
    assert gateway.process
    player.play(rows[:45])
    wait_until(lambda: len(ear.alerts("g")) >= 1, 10, "an episode is open")
    before = gateway.resident_mb()
    proxy.go_away()
    time.sleep(1.0)  # what was on its way is read before the clock runs: at this speed 30 s are 42 ms
    gateway.process.send_signal(signal.SIGUSR1)
    filling = threading.Thread(target=player.play, args=(rows[45:],))
    filling.start()
    time.sleep(HOURS * 3600 / FAST)
    gateway.process.send_signal(signal.SIGUSR2)
    filling.join()
    grown = gateway.resident_mb() - before
    proxy.come_back()
    result = ear.judge("g", rows, seconds=60)
    assert result.good, result
    assert result.wanted > 100
    assert proxy.refused >= 5, "it kept trying"
    assert grown < 5, f"{grown:.1f} MB more after {HOURS} h without a network"
    gateway.kill()
    player.close()
    proxy.close()
