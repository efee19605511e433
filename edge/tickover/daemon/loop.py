"""The daemon's loop: messages in, readings through the models, one transaction, then acknowledgements and alerts out.

One thread; what receives and sends may have others (`tickover.transports.base.Source`). What happens by the clock is in
`tickover.daemon.upkeep`.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tickover.daemon import commands
from tickover.daemon.config import Config
from tickover.daemon.connection import Connection
from tickover.daemon.control import Control
from tickover.daemon.engine import Engine
from tickover.daemon.health import Health
from tickover.daemon.outbox import Outbox
from tickover.daemon.pace import Pace
from tickover.daemon.questions import Questions
from tickover.daemon.recovery import Opened
from tickover.daemon.shards import is_for
from tickover.daemon.sources import Transport
from tickover.daemon.upkeep import Upkeep
from tickover.daemon.uplink import META_UPLINK, Uplink
from tickover.host.clock import now_us
from tickover.storage.store import Store
from tickover.transports.base import Connected, Disconnected, Event, Published, Received, Subscribed

if TYPE_CHECKING:
    from tickover.daemon.bus import LiveBus

BATCH: Final = 1000
"""Messages taken at once: as many as force a commit by default. More are no faster, and the memory for them stays."""
WAIT_S: Final = 0.05
"""How long the loop waits for a message; timers are looked at at least this often."""
ROWS: Final = 4096
"""Rows are run at the latest when so many are gathered: one message may hold thousands."""
TURN_S: Final = 0.2
"""How long rows may be run before the loop looks after everything else."""
GOODBYE_S: Final = 1.0
"""How long the source may take to disconnect."""


def open_buses(config: Config, engine: Engine) -> "list[LiveBus]":
    """The buses of the tables ``[bus]``."""
    if not config.buses:
        return []
    from tickover.daemon.bus import LiveBus  # a daemon without a bus loads none of its decoding

    manifests = engine.opened.manifests.values()
    return [LiveBus(bus, engine.fleet.columns, engine.intake, manifests=manifests) for bus in config.buses]


class Daemon:
    """Built from a checked configuration, an opened fleet, a store and a transport; `turn` goes round the loop once.

    ``instance`` is different for each run of the daemon.
    """

    def __init__(self, config: Config, opened: Opened, store: Store, transport: Transport, instance: str) -> None:
        self.source = transport.source
        saved = store.meta(META_UPLINK)
        self.uplink = Uplink(config.out.bytes_per_day, lambda: len(opened.fleet.vehicles), now_us, saved)
        transport = transport._replace(sink=self.uplink.metered(transport.sink))
        self.outbox = Outbox(store, transport.sink, config.outbox.refused_retry_s)
        self.engine = Engine(config, opened, store, self.source, self.outbox)
        self.engine.announcer.leaves_out = self.uplink.leaves_out
        self.buses = open_buses(config, self.engine)
        self.connection = Connection(transport, instance, self.engine, self.outbox)
        self.health = Health(config, self.engine, self.outbox, self.connection, self.uplink, self.buses)
        self.control = Control(config, self.engine, self.outbox, self.health)
        self.upkeep = Upkeep(
            config, transport, self.engine, self.outbox, self.connection, self.health, self.uplink, self.buses
        )
        self._node, self._fleet = config.node, config.fleet
        self._events: deque[Event] = deque()
        self._pace = Pace(opened.manifests.values())
        self._questions = Questions()
        self._handlers: dict[type, Callable[[Any], None]] = {
            Received: self._take,
            Connected: self.connection.connected,
            Disconnected: self.connection.disconnected,
            Published: self.outbox.published,
            Subscribed: self.connection.subscribed,
        }

    def start(self) -> None:
        """Recover what the store holds, and begin to connect."""
        self.engine.start()
        self.connection.start()
        for bus in self.buses:
            bus.start()

    def turn(self, wait: float = WAIT_S) -> None:
        """Once round: take what was received, run it, commit when due, send what may be sent."""
        if not self._events:
            gather = self._pace.gather_s(len(self.engine.heard))
            # What gathers comes after ``gather``: to look before is in vain.
            self._events = deque(self.source.receive(wait and wait + gather, BATCH, gather))
            self._pace.came(len(self._events))
        self._handle()
        for question in self._questions.overdue():
            self._obey(question, *(self.engine.topics.command(question.topic) or ("", "")))
        for bus in self.buses:
            bus.turn(now_us(), self.engine.synced)
        self.engine.run()
        self.upkeep.turn()
        self.engine.commit_when_due()
        self.outbox.pump()
        self.engine.acknowledge()

    def _handle(self) -> None:
        """Hand each taken event on. After `TURN_S` of running rows, those that are left wait for the next turn."""
        waiting = self._events
        end = time.monotonic() + TURN_S
        while waiting:
            event = waiting.popleft()
            self._handlers[type(event)](event)
            if self.engine.intake.gathered >= ROWS:
                self.engine.run()
                if time.monotonic() > end:
                    break

    def stop(self, seconds: float) -> None:
        """Commit everything, send what can be sent within ``seconds``, disconnect."""
        end = time.monotonic() + seconds
        for bus in self.buses:
            bus.stop()
        self.engine.commit(checkpoint=True)
        self.outbox.stand(self.engine.topics.status, self.connection.presence.status("stopped", now_us()))
        self.outbox.pump()
        while not self.outbox.idle and time.monotonic() < end:
            for event in (*self._events, *self.source.receive(WAIT_S, BATCH)):
                # Messages stay unacknowledged, and the broker repeats them: the checkpoint is written.
                if isinstance(event, Published | Disconnected):
                    self._handlers[type(event)](event)
            self._events.clear()
            self.outbox.pump()
        self.engine.commit()
        self.source.stop(GOODBYE_S)
        self.engine.store.close()
        self.health.close()

    def _take(self, message: Received) -> None:
        """One message: an input, a command, or a status under the daemon's name."""
        self.engine.committer.received(message.token)
        if message.topic == self.engine.topics.status:
            self.connection.hear_status(message)
        elif command := self.engine.topics.command(message.topic):
            if is_for(command[0], self._node, self._fleet) and self._questions.is_due(message):
                self._obey(message, *command)
        else:
            self.engine.read(message)

    def _obey(self, message: Received, target: str, name: str) -> None:
        """Run what was received before the command, carry it out, commit, answer."""
        self.engine.run()
        self.control.asked(message.sender, message.payload)
        answer = commands.obey(self.control, self._node, target, name, message.payload)
        self.engine.commit()
        self.outbox.remark(self.engine.topics.response(target, name), answer)
