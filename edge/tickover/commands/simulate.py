"""``tickover simulate``: publish simulated trucks, each from its seed, without end."""

import heapq
import time
from collections.abc import Iterator
from typing import Any

import click

from tickover.commands.ui.broker import (
    SIGNALS_TOPIC,
    broker_options,
    connection_of,
    stop_like_ctrl_c,
)
from tickover.commands.ui.options import speed_of
from tickover.commands.ui.sending import Sender
from tickover.core.values import SECOND
from tickover.jobs.play import Pace, messages
from tickover.simulator import Truck, random_faults
from tickover.simulator.truck import START
from tickover.transports.mqtt.client import MqttClient


@click.command()
@broker_options
@click.option(
    "--vehicles", type=click.IntRange(1, 10_000), default=1, show_default=True, metavar="N", help="Number of trucks."
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    metavar="N",
    help="Seed of truck-1; the next truck has the next seed.",
)
@click.option(
    "--period",
    type=click.FloatRange(0.01, 60),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two rows.",
)
@click.option(
    "--speed", callback=speed_of, default="1", metavar="N|max", help="Speed as a multiple of real time. Default: 1."
)
@click.option("--faults", is_flag=True, help="Let faults occur at random.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="Stop after this many messages. Default: at Ctrl-C.")
@click.option(
    "--topic",
    default=SIGNALS_TOPIC,
    show_default=True,
    metavar="TOPIC",
    help="Topic to publish to; must contain {vehicle}.",
)
def simulate(
    vehicles: int,
    seed: int,
    period: float,
    speed: float,
    faults: bool,
    count: int | None,
    topic: str,
    **broker: Any,
) -> None:
    """Publish streams of simulated trucks (truck-1, truck-2, ...) without end; QoS 1.

    Equal seeds give equal values. At --speed 1 the times begin now; at any other speed on 2026-03-02, because
    the daemon refuses readings that are far ahead of its clock. Between two rounds a truck is parked for 25 to 60
    minutes and publishes nothing.
    """
    start = round(time.time()) * SECOND if speed == 1 else START
    trucks = [_truck(number, seed + number, period, start, faults) for number in range(vehicles)]
    stop_like_ctrl_c()
    with MqttClient(connection_of(**broker)) as client:
        sender = Sender(client, topic)
        pace = Pace(speed, longest_s=float("inf"))
        try:
            for sent, (vehicle, moment, payload) in enumerate(_merged(trucks), start=1):
                pace.wait(moment)
                sender.send(vehicle, moment, payload)
                if sent == count:
                    break
        except KeyboardInterrupt:
            pass
        sender.finish("simulated")


def _truck(number: int, seed: int, period: float, start: int, broken: bool) -> Truck:
    faults = random_faults(seed) if broken else ()
    return Truck(seed, vehicle=f"truck-{number + 1}", period_s=period, start=start, faults=faults)


def _merged(trucks: list[Truck]) -> Iterator[tuple[str, int, bytes]]:
    """All trucks' messages in order of time."""

    def stream(truck: Truck) -> Iterator[tuple[int, str, bytes]]:
        while True:
            for moment, payload in messages(truck.block(1)):
                yield moment, truck.vehicle, payload

    for moment, vehicle, payload in heapq.merge(*(stream(truck) for truck in trucks)):
        yield vehicle, moment, payload
