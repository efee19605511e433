"""The process around the daemon: lock, signals, readiness and watchdog, reload."""

import logging
import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import Final

from tickover import __version__
from tickover.core.coverage import gaps
from tickover.daemon.config import Config, load_config
from tickover.daemon.engine import Engine
from tickover.daemon.loop import Daemon
from tickover.daemon.recovery import Opened, load_by_child, models_change, open_fleet
from tickover.daemon.reload import LoadDetector, Reload
from tickover.daemon.sources import Transport, check_files, open_transport
from tickover.errors import ConfigError, TickoverError
from tickover.host.garbage import collect_seldom
from tickover.host.log_fields import fields
from tickover.host.malloc import give_back_free, share_one_arena
from tickover.host.systemd import notify, watchdog_s
from tickover.messages.notices import Kind
from tickover.storage import private
from tickover.storage.contents import look
from tickover.storage.lock import InUseError, held
from tickover.storage.store import FILE, Bounds, Store
from tickover.transports.backoff import LONGEST_ATTEMPT_S

logger: Final = logging.getLogger("tickover")

STOP_S: Final = 2.0
"""How long to go on sending after the order to stop."""
GIVE_BACK_S: Final = 60.0
"""How often memory that is free goes back to the system."""
SOURCE_STUCK_S: Final = LONGEST_ATTEMPT_S + 20.0
"""A source whose thread has given no sign of life for so long counts as stuck: no more watchdog pings."""


class Runner:
    """Runs daemons, one after another when the configuration is reloaded, until told to stop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._instance = uuid.uuid4().hex
        self._stop = self._reload = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT. ConfigError or ModelError when the first start fails."""
        share_one_arena()
        collect_seldom()
        os.umask(private.UMASK)
        config, opened = self._read()
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        while not self._stop:
            with locked(Path(config.state.folder)):
                daemon = open_daemon(config, opened, self._instance)
                notify("READY=1")
                models = ",".join(f"{name}:{digest[:12]}" for name, digest in opened.digests.items())
                logger.info("started %s", fields(models=models))
                _warn_of_gaps(opened)
                config, opened = self._turn_until_told(daemon, config)
                notify("STOPPING=1" if self._stop else "RELOADING=1")
                daemon.stop(STOP_S)

    def _turn_until_told(self, daemon: Daemon, config: Config) -> tuple[Config, Opened]:
        """Turn the loop; what to run next (of no meaning after a stop)."""
        every = (watchdog_s() or 0.0) / 3
        ping_at, give_back_at = 0.0, time.monotonic()
        reload: Reload | None = None
        while not self._stop:
            daemon.turn()
            now = time.monotonic()
            # Without pings systemd restarts the daemon, also when only the source's thread is stuck.
            if every and now >= ping_at and now - daemon.source.beat < SOURCE_STUCK_S:
                ping_at = now + every
                notify("WATCHDOG=1")
            if now >= give_back_at:
                give_back_at = now + GIVE_BACK_S
                give_back_free()
            if self._reload and not reload:
                self._reload, reload = False, Reload(self._read)
            if reload and reload.done:
                new, reload = self._reloaded(reload, Path(config.state.folder)), None
                if new:
                    return new
        if reload:
            reload.cancel()
        return config, daemon.engine.opened

    def _read(self, load: LoadDetector = load_by_child) -> tuple[Config, Opened]:
        """Configuration, models and the transport's files, checked before anything connects."""
        config = load_config(self._path)
        for trouble in check_files(config):
            logger.warning(trouble)
        opened = open_fleet(config, load)
        for bus in config.buses:
            from tickover.daemon.bus import read_mapping

            read_mapping(bus, opened.fleet.columns, opened.manifests.values())
        return config, opened

    def _reloaded(self, reload: Reload, present: Path) -> tuple[Config, Opened] | None:
        """The configuration and models as in the files now; None, and the reason logged, when they are wrong.

        A new state folder is locked for a moment, to try it before the present one is released.
        """
        try:
            new = reload.result()
            folder = Path(new[0].state.folder)
            with locked(folder) if folder.resolve() != present.resolve() else nullcontext():
                if folder.resolve() != present.resolve() and look(folder).is_newer:
                    raise ConfigError(f"state.folder: {folder}: a later release wrote its store; see `tickover state`")
                return new
        except TickoverError as error:
            logger.error("reload refused, the daemon goes on as before %s", fields(error=error))
            return None

    def _on_stop(self, _: int, __: FrameType | None) -> None:
        self._stop = True

    def _on_reload(self, _: int, __: FrameType | None) -> None:
        self._reload = True


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the state folder; ConfigError when another daemon holds it. Works on a read-only disk."""
    with ExitStack() as stack:
        try:
            private.create(folder)
            if linked := private.links(folder, FILE):
                raise ConfigError(f"state.folder: expected plain files, {linked[0]} is a symbolic link; remove it")
            stack.enter_context(held(folder))
        except InUseError:
            raise ConfigError(f"state.folder: {folder} is in use by another daemon; stop that one first") from None
        except OSError as error:
            cure = "give it to the daemon's user (chown), or name another"
            raise ConfigError(f"state.folder: {folder} cannot be used: {error.strerror or error}; {cure}") from error
        yield


def open_daemon(config: Config, opened: Opened, instance: str, transport: Transport | None = None) -> Daemon:
    """Store and daemon, started; what other models knew is put aside and their episodes ended.

    ``transport`` None: the one that the configuration describes.
    """
    folder = Path(config.state.folder)
    with suppress(OSError):  # the store reports it, and goes on in memory
        private.create(folder)
        for closed in private.tighten(folder, FILE):
            logger.warning(closed)
    bounds = Bounds(config.outbox.rows, config.outbox.bytes, config.outbox.keep_s)
    store = Store(folder, bounds, __version__)
    if store.upgraded:
        logger.warning("the store of an earlier release is taken over and kept %s", fields(file=store.upgraded.name))
    daemon = Daemon(config, opened, store, transport or open_transport(config), instance)
    daemon.start()
    engine = daemon.engine
    engine.committer.change.settled = True
    if engine.keeper.changed:
        _take_up_models(engine)
    else:
        engine.committer.change.meta |= models_change(opened.digests).meta
        engine.commit()
    return daemon


def _take_up_models(engine: Engine) -> None:
    """The changed models start afresh. What says so is one transaction: a crash before it changes nothing."""
    changed, store = engine.keeper.changed, engine.store
    aside = store.copy_aside(f"model-{store.seq}")
    asleep, ends = engine.keeper.renew()
    store.commit(asleep)
    for alert in ends:
        engine.announcer.alert(alert)
    kept = f"the store before that is kept as {aside.name}" if aside else "the store before that could not be kept"
    text = f"another model for {', '.join(sorted(changed))}: starting afresh; {kept}"
    engine.announcer.say(Kind.MODEL_CHANGED, True, text)
    engine.committer.change.meta |= models_change(engine.opened.digests).meta
    engine.commit(checkpoint=True)


def _warn_of_gaps(opened: Opened) -> None:
    """Log what the models cannot alarm on."""
    for name, manifest in opened.manifests.items():
        for gap in gaps(manifest):
            logger.warning("model %s: %s", name, gap)
