"""What the page knows, as Prometheus text (extra ``metrics``): the fleet in sums, and single trucks where something is.

Ten thousand trucks have a series of their own only while they have an open episode, or do not report.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tickover.web.desk import Desk
from tickover.web.messages import REASONS, SEVERITIES
from tickover.web.truck import GONE, State, Truck

MOST_TRUCKS: Final = 1000
"""Series of single trucks; the sums count all."""


class Fleet(Collector):
    """Asked at each scrape."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def collect(self) -> Iterator[Metric]:
        """The families."""
        with self._desk.lock:
            trucks, now = list(self._desk.fleet.trucks.values()), self._desk.now()
            yield from _sums(trucks, self._desk)
            yield _open([truck for truck in trucks if truck.open][:MOST_TRUCKS])
            yield _gone([truck for truck in trucks if truck.state in GONE][:MOST_TRUCKS], now)


def text(desk: Desk) -> bytes:
    """One scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Fleet(desk))
    return generate_latest(registry)


def _sums(trucks: list[Truck], desk: Desk) -> Iterator[Metric]:
    states = GaugeMetricFamily("tickover_fleet_trucks", "Trucks by state.", labels=["state"])
    found = Counter(truck.state for truck in trucks)
    for state in State:
        states.add_metric([state.value], found[state])
    yield states
    episodes = GaugeMetricFamily("tickover_fleet_open_episodes", "Open episodes by severity.", labels=["severity"])
    counts = Counter(one.severity for truck in trucks for one in truck.open.values())
    for number, severity in enumerate(SEVERITIES):
        episodes.add_metric([severity.value], counts[number])
    yield episodes
    broken = sum(any(one.get("broken") is True for one in truck.promises) for truck in trucks)
    yield GaugeMetricFamily("tickover_fleet_promises_broken", "Trucks over their false-alarm budget.", value=broken)
    up = bool(desk.broker["connected"])
    yield GaugeMetricFamily("tickover_fleet_broker_connected", "1: the page hears the broker.", value=up)
    left = CounterMetricFamily("tickover_fleet_left_out", "Messages that were left out.", labels=["reason"])
    for reason in REASONS:  # from 0 on, so that a rate sees the first one
        left.add_metric([reason], desk.fleet.counts[reason])
    yield left
    waiting = GaugeMetricFamily("tickover_hook_waiting", "Alerts that wait for a receiver.", labels=["hook"])
    sent = CounterMetricFamily("tickover_hook_sent", "Alerts that a receiver has taken.", labels=["hook"])
    for hook in desk.hooks():
        waiting.add_metric([hook["name"]], hook["waiting"])
        sent.add_metric([hook["name"]], hook["sent"])
    yield from (waiting, sent)


def _open(trucks: list[Truck]) -> Metric:
    labels = ["vehicle", "detector", "severity"]
    family = GaugeMetricFamily("tickover_truck_open_episode", "The peak of an open episode.", labels=labels)
    for truck in trucks:
        for one in truck.open.values():
            family.add_metric([truck.name, one.detector, SEVERITIES[one.severity].value], one.peak)
    return family


def _gone(trucks: list[Truck], now: int) -> Metric:
    about = "Since when a truck is silent or offline, seconds."
    family = GaugeMetricFamily("tickover_truck_gone_seconds", about, labels=["vehicle", "state"])
    for truck in trucks:
        family.add_metric([truck.name, truck.state.value], max(0.0, (now - truck.since) / 1e6))
    return family
