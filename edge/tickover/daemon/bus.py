"""The bus that the daemon listens to: frames to readings, by the same decoding as recordings of it."""

import errno
import logging
import os
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import numpy as np

from tickover.core.manifest import Manifest
from tickover.core.values import DoubleArray, TimeArray
from tickover.daemon.intake import Intake
from tickover.daemon.sources import open_port
from tickover.errors import ConfigError
from tickover.logs.formats.can_log import wanted_of
from tickover.logs.mapping import LogLayout, Mapping, SignalColumn, mapping_of
from tickover.logs.reading import load_catalogue, load_mapping, other_dbc
from tickover.payloads.can.decoder import split_column
from tickover.payloads.can.filters import filters_of
from tickover.payloads.can.frames import of_payloads
from tickover.payloads.can.interpreter import Interpreter
from tickover.payloads.can.selection import Selection
from tickover.transports.can.base import Filter, Frame
from tickover.transports.can.listener import Listener
from tickover.transports.can.settings import SOCKETCAN, Bus

logger: Final = logging.getLogger("tickover.daemon.bus")

GATHER_S: Final = 0.2
"""Frames are decoded so often: a block of them costs hardly more than one."""


def read_mapping(bus: Bus, columns: Sequence[str], manifests: Iterable[Manifest] = ()) -> Mapping:
    """The mapping of the bus for these signals, DBC files read once; ConfigError when it has none of them.

    Without a mapping of its own it is that of the models' recordings, as `replay` reads them.
    """
    if bus.map:
        mapping = load_mapping(bus.map)
        signals = {name: rules for name, rules in mapping.signals.items() if name in columns}
        if not signals:
            raise ConfigError(
                f"{bus.map}: key 'signals': expected signals of the models ({', '.join(columns)}), "
                f"got {', '.join(mapping.names)}"
            )
        mapping = Mapping(signals=signals, log=mapping.log)
    else:
        mapping = _carried(bus, columns, [mapping_of(manifest) for manifest in manifests])
    known = set(load_catalogue(mapping.log).columns)
    if not known & {one.name for one in wanted_of(mapping)}:
        raise ConfigError(
            f"bus: expected the models' signals ({', '.join(columns)}) in the DBC or among the shipped ones, got none"
        )
    return mapping


def _carried(bus: Bus, columns: Sequence[str], models: Sequence[Mapping]) -> Mapping:
    """The signals where the models' recordings had them, else by their names."""
    own = next((mapping.log for mapping in models), LogLayout())
    layout = LogLayout(
        dbc=bus.dbc,
        j1939=own.j1939 if bus.j1939 == "auto" else bus.j1939,
        names=own.names if bus.names == "dbc" else bus.names,
    )
    catalogue = set(load_catalogue(layout).columns)
    signals = dict.fromkeys(columns, SignalColumn())
    for mapping in models:
        for (name, rules), column in zip(mapping.signals.items(), mapping.columns, strict=True):
            if split_column(column)[0] in catalogue:
                signals[name] = rules
    return Mapping(signals={name: signals[name] for name in columns}, log=layout)


def other_files(mapping: Mapping, manifests: Iterable[Manifest]) -> str:
    """What to know where a model was trained with other DBC files than these; empty where none was."""
    told = (other_dbc(mapping.log, mapping_of(manifest).log.trained_with) for manifest in manifests)
    return next(filter(None, told), "")


class LiveBus:
    """Listens from `start` on; `turn` brings what has come to the intake."""

    def __init__(
        self,
        bus: Bus,
        columns: Sequence[str],
        intake: Intake,
        listener: Listener | None = None,
        manifests: Collection[Manifest] = (),
    ) -> None:
        mapping = read_mapping(bus, columns, manifests)
        if other := other_files(mapping, manifests):
            logger.warning("bus %s: %s", bus.channel, other)
        catalogue = load_catalogue(mapping.log)
        self._bus, self._intake = bus, intake
        self._selection = Selection(wanted_of(mapping), intake.counts, lambda text: logger.warning("%s", text))
        self._interpreter = Interpreter(catalogue, self._selection.names)
        self._places = [list(columns).index(name) for name in mapping.names]
        self._scale = np.array([rules.scale for rules in mapping.signals.values()])
        self._offset = np.array([rules.offset for rules in mapping.signals.values()])
        self._width = len(columns)
        filters = [Filter(*pair) for pair in filters_of(catalogue, self._selection.names)]
        self.listener = listener or Listener(bus.name, lambda: open_port(bus, filters))
        self._due = 0.0

    def start(self) -> None:
        """Begin to listen."""
        self.listener.start()

    def stop(self) -> None:
        """Stop listening."""
        self.listener.stop()

    def turn(self, arrival: int, synced: bool) -> None:
        """Decode what has come, when it is time; ``arrival``: the clock now, microseconds."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + GATHER_S
        frames = self.listener.drain()
        if frames:
            self._intake.take_rows(self._bus.vehicle, *self.rows(frames), arrival, synced)

    def rows(self, frames: Sequence[Frame]) -> tuple[TimeArray, DoubleArray]:
        """Times ``[N]`` and values ``[N, F]`` in the order of the models' columns."""
        times, keys, payloads = zip(*frames, strict=True)
        block = of_payloads(times, keys, payloads, buses={0: self._bus.channel})
        time_, found = self._selection.rows(self._interpreter, self._interpreter.take(block))
        values = np.full((len(time_), self._width), np.nan)
        values[:, self._places] = found * self._scale + self._offset
        return time_, values

    @property
    def trouble(self) -> str:
        """Why nothing is heard, with what to do, for a notice; empty when the interface is open, or not yet tried."""
        listener = self.listener
        if not (listener.trouble and listener.tried):
            return ""
        cure = f"; bring it up: ip link set {self._bus.channel} up type can bitrate …"
        if os.strerror(errno.EAFNOSUPPORT) in listener.trouble:
            cure = "; the kernel has no CAN, or the unit forbids it: install deploy/tickover-can.conf"
        return f"bus {listener.name} {listener.trouble}{cure if self._bus.interface == SOCKETCAN else ''}"

    def report(self) -> dict[str, Any]:
        """For the health message: the interface, what is wrong with it, and what was lost."""
        listener = self.listener
        return {
            "interface": listener.name,
            "open": listener.is_open,
            "trouble": listener.trouble,
            "frames": listener.counts["frames"],
            "error_frames": listener.counts["error_frames"],
            "dropped": listener.dropped,
            "opened": listener.counts["opened"],
        }
