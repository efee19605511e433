"""Start: the configured models become a fleet, and the store's states and journal bring it to where it was."""

import dataclasses
import uuid
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from tickover.core.gate import Gate
from tickover.core.manifest import SENSOR_PREFIX, Manifest
from tickover.core.pipeline import Pipeline
from tickover.core.policy import Settings
from tickover.core.values import (
    SECOND,
    Alert,
    EndReason,
    Phase,
)
from tickover.daemon import events
from tickover.daemon.config import Config
from tickover.daemon.events import Event, Rows
from tickover.daemon.fleet import Fleet
from tickover.daemon.fleet_state import without
from tickover.daemon.late import REPLAYED, with_late
from tickover.errors import ConfigError, ModelError, StateError, TickoverError, suggestion
from tickover.messages.alerts import decode_alert
from tickover.model.detector import Detector
from tickover.model.trial import MB, Trial, needs_memory
from tickover.storage.salvage import SEEN
from tickover.storage.store import Change, Store

ENTRIES_AT_ONCE: Final = 64
"""Journal entries whose rows are run together: larger runs of the model are faster, and need more memory."""
BYTES_AT_ONCE: Final = 4 * 2**20
"""Of their rows, likewise: one entry may hold thousands of messages' rows."""
PAGE_NAMES: Final = 1024
"""More than `tickover.core.seen.MAX_PAGES`."""
META_MODELS = "models"
"""Where the store keeps detector name to digest."""


@dataclass(frozen=True)
class Opened:
    """The fleet and what it was made of, by detector name."""

    fleet: Fleet
    digests: dict[str, str]
    manifests: dict[str, Manifest]


def load_at_start(path: str, memory_mb: int) -> Detector:
    """A model file whose own size is within its memory; what its calls take, a trial measures at a reload."""
    return _within(Detector.load(path), path, memory_mb)


def _within(detector: Detector, path: str, memory_mb: int) -> Detector:
    if detector.model.size > memory_mb * MB:
        raise ModelError(f"{path}: {needs_memory(memory_mb, detector.model.size)}")
    return detector


def load_by_child(path: str, memory_mb: int) -> Detector:
    """The same; a child process checks the file and replays its golden vectors, so that protobuf and what only checks
    need are never in this process. Where the system lets it have no child, it does that itself."""
    try:
        detector = Detector(Trial(Path(path), memory_mb, at_start=True).open())
    except OSError:
        return load_at_start(path, memory_mb)
    return _within(detector, path, memory_mb)


def open_fleet(config: Config, load: Callable[[str, int], Detector] = load_at_start) -> Opened:
    """Load every model; ModelError or ConfigError says what is wrong."""
    detectors = {model.detector: load(model.path, model.memory_mb) for model in config.models}
    manifests = {name: detector.manifest for name, detector in detectors.items()}
    gate = Gate(config.vehicles.gate) if config.vehicles.gate else None
    columns = _columns(manifests, gate)
    for signal in config.sensitivity:
        if signal not in columns:
            known = suggestion(signal, columns)
            raise ConfigError(f"key 'sensitivity': expected a signal of a model, got '{signal}'; {known}")
    owned = _owned(manifests)
    pipelines = {
        name: Pipeline(detector, _settings(config, detector.manifest), name, owned[name])
        for name, detector in detectors.items()
    }
    late = {
        name: Pipeline(detector, _as_trained(_settings(config, detector.manifest)), name, sensors_of=())
        for name, detector in ((f"{name}{REPLAYED}", detector) for name, detector in detectors.items())
        if config.vehicles.late == "replay"
    }
    stale, window = round(config.vehicles.stale_s * SECOND), round(config.dedup.window * SECOND)
    fleet = Fleet(pipelines, columns, gate, stale, window, late)
    return Opened(fleet, {name: detector.digest for name, detector in detectors.items()}, manifests)


def _settings(config: Config, manifest: Manifest) -> Settings:
    """The settings, as far as they concern this model."""
    mine = {name: factor for name, factor in config.sensitivity.items() if name in manifest.names}
    return Settings(episodes=config.episodes, sensors=config.sensors, sensitivity=mine)


def _as_trained(settings: Settings) -> Settings:
    """The settings of a stream of late readings: too short for limits to follow."""
    episodes = msgspec.structs.replace(settings.episodes, adapt_limits=False)
    return msgspec.structs.replace(settings, episodes=episodes)


def _owned(manifests: dict[str, Manifest]) -> dict[str, set[str]]:
    """By model, the signals whose sensors it reports on: the first model that has a signal does, and no other."""
    owner: dict[str, str] = {}
    for name, manifest in manifests.items():
        for signal in manifest.names:
            owner.setdefault(signal, name)
    return {name: {signal for signal, first in owner.items() if first == name} for name in manifests}


def _columns(manifests: dict[str, Manifest], gate: Gate | None) -> tuple[str, ...]:
    """All signals of all models, then the gate's."""
    names = [name for manifest in manifests.values() for name in manifest.names]
    return tuple(dict.fromkeys([*names, *(gate.signals if gate else ())]))


def page_name(vehicle: str, number: int) -> str:
    """Where the store keeps a page of what a vehicle sent. Numbers that share a name are never in use together."""
    return f"{SEEN}{vehicle}/{number % PAGE_NAMES}"


def all_pages(vehicle: str) -> str:
    """What `Change.forget_meta` takes for all of a vehicle's pages."""
    return f"{SEEN}{vehicle}/"


class Keeper:
    """Wakes vehicles from the store and runs the journal again.

    ``lost`` counts states that did not fit; ``deduplication`` is what the journal holds of the messages received.
    ``changed`` are the detectors whose model is another than the store's states are of, or new, or gone: until `renew`,
    what the store knows of them is left out.
    """

    def __init__(self, store: Store, opened: Opened) -> None:
        self._store, self._fleet, self._digests = store, opened.fleet, opened.digests
        self.changed = _changed(store, opened.digests)
        self._included: dict[str, int] = {}
        self.lost = Counter(store.lost)
        self.deduplication = b""
        self._fleet.reads_pages(self._page)

    def wake(self, vehicle: str) -> bool:
        """Bring a vehicle's state back from disk, unless it is in memory; False when nothing is known of it."""
        if vehicle in self._fleet:
            return True
        saved = self._store.state(vehicle)
        if saved is None:
            return False
        seq, state = saved
        # A state includes the entry that it was committed with. An empty one, of a reset, does not: readings after the
        # reset may be in the same entry, and are to be applied.
        self._included[vehicle] = seq if state else seq - 1
        if not state:
            return False
        try:
            self._fleet.restore(vehicle, without(state, self.changed), lambda number: self._page(vehicle, number))
        except StateError:
            self.lost[vehicle] += 1
        return vehicle in self._fleet

    def _page(self, vehicle: str, number: int) -> bytes | None:
        """A stored page of what a vehicle sent; None when it is lost, or the disk does not give it."""
        return self._store.page(page_name(vehicle, number))

    def replay_journal(self, tell: Callable[[int], None] = lambda entries: None) -> set[str]:
        """Apply what was committed since each vehicle's state; the vehicles in it. Its alerts are in the outbox.

        Applied in the same order, the same events give the same state: that is why a journal of inputs is enough.
        ``tell`` is called now and then with how many entries were applied.
        """
        touched: set[str] = set()
        gathered: dict[str, list[Rows]] = {}
        entries = size = 0
        for done, (seq, body) in enumerate(self._store.journal()):
            entry = events.decode(body)
            entries, size = entries + 1, size + entry.row_bytes
            self.deduplication += entry.deduplication
            for event in entry.events:
                self.wake(event.vehicle)
                touched.add(event.vehicle)
                # A vehicle that went to sleep between two checkpoints has a state newer than some of its entries.
                if seq > self._included.get(event.vehicle, 0):
                    self._gather(_rearranged(event, entry.columns, self._fleet.columns), gathered)
            if entries >= ENTRIES_AT_ONCE or size >= BYTES_AT_ONCE:
                self._apply(gathered)
                entries = size = 0
                tell(done + 1)
        self._apply(gathered)
        # Readings dropped on the way were counted, and perhaps announced, when they came.
        self._fleet.count_from_now()
        return touched

    def ownerless(self, own: Collection[str]) -> set[str]:
        """After the journal: the alarm topics that may stand at the broker with nobody to end them.

        Those in the store whose vehicle has no state any more, which is then `lost`; and the daemon's ``own``, when the
        store does not say which of them stood because it is not settled (see `Store.settled`).
        """
        # An alarm stands at the broker until somebody clears it. Without a state nobody knows of the episode any more.
        known = {*self._store.vehicles(), *self._fleet.vehicles} - self.lost.keys()
        retained = self._store.retained()
        standing = {topic: topic.split("/")[-3] for topic, body in retained.items() if body and topic not in own}
        left = {topic: vehicle for topic, vehicle in standing.items() if vehicle not in known}
        self.lost.update(set(left.values()))
        return {*left, *(() if self._store.settled else set(own) - retained.keys())}

    def renew(self) -> tuple[Change, list[Alert]]:
        """After the journal: the changed detectors start afresh, the others go on.

        The end alerts of the episodes that they left open; and the change that takes them out of the states of the
        vehicles asleep, to be committed before, or with, a checkpoint and `models_change`.
        """
        # The ends are made of the alarm topics, which hold the newest alert of each open episode: the changed models
        # cannot say what theirs were.
        states: dict[str, bytes] = {}
        ends = orphans(self._store, with_late(self.changed))
        self._fleet.renew(self.changed)
        for vehicle in self._store.vehicles():
            saved = None if vehicle in self._fleet else self._store.state(vehicle)
            with suppress(StateError):  # counted as lost when the vehicle wakes
                states |= {vehicle: without(saved[1], self.changed)} if saved else {}
        self.changed = frozenset()
        return Change(states=states), ends

    def abandoned(self) -> list[Alert]:
        """The end alerts of what the stream of late readings left open, when there is no such stream any more."""
        if self._fleet.runs_late:
            return []
        gone = {f"{name}{REPLAYED}" for name in self._digests} - with_late(self.changed)
        return orphans(self._store, gone, EndReason.END_OF_LOG)

    def _gather(self, event: Event, gathered: dict[str, list[Rows]]) -> None:
        """Rows wait to be run together, which is faster and gives the same; other events are applied at once."""
        if isinstance(event, Rows):
            gathered.setdefault(event.vehicle, []).append(event)
            return
        self._apply(gathered)
        self._fleet.apply(event)
        self._fleet.pump()

    def _apply(self, gathered: dict[str, list[Rows]]) -> None:
        for vehicle, rows in gathered.items():
            time, values = b"".join(row.time for row in rows), b"".join(row.values for row in rows)
            self._fleet.apply(Rows(vehicle, time, values))
        gathered.clear()
        self._fleet.pump()


def _rearranged(event: Event, before: tuple[str, ...], now: tuple[str, ...]) -> Event:
    """The event with its columns in the present order."""
    if before == now or not isinstance(event, Rows):
        return event
    time, values = event.arrays(len(before))
    moved = np.full((len(time), len(now)), np.nan)
    for place, name in enumerate(now):
        if name in before:
            moved[:, place] = values[:, before.index(name)]
    return Rows(event.vehicle, event.time, moved.astype("<f8").tobytes())


def _changed(store: Store, digests: dict[str, str]) -> frozenset[str]:
    """The detectors whose digest differs between the store's states and these; none when the store is new."""
    saved = store.meta(META_MODELS)
    if saved is None:
        return frozenset()  # no commit has said whose states these are: there are none
    before = msgspec.json.decode(saved, type=dict[str, str])
    return frozenset(name for name in before.keys() | digests.keys() if before.get(name) != digests.get(name))


def models_change(digests: dict[str, str]) -> Change:
    """The change that notes which models the states are of."""
    return Change(meta={META_MODELS: msgspec.json.encode(digests)})


def orphans(store: Store, detectors: Collection[str], reason: EndReason = EndReason.MODEL_CHANGED) -> list[Alert]:
    """The end alert of every episode that these detectors, or the sensors under their models, left open."""
    ends = []
    saved = store.meta(META_MODELS)
    before = msgspec.json.decode(saved, type=dict[str, str]) if saved else {}
    # A sensor's detector names no model; its alerts carry the digest of the one that watched it.
    digests = {before[name] for name in detectors if name in before}
    for body in store.retained().values():
        try:
            alert = decode_alert(body)
        except TickoverError:
            continue  # a notice, or an alarm that is cleared already
        is_sensor = alert.detector.startswith(SENSOR_PREFIX)
        if alert.detector in detectors or (is_sensor and alert.model_digest in digests):
            ends.append(_ended(alert, reason))
    return ends


def _ended(alert: Alert, reason: EndReason) -> Alert:
    """The end that follows an episode's newest alert."""
    sequence = alert.sequence + 1
    return dataclasses.replace(
        alert,
        alert_id=str(uuid.uuid5(uuid.UUID(alert.episode_id), f"{Phase.END.value}:{sequence}")),
        phase=Phase.END,
        sequence=sequence,
        reason=reason,
        end=alert.time,
    )
