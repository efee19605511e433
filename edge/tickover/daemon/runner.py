"""The process around the daemon: lock, signals, readiness and watchdog, reload."""

import fcntl
import logging
import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import Final

from tickover.daemon.config import Config, load_config
from tickover.daemon.loop import Daemon
from tickover.daemon.recovery import Opened, models_change, open_fleet
from tickover.errors import ConfigError, TickoverError
from tickover.host.malloc import share_one_arena
from tickover.host.systemd import notify, watchdog_s
from tickover.messages.notices import Kind
from tickover.storage.store import Bounds, Store
from tickover.transports.backoff import LONGEST_ATTEMPT_S
from tickover.transports.mqtt.connection import check_files
from tickover.transports.mqtt.credentials import troubles

logger: Final = logging.getLogger("tickover")

STOP_S: Final = 2.0
"""How long to go on sending after the order to stop."""
LINK_STUCK_S: Final = LONGEST_ATTEMPT_S + 20.0
"""A socket thread that has not gone round its loop for so long counts as stuck: no more watchdog pings."""


class Runner:
    """Runs daemons, one after another when the configuration is reloaded, until told to stop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._instance = uuid.uuid4().hex
        self._stop = self._reload = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT. ConfigError or ModelError when the first start fails."""
        share_one_arena()
        config, opened = self._read()
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        while not self._stop:
            with locked(Path(config.state.folder)):
                daemon = open_daemon(config, opened, self._instance)
                notify("READY=1")
                logger.info("started with %s", ", ".join(f"{n} {d[:12]}" for n, d in opened.digests.items()))
                config, opened = self._turn_until_told(daemon, config)
                notify("STOPPING=1" if self._stop else "RELOADING=1")
                daemon.stop(STOP_S)

    def _turn_until_told(self, daemon: Daemon, config: Config) -> tuple[Config, Opened]:
        """Go round; what to run next (of no meaning after a stop)."""
        every = (watchdog_s() or 0.0) / 3
        ping_at = 0.0
        while not self._stop:
            daemon.turn()
            now = time.monotonic()
            if every and now >= ping_at and now - daemon.link.beat < LINK_STUCK_S:
                ping_at = now + every
                notify("WATCHDOG=1")
            if self._reload:
                self._reload = False
                new = self._reloaded(Path(config.state.folder))
                if new:
                    return new
        return config, daemon.opened

    def _read(self) -> tuple[Config, Opened]:
        """Configuration, models and the broker's files, checked before anything connects."""
        config = load_config(self._path)
        check_files(config.broker)
        for trouble in troubles(config.broker):
            logger.warning(trouble)
        return config, open_fleet(config)

    def _reloaded(self, held: Path) -> tuple[Config, Opened] | None:
        """The configuration and models as the files say now; None, said aloud, when they are wrong.

        Another state folder than the one held is tried before that one is left.
        """
        try:
            new = self._read()
            folder = Path(new[0].state.folder)
            with locked(folder) if folder.resolve() != held.resolve() else nullcontext():
                return new
        except TickoverError as error:
            logger.error("reload refused, going on as before: %s", error)
            return None

    def _on_stop(self, _: int, __: FrameType | None) -> None:
        self._stop = True

    def _on_reload(self, _: int, __: FrameType | None) -> None:
        self._reload = True


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the state folder; ConfigError when another daemon does. Works on a read-only disk."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        cure = "give it to the daemon's user (chown), or name another"
        raise ConfigError(f"state.folder: {folder} cannot be used: {error.strerror or error}; {cure}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ConfigError(f"state.folder: {folder} is in use by another daemon; stop that one first") from None
    finally:
        os.close(handle)


def open_daemon(config: Config, opened: Opened, instance: str) -> Daemon:
    """Store and daemon, started; what other models knew is put aside and their episodes ended."""
    with suppress(OSError):  # the store says so, and goes on in memory
        Path(config.state.folder).mkdir(parents=True, exist_ok=True)
    bounds = Bounds(config.outbox.rows, config.outbox.bytes, config.outbox.keep_s)
    store = Store(Path(config.state.folder), bounds)
    daemon = Daemon(config, opened, store, instance)
    daemon.start()
    daemon.committer.change.settled = True
    if daemon.keeper.changed:
        _take_up_models(daemon)
    else:
        daemon.committer.change.meta |= models_change(opened.digests).meta
        daemon.commit()
    return daemon


def _take_up_models(daemon: Daemon) -> None:
    """The changed models start afresh. What says so is one transaction: a crash before it changes nothing."""
    changed, store = daemon.keeper.changed, daemon.store
    aside = store.copy_aside(f"model-{store.seq}")
    asleep, ends = daemon.keeper.renew()
    store.commit(asleep)
    for alert in ends:
        daemon.teller.alert(alert)
    kept = f"the store before that is kept as {aside.name}" if aside else "the store before that could not be kept"
    daemon.notice(Kind.MODEL_CHANGED, True, f"another model for {', '.join(sorted(changed))}: starting afresh; {kept}")
    daemon.committer.change.meta |= models_change(daemon.opened.digests).meta
    daemon.commit(checkpoint=True)
