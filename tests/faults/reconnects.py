"""How long links take to connect again: after a connection that died without a word, and to a broker that is back."""

import random
import time
from dataclasses import dataclass

from broker import Broker as Mosquitto
from broker import wait_until
from faults.proxy import Proxy
from tickover.transports.base import Connected, Session
from tickover.transports.mqtt.link import Link
from tickover.transports.mqtt.settings import Broker


@dataclass
class Times:
    """Seconds until connected again, of all links; ``bound_s`` is what is promised."""

    keepalive_s: int
    links: int
    bound_s: float
    half_open_s: list[float]
    back_s: list[float]

    @property
    def good(self) -> bool:
        return max(self.half_open_s + self.back_s) <= self.bound_s


class One:
    """A link behind a proxy of its own, that notes when it connects."""

    def __init__(self, broker: Mosquitto, number: int, keepalive_s: int) -> None:
        self.proxy = Proxy(broker.port)
        settings = Broker(client_id=f"link-{number}", port=self.proxy.port, keepalive_s=keepalive_s)
        self.link = Link(settings)
        self.connected: list[float] = []
        self.broken = 0.0
        self.link.start(Session((f"quiet/{number}",)))

    def listen(self) -> None:
        now = time.monotonic()
        self.connected += [now for event in self.link.receive(0, 100) if isinstance(event, Connected)]

    def close(self) -> None:
        self.link.stop(2)
        self.proxy.close()


def reconnects(broker: Mosquitto, keepalive_s: int, links: int = 20, seed: int = 0) -> Times:
    """Each link's connection dies at a moment of its own; later the network goes for a while, and comes back."""
    chance = random.Random(seed)
    ones = [One(broker, number, keepalive_s) for number in range(links)]

    def until_connected(times: int, what: str) -> None:
        def all_are() -> bool:
            for one in ones:
                one.listen()
            return all(len(one.connected) >= times for one in ones)

        wait_until(all_are, 4 * keepalive_s + 30, what)

    until_connected(1, "connected")
    for one in sorted(ones, key=lambda _: chance.random()):
        time.sleep(chance.uniform(0, 2 * keepalive_s / links))
        one.broken = time.monotonic()
        one.proxy.swallow()
        for each in ones:
            each.listen()
    until_connected(2, "connected after a connection that died")
    half_open = [one.connected[1] - one.broken for one in ones]
    for one in ones:
        one.proxy.drop()
    time.sleep(chance.uniform(2, 3) * keepalive_s)
    back = time.monotonic()
    for one in ones:
        one.proxy.come_back()
    until_connected(3, "connected to a broker that is back")
    times = [one.connected[2] - back for one in ones]
    for one in ones:
        one.close()
    return Times(keepalive_s, links, 2.0 * keepalive_s + 2, half_open, times)
