"""One truck that sends what costs most to read, to remember or to hold: how large the daemon gets."""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from broker import Broker, wait_until
from daemon_process import Daemon
from tickover.payloads.sparkplug import Payload

BIG: Final = 60_000
"""Bytes of a message, a little below what the broker may send."""
INPUTS: Final = """
[[inputs]]
topic = "spBv1.0/plant/{kind}/{vehicle}/{device}"
format = "sparkplug_b"

[[inputs]]
topic = "any/{vehicle}/#"
time = "t"

[[inputs]]
topic = "batch/{vehicle}"
format = "json_batch"
time = "t"
"""
START: Final = 1_700_000_000
Message = tuple[str, bytes]


def births(count: int) -> Iterator[Message]:
    """Sparkplug births of as many devices."""
    message = Payload(timestamp=START * 1000)
    for alias in range(900):
        message.metrics.add(name=f"metric/of/some/length/{alias}", alias=alias, datatype=9, timestamp=START * 1000)
    body = message.SerializeToString()
    return ((f"spBv1.0/plant/DBIRTH/gateway/device{number}", body) for number in range(count))


def topics(count: int) -> Iterator[Message]:
    """Topics as long as MQTT allows."""
    return ((f"any/t1/{number}/{'x' * BIG}", b'{"t": 1700000000, "rpm": 1}') for number in range(count))


def middling_topics(count: int) -> Iterator[Message]:
    """Many topics that are read and remembered."""
    return ((f"any/t1/{number}/{'x' * 900}", b'{"t": 1700000000, "rpm": 1}') for number in range(count))


def names(count: int) -> Iterator[Message]:
    """Objects of thousands of names that nobody knows, others in each."""
    for number in range(count):
        signals = {f"name{number}-{place}": place for place in range(2800)}
        yield "any/t1/names", json.dumps({"t": START, **signals}, separators=(",", ":")).encode()


def garbage(count: int) -> Iterator[Message]:
    """What cannot be read, on a topic of its own each."""
    return ((f"any/t{number % 50}/{number}", bytes([number % 200]) * BIG) for number in range(count))


def batches(count: int) -> Iterator[Message]:
    """As many rows in a message as are allowed, in no order."""
    for number in range(count):
        rows = ",".join(f'{{"t":{START + (place * 7919) % 100_000},"rpm":{number}}}' for place in range(2300))
        yield "batch/t1", f"[{rows}]".encode()


def vehicles(count: int) -> Iterator[Message]:
    """Names of vehicles without end."""
    return ((f"any/{number}-{'v' * 110}/x", b'{"t": 1700000000, "rpm": 1}') for number in range(count))


def commands(count: int) -> Iterator[Message]:
    """Requests for vehicles that nobody has seen."""
    body = json.dumps({"for_s": 9, "id": "i" * BIG}).encode()
    return ((f"tickover/v1/none{number}/cmd/shelve/request", body) for number in range(count))


def aliases(count: int) -> Iterator[Message]:
    """Sparkplug data of nodes that no birth names, with thousands of aliases: each is asked for its births."""
    message = Payload(timestamp=START * 1000, seq=5)
    for alias in range(3000):
        message.metrics.add(alias=alias, datatype=9, timestamp=START * 1000).float_value = 1.0
    body = message.SerializeToString()
    return ((f"spBv1.0/plant/DDATA/node{number}/device", body) for number in range(count))


def unread(count: int) -> Iterator[Message]:
    """What cannot be read, little of it, on ever new topics of few vehicles."""
    return ((f"any/t{number % 9}/{number}/{'u' * 200}", b'{"t": "never", "rpm": 1}') for number in range(count))


def strangers(count: int) -> Iterator[Message]:
    """Plain objects with a few names that are new each time."""
    for number in range(count):
        names = ", ".join(f'"{number}-{place}-{"n" * 100}": 1' for place in range(8))
        yield "any/t1/x", f'{{"t": {START + number}, "rpm": 1, {names}}}'.encode()


def shelving(count: int) -> Iterator[Message]:
    """Vehicles that report once and are shelved for a year, one after the other."""
    for number in range(count):
        yield f"any/s{number}/x", b'{"t": 1700000000, "rpm": 1}'
        yield f"tickover/v1/s{number}/cmd/shelve/request", b'{"for_s": 31536000, "id": "%d"}' % number


def leaps(count: int) -> Iterator[Message]:
    """Rows of one truck that leap through the years, so that each may be one of before, held until that is known."""
    for number in range(count):
        rows = ",".join(
            f'{{"t":{START + (number * 50 + place) * 7919_003 % 400_000_000},"rpm":1}}' for place in range(50)
        )
        yield f"batch/t{number % 5}", f"[{rows}]".encode()


ATTACKS: Final[dict[str, tuple[Callable[[int], Iterator[Message]], int]]] = {
    "births": (births, 1500),
    "topics": (topics, 4000),
    "middling topics": (middling_topics, 30_000),
    "names": (names, 1500),
    "garbage": (garbage, 4000),
    "batches": (batches, 100),
    "vehicles": (vehicles, 5000),
    "commands": (commands, 3000),
    "aliases": (aliases, 2000),
    "unread": (unread, 30_000),
    "strangers": (strangers, 8000),
    "shelving": (shelving, 900),
    "leaps": (leaps, 2000),
}
"""What is sent, and how many messages of it."""


@dataclass
class Memory:
    """Resident MB (10^6 bytes): the most under attack, after it, and the most after a restart."""

    peak: float
    after: float
    restarted: float


def attack(folder: Path, broker: Broker, name: str, count: int | None = None, wait_s: float = 120) -> Memory:
    """Queue an attack at the broker while the daemon is away, let it take all, restart it."""
    send, most = ATTACKS[name]
    daemon = Daemon(folder / "".join(re.findall(r"\w", name)), broker.port, broker={"receive_maximum": 2000})
    daemon.config.write_text(daemon.config.read_text() + INPUTS)
    with daemon:
        daemon.stop()
        publish(broker, send(most if count is None else count))
        daemon.start(ready=False)
        settle(daemon, broker, wait_s)
        peak, after = resident(daemon, "VmHWM"), resident(daemon, "VmRSS")
        daemon.stop()
        daemon.start()
        time.sleep(1.0)
        return Memory(peak, after, resident(daemon, "VmHWM"))


def publish(broker: Broker, messages: Iterator[Message]) -> None:
    """At QoS 1, a bounded number at once."""
    client, waiting = broker.client(), []
    for topic, body in messages:
        waiting.append(client.publish(topic, body, qos=1))
        if len(waiting) >= 200:
            waiting.pop(0).wait_for_publish(30)
    for info in waiting:
        info.wait_for_publish(30)
    client.disconnect()
    client.loop_stop()


def settle(daemon: Daemon, broker: Broker, wait_s: float) -> None:
    """Until the daemon has taken a last message that it counts."""
    marker = b'{"t": 1700000000, "rpm": 1}'
    publish(broker, iter([("any/marker/x", marker), ("nothing", b"")]))
    publish(broker, iter([("tickover/v1/gateway/cmd/status/request", b'{"id": "marker"}')]))
    heard: list[bytes] = []
    client = broker.client()
    client.on_message = lambda _, __, message: heard.append(message.payload)
    client.subscribe("tickover/v1/gateway/cmd/status/response", qos=1)
    wait_until(lambda: bool(heard) or daemon.over(), wait_s, "the daemon has taken all")
    assert not daemon.over(), daemon.text()[-2000:]
    client.disconnect()
    client.loop_stop()


def resident(daemon: Daemon, what: str) -> float:
    """MB of a line of /proc/PID/status."""
    assert daemon.process
    found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{daemon.process.pid}/status").read_text())
    assert found
    return int(found[1]) * 1024 / 1e6
