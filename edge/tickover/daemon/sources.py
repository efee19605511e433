"""The transports: what the configuration says of them, and how their source and sink are made.

The rest of the daemon knows `tickover.transports.base` only. A new transport is a module in ``tickover.transports``,
its table in `Tables`, and a line in `open_transport`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from tickover.transports.base import Sink, Source
from tickover.transports.can.base import Filter, Port
from tickover.transports.can.settings import SOCKETCAN, Bus
from tickover.transports.mqtt.credentials import troubles
from tickover.transports.mqtt.settings import Broker


class Tables(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The tables of the configuration that describe transports."""

    broker: Broker
    bus: Bus | tuple[Bus, ...] | None = None
    """One table ``[bus]``, or several ``[[bus]]``."""

    @property
    def client_id(self) -> str:
        """The name that the daemon has where it publishes."""
        return self.broker.client_id

    @property
    def buses(self) -> tuple[Bus, ...]:
        """The buses that are listened to."""
        if self.bus is None or isinstance(self.bus, Bus):
            return () if self.bus is None else (self.bus,)
        return self.bus

    def transport_problems(self) -> list[tuple[str, str | None]]:
        """What types alone cannot say: where, and what is wrong there (None: nothing)."""
        several = len(self.buses) > 1
        found = [(f"bus[{n}]" if several else "bus", bus.problem()) for n, bus in enumerate(self.buses)]
        names = [bus.name for bus in self.buses]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            found.append(("bus", f"channel: expected each interface once, got {', '.join(twice)} twice"))
        return [("broker", self.broker.problem()), *found]


class Transport(NamedTuple):
    """Both ends of what carries the daemon's messages; they may be one object."""

    source: Source
    sink: Sink


def open_transport(tables: Tables) -> Transport:
    """The source and the sink that the configuration describes; nothing connects before `Source.start`."""
    from tickover.transports.mqtt.link import Link  # paho takes 0.1 s, and commands read configurations

    link = Link(tables.broker)
    return Transport(link, link)


def open_port(bus: Bus, filters: Sequence[Filter]) -> Port:
    """The interface of the table ``[bus]``; OSError when it is not there."""
    if bus.interface == SOCKETCAN:
        from tickover.transports.can.socketcan import open_socket

        return open_socket(bus.channel, filters)
    from tickover.transports.can.library import open_bus  # python-can takes a quarter of a second

    return open_bus(bus.interface, bus.channel, bus.options, filters)


def check_files(tables: Tables) -> list[str]:
    """Read credentials and certificates as connecting will; ConfigError names what cannot be used.

    What else is wrong with them, such as files that others may read, one line each.
    """
    from tickover.transports.mqtt import connection

    for bus in tables.buses:
        if bus.interface != SOCKETCAN:
            from tickover.transports.can.library import check_installed

            check_installed(bus.interface)
    connection.check_files(tables.broker)
    return list(troubles(tables.broker))
