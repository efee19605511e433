"""Fixtures of the device's tests: a broker, a watcher and a truck on it."""

from collections.abc import Iterator

import pytest

from broker import Broker, broker  # the fixture
from daemon_process import Truck, Watcher

__all__ = ["broker"]


@pytest.fixture
def watcher(broker: Broker) -> Iterator[Watcher]:
    """Keeps what is published below ``tickover/``."""
    one = Watcher(broker)
    yield one
    one.close()


@pytest.fixture
def truck(broker: Broker) -> Iterator[Truck]:
    """Publishes as vehicle t1."""
    one = Truck(broker)
    yield one
    one.close()
